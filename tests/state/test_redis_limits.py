"""Limits over HTTP with two gateways on one Redis: exact together, and no call in trouble when Redis is."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from tests.running import Running, child, running, until
from tests.state.redis_server import RedisServer
from tests.talking import ask

LOOPS = {"uvloop": uvloop.new_event_loop}
BODY = {"model": "sim/sim-small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}


@asynccontextmanager
async def pair(redis: RedisServer, directory: Path, limits: list[str], **given: Any) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "two"):
            (directory / name).mkdir()
            sections = {
                "limits": [{"allow": limits}],
                "state": {
                    "durable": None,
                    "directory": str(directory / name),
                    "hot": redis.url,
                    "redis": {"deadline": 0.5, "processes": 2} | given,
                },
            }
            made.append(await stack.enter_async_context(running(directory / name, sections, begin=True)))
        yield made


async def calls(gateways: list[Running], count: int) -> Counter[int]:
    """So many at once at each of them: how many ended with which status."""
    answers = await asyncio.gather(
        *(ask(each.port, "/v1/chat/completions", BODY) for _ in range(count) for each in gateways)
    )
    return Counter(answer.status for answer in answers)


async def test_two_gateways_admit_what_is_allowed_to_the_call(redis: RedisServer, tmp_path: Path) -> None:
    async with pair(redis, tmp_path, ["requests=37/day", "concurrent_requests=100"]) as gateways:
        found = await calls(gateways, 40)
        assert [each.gateway.stores.hot.gauges()["trunkline_hot_decisions_alone"] for each in gateways] == [0, 0]
        assert found == {200: 37, 429: 43}
        refused = await ask(gateways[1].port, "/v1/chat/completions", BODY)
        assert refused.status == 429
        assert 0 < int(refused.headers["retry-after"]) <= 86_400


async def test_calls_go_on_within_the_bound_while_redis_is_gone(redis: RedisServer, tmp_path: Path) -> None:
    limits = ["requests=60/day", "concurrent_requests=100"]
    async with pair(redis, tmp_path, limits, deadline=0.02) as gateways:
        assert await calls(gateways, 10) == {200: 20}
        redis.stop()
        began = time.monotonic()
        found = await calls(gateways, 40)
        assert time.monotonic() - began < 5.0
        assert set(found) == {200, 429}
        assert 36 <= found[200] <= 60  # 40 were left, of which each has the half; what one has not heard of, it has too
        redis.start()
        for each in gateways:
            await until(lambda hot=each.gateway.stores.hot: hot.status()["up"], "Redis is used again")  # type: ignore[misc]
        counters = gateways[0].gateway.stores.hot.counters
        want = next(want for want in gateways[0].gateway.admission.planner.wants() if want.dimension == "requests")
        assert await counters.read([(want.counter, want.window)]) == [
            found[200]
        ]  # and what was before it had in memory


async def test_without_redis_calls_with_limits_can_be_refused(redis: RedisServer, tmp_path: Path) -> None:
    async with pair(redis, tmp_path, ["requests=60/day"], when_down="refuse") as gateways:
        redis.stop()
        await until(lambda: not gateways[0].gateway.stores.hot.status()["up"], "Redis is gone")
        answer = await ask(gateways[0].port, "/v1/chat/completions", BODY)
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"


async def test_a_redis_that_lost_everything_is_told_what_the_ledger_knows(redis: RedisServer, tmp_path: Path) -> None:
    sections = {
        "limits": [{"allow": ["requests=10/day"]}],
        "state": {
            "durable": f"sqlite:///{tmp_path}/trunkline.db",
            "directory": str(tmp_path / "state"),
            "hot": redis.url,
            "redis": {"deadline": 0.5},
        },
    }
    async with running(tmp_path, sections, begin=True) as run:
        gateway = run.gateway
        assert await calls([run], 6) == {200: 6}
        await until(lambda: gateway.status()["state"]["journal"]["entries"] == 0, "all is in the ledger")
        redis.stop()
        redis.start()
        await until(lambda: gateway.stores.hot.status()["outages"] == 1, "it has seen that Redis was gone")
        await until(lambda: gateway.stores.hot.status()["up"], "Redis is used again")
        (want,) = gateway.admission.planner.wants()
        asked = [(want.counter, want.window)]
        end = time.monotonic() + 10
        while (found := await gateway.stores.hot.counters.read(asked)) != [6]:
            assert time.monotonic() < end, found
            await asyncio.sleep(0.05)
        assert await calls([run], 6) == {200: 4, 429: 2}


async def test_workers_of_one_program_keep_a_limit_together(redis: RedisServer, tmp_path: Path) -> None:
    sections = {
        "limits": [{"allow": ["requests=20/day"]}],
        "state": {"durable": None, "directory": str(tmp_path), "hot": redis.url, "redis": {"deadline": 1.0}},
        "log": {"format": "json", "level": "info"},
    }
    async with child(tmp_path, sections, "--workers", "2") as run:
        await until(lambda: "".join(run.said).count("in use by") == 2, "both workers have found Redis")
        answers = [await ask(run.port, "/v1/chat/completions", BODY) for _ in range(30)]
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0
    assert [answer.status for answer in answers] == [200] * 20 + [429] * 10
