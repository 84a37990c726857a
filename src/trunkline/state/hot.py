"""The hot store: counters, conversations' homes and hints among processes, in memory or in Redis.

`state.hot` chooses. One process with `memory://` needs nothing else and is exact. Several workers with `memory://` know
nothing of each other: each admits its share of every limit, so that together they never admit more than it, though one
worker may refuse what another still had room for; only Redis makes that exact.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from trunkline.core.limit import Window
from trunkline.core.redis_url import locate_redis
from trunkline.core.stores import Counters, Hints
from trunkline.policy.affinity import Affinities, MemoryAffinities
from trunkline.policy.outage import RedisSettings
from trunkline.state.counters_divided import DividedCounters
from trunkline.state.counters_memory import MemoryCounters
from trunkline.state.location import StateError

Plant = Callable[[str, Window, Mapping[int, int]], None]
"""Takes what was used of a counter before: its name, its window, amounts by bucket."""

MEMORY = "memory://"
FIRST_SEARCH = 0.5
"""Seconds for which the start waits for Redis at most; it goes on without."""


class HotStore(Protocol):
    counters: Counters
    affinities: Affinities
    hints: Hints

    def when_empty(self, tell: Callable[[float, Plant], None]) -> None:
        """Have this told, on the event loop, where the store turns out not to know what was used before a moment
        (seconds since the epoch), and this process is the one to say it. A store in memory is always empty at the
        start, and tells nobody."""
        ...

    async def open(self) -> None:
        """Never raises for a store that does not answer: it is used from when it does."""
        ...

    async def aclose(self) -> None: ...

    def status(self) -> dict[str, Any]:
        """For people: `up`, whether all of it is as it should be; `error`, where it is not."""
        ...

    def gauges(self) -> dict[str, float]:
        """For the metrics."""
        ...


class Nobody:
    """`core.stores.Hints` of a process that has no others to tell."""

    def publish(self, topic: str, body: Any) -> None:
        pass

    def listen(self, topic: str, type: type[Any], take: Any) -> None:
        pass


class MemoryHot:
    """In this process alone, one of `workers`."""

    def __init__(self, workers: int = 1) -> None:
        own = MemoryCounters(time.time_ns)
        self.counters: Counters = own if workers == 1 else DividedCounters(own, workers)
        self.affinities: Affinities = MemoryAffinities()
        self.hints: Hints = Nobody()

    def when_empty(self, tell: Callable[[float, Plant], None]) -> None:
        pass

    async def open(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {"up": True}

    def gauges(self) -> dict[str, float]:
        return {}


class RedisHot:
    """In Redis, which all workers and machines share."""

    def __init__(self, url: str, settings: RedisSettings, workers: int = 1) -> None:
        from trunkline.state.redis.affinities import SharedAffinities
        from trunkline.state.redis.alone import Alone
        from trunkline.state.redis.client import RedisClient
        from trunkline.state.redis.counters import RedisCounters
        from trunkline.state.redis.debts import Debts
        from trunkline.state.redis.hints import RedisHints

        self._client = client = RedisClient(locate_redis(url), settings, workers)
        self._alone = Alone(MemoryCounters, lambda: client.processes)
        self._debts = Debts(client)
        self.counters: Counters = RedisCounters(client, self._alone, self._debts)
        self.hints: Hints = RedisHints(client, time.monotonic)
        self.affinities: Affinities = SharedAffinities(MemoryAffinities(), self.hints)

    def when_empty(self, tell: Callable[[float, Plant], None]) -> None:
        self._client.emptied = lambda since: tell(since, self._debts.plant)

    async def open(self) -> None:
        await self._client.open(FIRST_SEARCH)

    async def aclose(self) -> None:
        await self._client.aclose()

    def status(self) -> dict[str, Any]:
        return self._client.status() | {"untold": len(self._debts), "forgotten": self._debts.forgotten}

    def gauges(self) -> dict[str, float]:
        client, alone = self._client, self._alone
        return {
            "trunkline_hot_up": float(client.up),
            "trunkline_hot_outages": client.counts.outages,
            "trunkline_hot_decisions": client.counts.decided,
            "trunkline_hot_decisions_late": client.counts.late,
            "trunkline_hot_decisions_alone": alone.admitted + alone.refused,
            "trunkline_hot_wait_seconds": client.waited,
            "trunkline_hot_untold": len(self._debts),
        }


def hot_store(url: str, settings: RedisSettings, workers: int = 1) -> HotStore:
    """What `state.hot` names, not opened yet. Raises StateError."""
    if url == MEMORY:
        return MemoryHot(workers)
    try:
        return RedisHot(url, settings, workers)
    except ModuleNotFoundError as error:
        if error.name != "hiredis":
            raise
        raise StateError("state.hot: Redis needs the extra `redis`: pip install 'trunkline[redis]'") from None
