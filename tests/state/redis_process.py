"""What one process of the gateway has of Redis, and patience with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from trunkline.core.limit import Window
from trunkline.core.redis_url import locate_redis
from trunkline.core.stores import StoreUnavailable
from trunkline.policy.outage import RedisSettings
from trunkline.state.counters_memory import MemoryCounters
from trunkline.state.redis.alone import Alone
from trunkline.state.redis.client import RedisClient
from trunkline.state.redis.counters import RedisCounters
from trunkline.state.redis.debts import Debts

PATIENT = RedisSettings(deadline=1.0)
"""For tests of no deadline: the machine that runs them may stall."""
PATIENCE = 10.0


class Process:
    def __init__(self, url: str, given: RedisSettings = PATIENT) -> None:
        self.client = RedisClient(locate_redis(url), given)
        self.alone = Alone(MemoryCounters, lambda: self.client.processes)
        self.debts = Debts(self.client)
        self.counters = RedisCounters(self.client, self.alone, self.debts)

    async def open(self) -> None:
        await self.client.open(2.0)
        assert self.client.up, self.client.status()

    async def holds(self, asked: Sequence[tuple[str, Window]], expected: list[int]) -> None:
        """Wait until Redis counts so: what was sent may still be on its way."""
        found: object = None
        end = time.monotonic() + PATIENCE
        while found != expected:
            assert time.monotonic() < end, (found, expected, self.client.status())
            try:
                found = await self.counters.read(asked)
            except StoreUnavailable as error:
                found = error
            await asyncio.sleep(0.01)


async def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "this did not come true in time"
        await asyncio.sleep(0.005)
