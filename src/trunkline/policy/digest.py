"""How long something takes: lately, and usually. A histogram whose buckets grow by a fifth, so that any quantile is
right to about a tenth and an observation costs one addition.

Lately is the present period and the one before. Usually is the median of many periods, in which each period has the
same small say however busy it was: so a quarter of an hour must pass before what is new counts as usual.
"""

from __future__ import annotations

from math import log2

PERIOD = 10.0
"""Seconds."""
FADE = 0.99
"""What is left of the usual after a period: half after eleven minutes."""
SAY = 2.0
"""Observations that one period may add to the usual."""
ENOUGH = 20.0
"""Observations from which on something is usual."""

_LEAST = 0.001
"""Seconds: the bound of the first bucket."""
_STEPS = 4
"""Buckets in which the bound doubles."""
_COUNT = 84
"""The last bucket holds all above half an hour."""


class Digest:
    """`usual`: seconds, None where too little is known. Costs next to nothing before the first observation."""

    __slots__ = ("_before", "_due", "_long", "_present", "usual")

    def __init__(self) -> None:
        self.usual: float | None = None
        self._present: list[int] = []
        self._before: list[int] = []
        self._long: list[float] = []
        self._due = float("-inf")

    def add(self, seconds: float, now: float) -> None:
        if now >= self._due:
            self._turn(now)
        bucket = int(log2(seconds / _LEAST) * _STEPS) + 1 if seconds > _LEAST else 0
        self._present[bucket if bucket < _COUNT else _COUNT - 1] += 1

    def quantile(self, share: float, now: float) -> float | None:
        """Of the last ten to twenty seconds, or of the usual where that is too little; None where nothing is known."""
        if not self._long:
            return None
        if now >= self._due:
            self._turn(now)
        lately = [a + b for a, b in zip(self._present, self._before, strict=True)]
        if sum(lately) >= ENOUGH:
            return _quantile(lately, share)
        return _quantile([a + b for a, b in zip(self._long, lately, strict=True)], share)

    def _turn(self, now: float) -> None:
        """One period or more have passed."""
        if self._long:
            periods = 1 + int((now - self._due) / PERIOD)
            seen = sum(self._present)
            say = SAY if sum(self._long) >= ENOUGH else ENOUGH
            fade, share = FADE**periods, min(1.0, say / seen) if seen else 0.0
            self._long = [a * fade + b * share for a, b in zip(self._long, self._present, strict=True)]
            self.usual = _quantile(self._long, 0.5) if sum(self._long) >= ENOUGH / 2 else None
            self._before = self._present if periods == 1 else [0] * _COUNT
        else:
            self._long, self._before = [0.0] * _COUNT, [0] * _COUNT
        self._present = [0] * _COUNT
        self._due = now + PERIOD


def _quantile(counts: list[int] | list[float], share: float) -> float | None:
    total = sum(counts)
    if not total:
        return None
    wanted = total * share
    running = 0.0
    for position, count in enumerate(counts):
        running += count
        if running >= wanted and count:
            return _middle(position)
    return _middle(_COUNT - 1)


def _middle(position: int) -> float:
    """Seconds, in the middle of a bucket."""
    return float(_LEAST * 2.0 ** ((position - 0.5) / _STEPS))
