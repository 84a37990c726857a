"""Where conversations are at home, known to all processes: each keeps its own table and tells the others what is new.

A conversation's next turn may come to any worker. It is looked up in that worker's own memory, so that it costs no
round trip; what this one learns the others get as hints, gathered for a moment, and only where it says something new.
A worker that misses one sends the conversation where its strategy says, and learns.
"""

from __future__ import annotations

import asyncio

from msgspec import Struct

from trunkline.core.stores import Hints
from trunkline.policy.affinity import Bond, MemoryAffinities

TOPIC = "homes"
EVERY = 0.1
"""Seconds for which news are gathered."""
MAX_NEWS = 400
"""Bonds in a message; what is beyond is not told. A name and a target of usual length: 64 kB."""
FRESH = 0.5
"""A bond is told again when it would last so much longer, as a share of its time."""
MAX_TTL = 86_400.0
"""Seconds; what others say of a bond that would last longer is cut."""


class Home(Struct, array_like=True):
    name: bytes
    target: str
    cached: int
    ttl: float


class SharedAffinities:
    """`policy.affinity.Affinities`, on one event loop."""

    def __init__(self, own: MemoryAffinities, hints: Hints) -> None:
        self._own = own
        self._hints = hints
        self._news: dict[bytes, Home] = {}
        self._heard: list[Home] = []
        hints.listen(TOPIC, list[Home], self._heard.extend)

    def find(self, name: bytes, now: float) -> Bond | None:
        if self._heard:
            self._learn(now)
        return self._own.find(name, now)

    def keep(self, name: bytes, target: str, cached: int, ttl: float, now: float) -> None:
        before = self._own.find(name, now)
        self._own.keep(name, target, cached, ttl, now)
        known = before is not None and before.target == target and before.expires - now > ttl * FRESH
        if not known and len(self._news) < MAX_NEWS:
            if not self._news:
                asyncio.get_running_loop().call_later(EVERY, self._tell)
            self._news[name] = Home(name, target, cached, ttl)

    def _tell(self) -> None:
        news = list(self._news.values())
        self._news.clear()
        self._hints.publish(TOPIC, news)

    def _learn(self, now: float) -> None:
        """What the others have told since the last call; the caller's clock is not ours, so it waited for a call."""
        for home in self._heard[-MAX_NEWS * 10 :]:
            self._own.keep(home.name, home.target, home.cached, min(home.ttl, MAX_TTL), now)
        self._heard.clear()
