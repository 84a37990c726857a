"""However often Redis fails, and whenever: together the processes never admit more than the limit once more."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from trunkline.core.limit import Grant, Want, Window
from trunkline.policy.quota import FIXED, NOW, ROLLING, bucket_at
from trunkline.state.counters_memory import MemoryCounters
from trunkline.state.redis.alone import Alone

PROCESSES = 3
START = 1_770_000_000_000_000_000

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, PROCESSES - 1), st.integers(1, 30)),
        st.tuples(st.sampled_from(["fail", "return"]), st.just(0), st.just(0)),
    ),
    max_size=80,
)


class Cluster:
    """Redis, played by counters in memory, and processes that go on without it."""

    def __init__(self, window: Window, most: int) -> None:
        self.want = Want("k", window, most, kept=True)
        self.redis = MemoryCounters(lambda: START)
        self.alone = [Alone(MemoryCounters, lambda: PROCESSES) for _ in range(PROCESSES)]
        for each in self.alone:
            each.now = lambda: START  # type: ignore[method-assign]
            each._counters._clock = each.now  # type: ignore[attr-defined]
        self.up = True
        self.admitted = 0
        self.owed = 0

    async def step(self, what: str, process: int, amount: int) -> None:
        if what == "take":
            await self.take(self.alone[process], amount)
        elif what == "fail":
            self.up = False
        else:
            self.up = True
            self.redis.seed("k", self.want.window, {bucket_at(self.want.window, START // 1_000_000): self.owed})
            self.owed = 0

    def told(self, grant: Grant) -> Grant:
        """With its bucket, as Redis tells it."""
        return structs.replace(grant, buckets=[bucket_at(self.want.window, grant.at)])

    async def take(self, alone: Alone, amount: int) -> None:
        if self.up:
            answer = await self.redis.take((self.want,), (amount,), 1000)
            if isinstance(answer, Grant):
                alone.heard(self.told(answer))
        else:
            answer = await alone.take(f"{self.admitted}", (self.want,), (amount,), 1000)
            self.owed += amount if isinstance(answer, Grant) else 0
        self.admitted += amount if isinstance(answer, Grant) else 0


@settings(max_examples=200)
@given(steps=STEPS, most=st.integers(1, 200), window=st.sampled_from([FIXED["day"], ROLLING["hour"], FIXED["month"]]))
def test_no_window_holds_more_than_the_limit_twice(
    steps: list[tuple[str, int, int]], most: int, window: Window
) -> None:
    cluster = Cluster(window, most)

    async def play() -> None:
        for step in steps:
            await cluster.step(*step)

    asyncio.run(play())
    assert cluster.admitted <= most + max(most, PROCESSES)


async def test_what_all_have_heard_of_is_not_exceeded_at_all() -> None:
    cluster = Cluster(FIXED["day"], 90)
    for process in range(PROCESSES):
        await cluster.step("take", process, 10)
    heard = await cluster.redis.take((cluster.want,), (0,), 1000)
    assert isinstance(heard, Grant)
    for each in cluster.alone:
        each.heard(cluster.told(heard))
    await cluster.step("fail", 0, 0)
    for _ in range(100):
        for process in range(PROCESSES):
            await cluster.step("take", process, 1)
    assert cluster.admitted == 90


async def test_what_goes_on_is_a_share_of_the_whole() -> None:
    cluster = Cluster(NOW, 9)
    await cluster.step("fail", 0, 0)
    for _ in range(10):
        for process in range(PROCESSES):
            await cluster.step("take", process, 1)
    assert cluster.admitted == 9
