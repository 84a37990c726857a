"""When a shared store counts as gone, and what each process may decide alone meanwhile. Pure: time is an argument.

A store that is slow is worse than one that is dead: everybody waits for it. So too many late answers open the breaker,
and while it is open nobody waits. Only the guard asks, now and then, whether the store answers in time again; several
answers in a row must, and the more often it has just failed the longer it is left alone. A flapping store is thereby
asked rarely.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

SUSPICION = 3.0
"""Failures, each of them forgiven by ten successes, that open the breaker: three in a row, or a tenth of all."""
FORGIVENESS = 0.1
PROOFS = 3
"""Answers in time, one after the other, that close it."""
SHORTEST_HOLD = 0.5
LONGEST_HOLD = 15.0
"""Seconds for which an open breaker stays open at least: doubled each time it opens again soon, up to the longest."""
CALM = 30.0
"""Seconds of health after which what was before is forgotten."""


class RedisSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `state.redis:` section: what a Redis in `state.hot` may cost, and what happens without it."""

    deadline: Annotated[float, Meta(ge=0.002, le=1.0)] = 0.02
    """Seconds that a call waits for Redis to decide on its limits. What comes later this process decides alone."""
    when_down: Literal["share", "refuse"] = "share"
    """While Redis does not answer: `share`, each process admits its share of every limit, so that together they admit
    about what was left of it; `refuse`, calls that have limits get 503."""
    processes: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """How many processes share the limits, at least, when Redis cannot be asked. Where left out: as many as were
    alive when it last answered, or `server.workers`."""
    prefix: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,64}$")] = "trunkline"
    """What our keys in Redis begin with: gateways with the same one share what they count."""


class StoreBreaker:
    """Whether to ask the store, by how it has answered. Times in seconds of any one clock."""

    def __init__(self) -> None:
        self.open = True
        """It begins so, and one answer is enough then."""
        self._suspicion = 0.0
        self._proofs = PROOFS - 1
        self._hold = SHORTEST_HOLD
        self._until = 0.0
        self._closed_at = 0.0

    def succeeded(self) -> None:
        """An answer came in time."""
        if self._suspicion:
            self._suspicion = max(0.0, self._suspicion - FORGIVENESS)

    def failed(self, now: float) -> bool:
        """None came in time. Whether that opened the breaker."""
        self._suspicion += 1.0
        return self._suspicion >= SUSPICION and self.trip(now)

    def trip(self, now: float) -> bool:
        """Open at once: the connection is gone. Whether it was closed before."""
        self._proofs = 0
        if self.open:
            return False
        self.open = True
        self._hold = SHORTEST_HOLD if now - self._closed_at > CALM else min(self._hold * 2, LONGEST_HOLD)
        self._until = now + self._hold
        return True

    def proved(self, now: float, in_time: bool) -> bool:
        """What came of the guard's own question while the breaker is open. Whether the store may be used again: the
        caller puts things in order first and then calls `close`."""
        self._proofs = self._proofs + 1 if in_time else 0
        return self._proofs >= PROOFS and now >= self._until

    def close(self, now: float) -> None:
        self.open, self._suspicion, self._proofs, self._closed_at = False, 0.0, 0, now


def share(limit: int, processes: int) -> int:
    """One of `processes` equal parts of a limit, at least 1 where the limit is: more processes than units would
    otherwise stand still. Together they are at most `limit`, or `processes` where that is more."""
    return max(limit // processes, min(limit, 1))
