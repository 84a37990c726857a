"""How many calls at a time a target bears, learned from it, so that one that is overloaded is not buried.

There is no ceiling until there is a sign: refusals for overload, or streams that begin late while many are in work.
Then it is set below what was in work, and followed in slices of a second: down by the gradient of usual to present time
to first byte (Netflix's Gradient2), by a quarter for refusals (AIMD's sharp step), and up by its square root while it
is used. A ceiling that nobody has touched for a while is lifted.

Pure: time is an argument, in seconds.
"""

from __future__ import annotations

from math import sqrt
from typing import Annotated

from msgspec import Meta, Struct

SLICE = 1.0
ENOUGH = 10
"""First bytes in a slice from which on their mean says something."""
TOLERANCE = 2.0
"""So many times the usual is still no queue: answers differ."""
STEEPEST = 0.5
DROP = 0.75
"""What is left of the ceiling after a slice with refusals for overload."""
SMOOTHING = 0.5
CALM = 30
"""Slices that the ceiling must not have been touched for, before it is lifted."""


class ConcurrencySettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `routing.concurrency:` section: how many calls at a time a target is given, when it shows that it has too
    many. `max_concurrency` of a target is a bound beside it."""

    adaptive: bool = True
    """Whether that is learned from how it answers."""
    floor: Annotated[int, Meta(ge=1, le=100_000)] = 16
    """What is learned is never less than this."""


class Ceiling:
    """`limit`: calls at a time; None: as many as there are."""

    __slots__ = ("_count", "_due", "_overloaded", "_peak", "_sum", "_untouched", "limit", "settings")

    def __init__(self, settings: ConcurrencySettings) -> None:
        self.settings = settings
        self.limit: int | None = None
        self._untouched = 0
        self._due = float("-inf")
        self._peak = self._count = 0
        self._sum = 0.0
        self._overloaded = False

    def began(self, pending: int) -> None:
        if pending > self._peak:
            self._peak = pending

    def answered(self, begun: float, pending: int, usual: float | None, now: float) -> None:
        """A stream has begun, after `begun` seconds; `usual`: the median of many."""
        self._sum += begun
        self._count += 1
        if now >= self._due:
            self._turn(pending, usual, now)

    def overloaded(self, pending: int, usual: float | None, now: float) -> None:
        """A call was refused because there are too many."""
        self._overloaded = True
        if now >= self._due:
            self._turn(pending, usual, now)

    def lapse(self, now: float) -> None:
        """Nothing has been heard for long: what was learned is lifted."""
        if self.limit is not None and now >= self._due + CALM * SLICE:
            self.limit = None

    def _turn(self, pending: int, usual: float | None, now: float) -> None:
        """A slice is over."""
        gradient = self._gradient(usual)
        if gradient < 1.0:
            self._lower(gradient)
        elif self.limit is not None:
            self._raise(self.limit)
        self._due = now + SLICE
        self._peak, self._count, self._sum, self._overloaded = pending, 0, 0.0, False

    def _gradient(self, usual: float | None) -> float:
        gradient = DROP if self._overloaded else 1.0
        if usual is not None and self._count >= ENOUGH:
            short = self._sum / self._count
            gradient = min(gradient, max(STEEPEST, TOLERANCE * usual / short)) if short > 0.0 else gradient
        return gradient

    def _lower(self, gradient: float) -> None:
        floor = self.settings.floor
        if not self.settings.adaptive or self._peak <= floor:
            return
        base = self._peak if self.limit is None else min(self.limit, self._peak)
        self._untouched = 0
        self.limit = max(floor, int(base * (1.0 - SMOOTHING * (1.0 - gradient) if not self._overloaded else gradient)))

    def _raise(self, limit: int) -> None:
        if self._peak * 2 >= limit:
            self._untouched = 0
            self.limit = limit + max(1, int(sqrt(limit)))
            return
        self._untouched += 1
        if self._untouched >= CALM:
            self.limit = None
