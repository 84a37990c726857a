"""Limits through the whole gateway: exact under load that fails and is given up, told as each family's SDK expects."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.running import Running, running, until
from tests.talking import Answer, ask, connected, request
from trunkline.core.limit import Window
from trunkline.core.stores import Used
from trunkline.core.usage import NANO
from trunkline.sim.server import start_embedded

CHAT = "/v1/chat/completions"


class Nothing:
    """A ledger without a past."""

    def used(self, scope: str, window: Window, calls: bool, until: float) -> list[Used]:
        return []


@asynccontextmanager
async def priced(directory: Path, sections: dict[str, Any], begin: bool = False) -> AsyncIterator[Running]:
    """A gateway whose model `m` costs money, at a provider that is a simulator. `begin`: its database is opened."""
    model = "gpt-4o-mini"
    host, port, close = await start_embedded()
    try:
        provider = {"kind": "openai", "base_url": f"http://{host}:{port}/v1", "api_key": "sk-simulated-key"}
        models = {
            name: {"targets": [{"target": f"p/{model}+{cues}" if cues else f"p/{model}", "base_model": model}]}
            for name, cues in {"m": "", "slow": "latency=200ms", "broken": "500", "streamed": "ttft=50ms"}.items()
        }
        async with running(directory, {"providers": {"p": provider}, "models": models} | sections, begin=begin) as run:
            if not begin:
                run.gateway.stores.prices.load()
                run.gateway.seeding.look(run.gateway.admission.planner, list, Nothing())
            yield run
    finally:
        await close()


async def say(run: Running, model: str = "m", text: str = "hello", **fields: Any) -> Answer:
    headers = fields.pop("headers", None)
    return await ask(
        run.port, CHAT, {"model": model, "messages": [{"role": "user", "content": text}]} | fields, headers
    )


async def used(run: Running) -> dict[str, int]:
    return {row["dimension"]: row["used"] for row in await run.gateway.admission.shown()}


async def test_requests_are_limited_and_the_refusal_says_all(tmp_path: Path) -> None:
    async with priced(tmp_path, {"limits": [{"scope": "key", "allow": ["requests=3/minute"]}]}) as run:
        answers = [await say(run) for _ in range(4)]
        assert [each.status for each in answers] == [200, 200, 200, 429]
        assert [each.headers["x-ratelimit-remaining-requests"] for each in answers] == ["2", "1", "0", "0"]
        refused = answers[3]
        assert refused.headers["x-trunkline-limit"] == "key anyone: 3 requests per minute"
        assert 55 <= int(refused.headers["retry-after"]) <= 61
        error = refused.json["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert "key anyone: 3 requests per minute: 0 requests left" in error["message"]
        assert (await run.entry(4)).error == "rate_limit_exceeded"


async def test_a_budget_holds_though_two_hundred_come_at_once_fail_and_give_up(tmp_path: Path) -> None:
    limits = ["cost=0.004/day", "tokens=100000/day", "requests=150/day", "concurrent_requests=60"]
    async with priced(tmp_path, {"limits": [{"allow": limits}]}) as run:
        rng = random.Random(11)
        statuses: list[int] = []

        async def one() -> None:
            model = rng.choice(["m", "slow", "broken", "streamed"])
            body = {"model": model, "max_tokens": 40, "stream": model == "streamed"}
            body["messages"] = [{"role": "user", "content": "words " * rng.randrange(1, 80)}]
            async with connected(run.port) as line:
                await line.send(request(CHAT, body))
                if rng.random() < 0.2:
                    await asyncio.sleep(rng.random() * 0.1)
                    return  # the client goes away
                statuses.append((await line.read_head()).status)
                await line.read_body()

        for _ in range(2):
            await asyncio.gather(*(one() for _ in range(100)))
        await until(lambda: len(run.entries()) == 200, "all 200 calls in the ledger")
        await until(lambda: run.gateway.admission.gauges()["trunkline_limit_grants"] == 0, "all grants settled")
        entries = run.entries()
        admitted = [each for each in entries if each.error not in ("rate_limit_exceeded", "budget_exceeded")]
        assert await used(run) == {
            "requests": len(admitted),
            "tokens": sum(each.usage.total for each in admitted if each.usage is not None),
            "cost": sum(each.cost or 0 for each in admitted),
            "concurrent_requests": 0,
        }
        assert sum(each.cost or 0 for each in entries) <= 0.004 * NANO
        assert len(admitted) <= 150
        assert {200, 429, 500} <= {*statuses, *(each.status for each in entries)}
        assert run.gateway.admission.overruns == 0


async def test_a_budget_is_spent_to_the_end_and_not_beyond(tmp_path: Path) -> None:
    async with priced(tmp_path, {"limits": [{"allow": ["cost=0.0005/day"]}]}) as run:
        answers: list[Answer] = []
        while not answers or answers[-1].status == 200:
            answers.append(await say(run, max_tokens=16))
        spent = sum(each.cost or 0 for each in run.entries())
        assert len(answers) > 10
        assert 0.9 * 0.0005 * NANO < spent <= 0.0005 * NANO
        refused = answers[-1]
        assert (refused.status, refused.json["error"]["type"]) == (429, "insufficient_quota")
        assert refused.headers["x-should-retry"] == "false"
        assert (await used(run))["cost"] == spent


async def test_a_restart_does_not_give_a_budget_back(tmp_path: Path) -> None:
    limits = [{"allow": ["cost=1/day", "requests=1000/hour"]}, {"scope": "tag", "allow": ["tokens=100000/day"]}]
    before: dict[str, int] = {}
    async with priced(tmp_path, {"limits": limits}, begin=True) as run:
        for _ in range(3):
            assert (await say(run, headers={"x-trunkline-tags": "app"})).status == 200
        before = await used(run)
    assert (before["requests"], before["cost"] > 0) == (3, True)
    async with priced(tmp_path, {"limits": limits}, begin=True) as run:
        assert (await say(run, headers={"x-trunkline-tags": "app"})).status == 200
        after = await used(run)
    assert after["requests"] == 4
    assert after["cost"] == before["cost"] // 3 * 4
    assert after["tokens"] == before["tokens"] // 3 * 4
