"""Counters in memory: the same as a plain list of what was taken, exact at the edges, and forgetful of what is over."""

from __future__ import annotations

import asyncio
import random

from hypothesis import settings

from tests.state.counters_model import START, WANTS, Machine
from trunkline.core.limit import Grant, Refusal, Want
from trunkline.policy.quota import FIXED, NOW, ROLLING, bucket_at
from trunkline.state import counters_memory
from trunkline.state.counters_memory import MemoryCounters


class MemoryMachine(Machine):
    def opened(self) -> MemoryCounters:
        return MemoryCounters(lambda: self.now * 1_000_000)


TestMemoryCounters = MemoryMachine.TestCase
TestMemoryCounters.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now * 1_000_000


def ledger() -> tuple[MemoryCounters, Clock]:
    clock = Clock()
    return MemoryCounters(clock), clock


async def test_a_fresh_rolling_window_admits_exactly_its_limit() -> None:
    counters, clock = ledger()
    want = (Want("k", ROLLING["minute"], 100, kept=True),)
    rng = random.Random(4)
    admitted: list[int] = []
    for _ in range(5_000):
        clock.now += rng.randrange(0, 200)
        if isinstance(await counters.take(want, (1,), 1000), Grant):
            admitted.append(clock.now)
    assert admitted[99] < START + 20_000  # the first hundred of some ten a second all pass
    for first, last in zip(admitted, admitted[100:], strict=False):
        assert last - first >= 60_000  # and no minute, wherever it begins, holds more
    assert len(admitted) > 700  # of the 800 that a perfect window would let in


async def test_two_hundred_at_once_get_what_there_is_and_no_more() -> None:
    counters, _ = ledger()
    wants = (
        Want("requests", FIXED["minute"], 150, kept=True),
        Want("tokens", FIXED["minute"], 990),
        Want("calls", NOW, 120),
    )
    answers = await asyncio.gather(*(counters.take(wants, (1, 10, 1), 60_000) for _ in range(200)))
    granted = [each for each in answers if isinstance(each, Grant)]
    assert len(granted) == 99  # the tokens are what there is least of
    for each in granted[:50]:
        counters.settle(each, (1, 4, 0))
    assert await counters.read([(want.counter, want.window) for want in wants]) == [99, 690, 49]
    answers = await asyncio.gather(*(counters.take(wants, (1, 10, 1), 60_000) for _ in range(200)))
    assert sum(isinstance(each, Grant) for each in answers) == 30


async def test_a_refusal_takes_nothing_and_names_the_limit_that_holds_longest() -> None:
    counters, _ = ledger()
    wants = (Want("m", FIXED["minute"], 1), Want("h", FIXED["hour"], 1), Want("d", FIXED["day"], 5))
    assert isinstance(await counters.take(wants, (1, 1, 1), 1000), Grant)
    refusal = await counters.take(wants, (1, 1, 1), 1000)
    assert isinstance(refusal, Refusal)
    assert (refusal.want.counter, refusal.total, refusal.wait) == ("h", 1, 90_000)
    assert await counters.read([("d", FIXED["day"])]) == [1]


async def test_the_clock_may_be_set_back() -> None:
    counters, clock = ledger()
    want = (Want("m", FIXED["minute"], 1, kept=True),)
    clock.now += 60_000
    assert isinstance(await counters.take(want, (1,), 1000), Grant)
    clock.now -= 60_000
    assert isinstance(await counters.take(want, (1,), 1000), Refusal)


async def test_counters_that_are_empty_are_forgotten() -> None:
    counters, clock = ledger()
    for number in range(2_000):
        grant = await counters.take((Want(f"k{number}", FIXED["minute"], 5), Want(f"c{number}", NOW, 5)), (1, 1), 1000)
        assert isinstance(grant, Grant)
        counters.settle(grant, (1, 0))
    assert len(counters._tallies) == 4_000
    for _ in range(20):
        clock.now += 60_000
        await counters.read([])
    assert not counters._tallies
    assert not counters._held


async def test_there_is_a_bound_to_how_many_there_are(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(counters_memory, "MAX_COUNTERS", 3)
    counters, _ = ledger()
    answers = [await counters.take((Want(f"k{number}", FIXED["minute"], 5),), (1,), 1000) for number in range(5)]
    assert [isinstance(each, Grant) for each in answers] == [True, True, True, False, False]


async def test_what_the_ledger_remembers_counts_from_the_start() -> None:
    counters, clock = ledger()
    window = ROLLING["hour"]
    now = bucket_at(window, clock.now)
    await counters.take((Want("k", window, 100),), (5,), 600_000)
    counters.seed("k", window, {now - 61: 50, now - 60: 20, now: 70})
    assert await counters.read([("k", window)]) == [95]
    clock.now += 60_000
    assert await counters.read([("k", window)]) == [75]


async def test_many_leases_that_end_at_once_are_given_back_in_portions(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(counters_memory, "MAX_ENDED", 10)
    counters, clock = ledger()
    for _ in range(25):
        await counters.take((Want("c", NOW, 25),), (1,), 1000)
    clock.now += 2_000
    assert [(await counters.read([("c", NOW)]))[0] for _ in range(3)] == [15, 5, 0]


def test_the_model_looks_at_every_kind_of_window() -> None:
    assert {want.window.name for want in WANTS} >= {"minute", "rolling minute", "hour", "month", "now"}
