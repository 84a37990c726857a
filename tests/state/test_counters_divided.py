"""Workers that know nothing of each other never admit more than the limit together."""

from __future__ import annotations

import time

from trunkline.core.limit import Grant, Refusal, Want
from trunkline.policy.quota import FIXED, NOW, bucket_at
from trunkline.state.counters_divided import DividedCounters
from trunkline.state.counters_memory import MemoryCounters

WANTS = (Want("requests", FIXED["day"], 100, kept=True), Want("calls", NOW, 10))


def workers(count: int) -> list[DividedCounters]:
    return [DividedCounters(MemoryCounters(time.time_ns), count) for _ in range(count)]


async def test_together_they_admit_the_limit_and_no_more() -> None:
    admitted = 0
    for each in workers(3):
        for _ in range(100):
            answer = await each.take(WANTS, (1, 0), 60_000)
            admitted += isinstance(answer, Grant)
    assert admitted == 99  # the one that is left over nobody has


async def test_what_is_given_back_can_be_taken_again() -> None:
    (one, _) = workers(2)
    held = [await one.take(WANTS, (1, 1), 60_000) for _ in range(6)]
    assert [isinstance(each, Grant) for each in held] == [True] * 5 + [False]
    assert isinstance(held[0], Grant)
    assert isinstance(held[5], Refusal)
    one.settle(held[0], (1, 0))
    assert isinstance(await one.take(WANTS, (1, 1), 60_000), Grant)
    assert await one.read([("calls", NOW)]) == [5]


async def test_what_was_used_before_is_divided_too() -> None:
    (one, _) = workers(2)
    window = FIXED["day"]
    one.seed("requests", window, {bucket_at(window, time.time_ns() // 1_000_000): 91})
    answers = [await one.take(WANTS, (1, 0), 60_000) for _ in range(10)]
    assert sum(isinstance(each, Grant) for each in answers) == 4
