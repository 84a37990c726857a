"""A gateway with too much to do: what it measures of itself, and who hears of it, before any body is read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.edges.surface_calls import GENERATE
from tests.running import Running, running, until
from tests.stages.scripted import a_call
from tests.talking import Answer, ask
from trunkline.core.call import Key, Priority
from trunkline.edge.admittance import Admittance
from trunkline.edge.pressure import Pressure, held
from trunkline.policy.shedding import Shedding, SheddingSettings

SECTIONS: dict[str, Any] = {"models": {"smart": {"targets": [{"target": "sim/sim-small"}]}}}
PATHS = {"openai_chat": "/v1/chat/completions", "anthropic": "/v1/messages"}


async def post(run: Running, dialect: str = "openai_chat", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(run.port, PATHS[dialect], {"model": "smart"} | GENERATE[dialect][0], named)


async def test_a_busy_event_loop_is_seen() -> None:
    pressure = Pressure(SheddingSettings(lag=0.1))
    pressure.begin()
    for _ in range(6):
        time.sleep(0.2)
        await asyncio.sleep(0.001)
    assert pressure.shedding.lag > 0.05
    assert pressure.shedding.refused
    await until(lambda: not pressure.shedding.refused, "it has calmed down")
    pressure.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say what a process holds")
async def test_the_memory_is_seen() -> None:
    before = held()
    ballast = bytearray(b"x" * 30_000_000)
    assert held() - before > 20_000_000
    pressure = Pressure(SheddingSettings(lag=0.0, memory=before))
    pressure.begin()
    await until(lambda: pressure.shedding.refused, "the process holds more than it may")
    pressure.close()
    assert len(ballast) == 30_000_000


def test_workers_share_what_their_container_may_have() -> None:
    one, four = (Pressure(SheddingSettings(), workers).shedding for workers in (1, 4))
    assert four._most_memory == one._most_memory // 4


@pytest.mark.parametrize("dialect", PATHS)
async def test_a_refused_call_is_told_so_in_its_family(tmp_path: Path, dialect: str) -> None:
    async with running(tmp_path, SECTIONS) as run:
        run.gateway.pressure.shedding.refused = frozenset({"batch"})
        assert (await post(run, dialect)).status == 200
        refused = await post(run, dialect, x_trunkline_priority="batch")
        assert refused.status == 503
        assert refused.json["error"]["code"] == "shed"
        assert refused.headers["retry-after"] == "10"
        entry = await run.entry(2)
        assert (entry.error, entry.priority, entry.bytes_in) == ("shed", "batch", 0)


async def test_a_priority_that_does_not_exist_is_named(tmp_path: Path) -> None:
    async with running(tmp_path, SECTIONS) as run:
        refused = await post(run, x_trunkline_priority="urgent")
        assert refused.status == 400
        assert "interactive, default, batch" in refused.json["error"]["message"]


@pytest.mark.parametrize(
    ("key", "team", "usual", "gets"),
    [
        (None, None, "default", "default"),
        (None, None, "batch", "batch"),
        (None, "interactive", "default", "interactive"),
        ("batch", "interactive", "default", "batch"),
        ("interactive", None, "batch", "interactive"),
    ],
)
def test_the_keys_priority_counts_more_than_its_teams(
    key: Priority | None, team: Priority | None, usual: Priority, gets: Priority
) -> None:
    admit = Admittance(Shedding(0.0, 0), usual, {"t": team} if team is not None else {})
    call = a_call()
    call.key = Key("k", "k", team="t", priority=key)
    admit(call, None)
    assert call.priority == gets
    admit(call, "interactive")
    assert call.priority == gets
    admit(call, "batch")
    assert call.priority == "batch"
