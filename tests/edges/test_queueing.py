"""Waiting for a place, end to end: who is served when, what the ledger and the metrics say, how a refusal looks."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.edges.surface_calls import GENERATE
from tests.running import Running, running, until
from tests.talking import Answer, ask
from trunkline.core.call import KeySpec

PATHS = {"openai_chat": "/v1/chat/completions", "anthropic": "/v1/messages"}


def sections(model: str = "sim-small+latency=100ms", **queue: Any) -> dict[str, Any]:
    """One target with one place."""
    return {
        "models": {"smart": {"targets": [{"target": f"sim/{model}", "max_concurrency": 1}]}},
        "queue": {"priority": "interactive"} | queue,
    }


async def post(run: Running, dialect: str = "openai_chat", stream: bool = False, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(run.port, PATHS[dialect], {"model": "smart", "stream": stream} | GENERATE[dialect][0], named)


def waiting(run: Running) -> int:
    return run.gateway.routing.waiting.count


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_wait_and_are_answered_the_urgent_ones_first(tmp_path: Path, stream: bool) -> None:
    async with running(tmp_path, sections()) as run:
        calls = [asyncio.create_task(post(run, stream=stream))]
        await until(lambda: run.gateway.board.of("sim/sim-small+latency=100ms").pending, "the place is taken")
        for count, priority in enumerate(("batch", "default", "interactive"), 1):
            calls.append(asyncio.create_task(post(run, stream=stream, x_trunkline_priority=priority)))
            await until(lambda count=count: waiting(run) == count, "it waits")  # type: ignore[misc]
        assert [(await each).status for each in calls] == [200] * 4
        await run.entry(4)
        entries = run.entries()
        assert [entry.priority for entry in entries] == ["interactive", "interactive", "default", "batch"]
        waits = [entry.waited for entry in entries]
        assert waits == sorted(waits)
        assert waits[0] == 0.0
        assert waits[1] > 0.0
        page = (await ask(run.port, "/metrics")).body.decode()
        assert 'trunkline_queue_outcomes_total{outcome="served",priority="batch"} 1.0' in page
        assert 'trunkline_queue_calls{priority="batch"} 0.0' in page


@pytest.mark.parametrize("dialect", PATHS)
async def test_a_refusal_is_the_callers_familys(tmp_path: Path, dialect: str) -> None:
    async with running(tmp_path, sections("sim-small+hang", max_wait=0.05)) as run:
        first = asyncio.create_task(post(run, x_trunkline_deadline_ms="2000"))
        await until(lambda: run.gateway.board.of("sim/sim-small+hang").pending, "the place is taken")
        refused = await post(run, dialect)
        assert refused.status == 503
        assert refused.json["error"]["code"] == "queue_timeout"
        assert int(refused.headers["retry-after"]) >= 1
        first.cancel()
        await asyncio.wait([first])


async def test_the_callers_deadline_holds_in_the_queue(tmp_path: Path) -> None:
    async with running(tmp_path, sections("sim-small+hang")) as run:
        first = asyncio.create_task(post(run, x_trunkline_deadline_ms="3000"))
        await until(lambda: run.gateway.board.of("sim/sim-small+hang").pending, "the place is taken")
        refused = await post(run, x_trunkline_deadline_ms="100")
        assert (refused.status, refused.json["error"]["code"]) == (504, "deadline_exceeded")
        first.cancel()
        await asyncio.wait([first])
        await until(lambda: not run.gateway.board.of("sim/sim-small+hang").pending, "the place is given back")


async def test_a_client_that_leaves_makes_room(tmp_path: Path) -> None:
    async with running(tmp_path, sections("sim-small+hang")) as run:
        first, second = [asyncio.create_task(post(run)) for _ in range(2)]
        await until(lambda: waiting(run) == 1, "one waits")
        second.cancel()
        await until(lambda: waiting(run) == 0, "it has left")
        first.cancel()
        await asyncio.wait([first, second])
        await run.entry(2)
        assert {entry.error for entry in run.entries()} == {"client_closed_request"}


@pytest.mark.parametrize("wait", [False, True])
async def test_calls_may_wait_for_a_limit_too(tmp_path: Path, wait: bool) -> None:
    more = {"limits": [{"allow": ["concurrent_requests=1"]}], "queue": {"limits": wait}}
    async with running(tmp_path, sections() | more) as run:
        answers = await asyncio.gather(*(post(run) for _ in range(3)))
        assert sorted(answer.status for answer in answers) == ([200] * 3 if wait else [200, 429, 429])
        await run.entry(3)
        assert sum(entry.waited > 0.0 for entry in run.entries()) == (2 if wait else 0)


# ── Overload ───────────────────────────────────────────────────────────────────────────────────────────────────────

WEIGHTS = {"small": 1.0, "middle": 2.0, "large": 4.0}
CALLERS = 8
"""Of each team, at once: several times what there are places."""
FIRST = 40
"""Calls until the queue is what it will be: the first ones found free places."""
SERVED = FIRST + 280


async def a_key(run: Running, team: str) -> str:
    """A key of this team, which may have any priority."""
    shipper = run.gateway.stores.shipper
    assert shipper is not None
    await until(lambda: shipper.keys is not None and run.gateway.stores.ring.loaded, "the database is open")
    assert shipper.keys is not None
    _, secret = await asyncio.to_thread(shipper.keys.create, KeySpec(team, team=team, priority="interactive"))
    await until(lambda: run.gateway.stores.ring.find(secret.encode()) is not None, "the key is known")
    return secret


async def test_under_overload_teams_get_their_shares_and_batches_what_is_left(tmp_path: Path) -> None:
    """Each team alone asks for more than can be served, and one sends a batch besides."""
    target = "sim/sim-small+latency=10ms"
    more = {
        "auth": "required",
        "models": {"smart": {"targets": [{"target": target, "max_concurrency": 3}]}},
        "teams": {name: {"weight": weight} for name, weight in WEIGHTS.items()},
    }
    async with running(tmp_path, sections() | more, begin=True) as run:
        keys = {team: await a_key(run, team) for team in WEIGHTS}
        served: list[tuple[str, str]] = []

        async def caller(team: str, priority: str) -> None:
            said = {"authorization": f"Bearer {keys[team]}", "x_trunkline_priority": priority}
            while len(served) < SERVED:
                assert (await post(run, **said)).status == 200
                served.append((team, priority))

        calling = [caller(team, "default") for team in WEIGHTS for _ in range(CALLERS)]
        batch = [caller("large", "batch") for _ in range(CALLERS)]
        await asyncio.gather(*calling, *batch)
        counted = Counter(team for team, priority in served[FIRST:SERVED] if priority == "default")
        total = sum(counted.values())
        for team, weight in WEIGHTS.items():
            assert counted[team] / total == pytest.approx(weight / sum(WEIGHTS.values()), rel=0.05)
        assert total >= 280 * 0.9, "what has time has what is left, and one place in twenty at most"
