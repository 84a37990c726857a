"""How many calls at a time a target bears, learned from it, so that one that is overloaded is not buried.

There is no ceiling until there is a sign: a tenth of the calls are refused for overload. Then it is set below what was
in work, and followed in slices of a second: down by half the share that was refused, up by its square root while it is
used (AIMD with a decrease in proportion). So it comes to rest where both are equal: a hundredth of refusals, which is
everyday life, bounds nobody, a third leaves some forty calls. A ceiling that nobody has touched for a while is
lifted.

Late answers are a sign too where that is wanted: then the gradient of usual to present time to first byte lowers it
(Netflix's Gradient2). It is not by default. A provider that is slow for everybody is no quicker for whoever asks less.

Pure: time is an argument, in seconds.
"""

from __future__ import annotations

from math import sqrt
from typing import Annotated

from msgspec import Meta, Struct

SLICE = 1.0
"""A slice lasts longer where fewer calls than `ENOUGH` have ended in it."""
ENOUGH = 10
SIGN = 0.95
"""A ceiling is set where the slice would lower one to less than this."""
TOLERANCE = 2.0
"""So many times the usual is still no queue: answers differ."""
STEEPEST = 0.5
"""What one slice leaves of the ceiling at least."""
CALM = 30
"""Slices that the ceiling must not have been touched for, before it is lifted."""


class ConcurrencySettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `routing.concurrency:` section: how many calls at a time a target is given, when it shows that it has too
    many. `max_concurrency` of a target is a bound beside it."""

    adaptive: bool = True
    """Whether that is learned from its refusals for overload (503, 529, and what the families call so)."""
    latency: bool = False
    """Whether it is learned from streams that begin late, too. For models of your own, which let calls wait."""
    floor: Annotated[int, Meta(ge=1, le=100_000)] = 16
    """What is learned is never less than this."""


class Ceiling:
    """`limit`: calls at a time; None: as many as there are."""

    __slots__ = ("_begun", "_count", "_due", "_ended", "_peak", "_refused", "_untouched", "limit", "settings")

    def __init__(self, settings: ConcurrencySettings) -> None:
        self.settings = settings
        self.limit: int | None = None
        self._untouched = 0
        self._due = float("-inf")
        self._forget(0)

    def _forget(self, pending: int) -> None:
        """Begin a slice."""
        self._peak = pending
        self._ended = self._refused = self._count = 0
        self._begun = 0.0

    def began(self, pending: int) -> None:
        if pending > self._peak:
            self._peak = pending

    def answered(self, begun: float) -> None:
        """A stream has begun, after `begun` seconds."""
        self._begun += begun
        self._count += 1

    def ended(self, refused: bool, pending: int, usual: float | None, now: float) -> bool:
        """A call has ended; `refused`: because there were too many; `usual`: the median of many times to first byte.
        Returns whether the limit may have changed."""
        self._ended += 1
        if refused:
            self._refused += 1
        if now < self._due or self._ended < ENOUGH:
            return False
        self._turn(usual)
        self._due = now + SLICE
        self._forget(pending)
        return True

    def lapse(self, now: float) -> None:
        """Nothing has been heard for long: what was learned is lifted."""
        if self.limit is not None and now >= self._due + CALM * SLICE:
            self.limit = None

    def _turn(self, usual: float | None) -> None:
        """A slice is over."""
        limit, floor, factor = self.limit, self.settings.floor, self._factor(usual)
        if limit is None:
            if factor < SIGN and self._peak > floor and self.settings.adaptive:
                self.limit, self._untouched = max(floor, int(self._peak * factor)), 0
        elif self._peak * 2 >= limit:
            self.limit, self._untouched = max(floor, int(limit * factor + sqrt(limit))), 0
        else:
            self._untouched += 1
            if self._untouched >= CALM:
                self.limit = None

    def _factor(self, usual: float | None) -> float:
        """What the slice says should be left."""
        factor = 1.0 - self._refused / self._ended / 2
        if usual is not None and self.settings.latency and self._count >= ENOUGH:
            factor = min(factor, TOLERANCE * usual * self._count / max(self._begun, 1e-9))
        return max(STEEPEST, factor)
