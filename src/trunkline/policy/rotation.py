"""Which of several equals is next: by weight, evenly spread, and leaving out for a while what has just failed.

Smooth weighted round robin, as nginx does it: each turn every candidate gains its weight, the richest is chosen and
pays the sum. With weights 5, 1, 1 the order is a a b a c a a rather than a a a a a b c.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

FIRST_REST = 2.0
"""Seconds that a failed one rests where nobody says how long; doubled each time that it fails again."""
LONGEST_REST = 300.0
LONGEST_ADVICE = 3600.0
"""Seconds: of a rest that was asked for, no more is believed (Azure asks for a day)."""
_DOUBLINGS = 10


class Rotation:
    """Positions 0 to n-1. `now` is any clock in seconds that only goes forward."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = tuple(weights)
        self._credit = [0.0] * len(self._weights)
        self._until = [float("-inf")] * len(self._weights)
        self._failures = [0] * len(self._weights)

    def choose(self, now: float, tried: Collection[int] = ()) -> int | None:
        """The next one. Where all rest, the one whose rest ends first, unless some were tried already: then there is
        nothing to hope for, and the answer is None."""
        able = [each for each, until in enumerate(self._until) if until <= now and each not in tried]
        if not able:
            return None if tried else min(range(len(self._until)), key=self._until.__getitem__)
        for each in able:
            self._credit[each] += self._weights[each]
        best = max(able, key=self._credit.__getitem__)
        self._credit[best] -= sum(self._weights[each] for each in able)
        return best

    def rest(self, position: int, now: float, advice: float | None = None) -> float:
        """It failed: let it rest, for as long as was advised. Returns the seconds."""
        seconds = min(FIRST_REST * (1 << self._failures[position]), LONGEST_REST)
        if advice is not None:
            seconds = min(advice, LONGEST_ADVICE)
        self._failures[position] = min(self._failures[position] + 1, _DOUBLINGS)
        self._until[position] = max(self._until[position], now + seconds)
        return seconds

    def well(self, position: int) -> None:
        """It did what was asked of it."""
        self._failures[position] = 0
