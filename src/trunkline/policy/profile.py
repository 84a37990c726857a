"""What a target was like over a span of recorded calls: how long its answers took, and how many failed.

How long an answer takes is taken to be linear in its tokens, and fitted by least squares, in one pass and constant
memory. `Spread` keeps how many durations lay where, to within 5 %.
"""

from __future__ import annotations

from math import exp, log

_STEP = log(1.05)
LEAST = 0.0001
"""Seconds: nothing shorter is told apart."""


class Spread:
    """Durations in seconds, by quantile. A few hundred counters at most."""

    __slots__ = ("_counts", "count", "total")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.total = 0.0

    def add(self, seconds: float) -> None:
        bucket = int(log(max(seconds, LEAST) / LEAST) / _STEP)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """Seconds that so large a share of them did not exceed; None where there are none."""
        left = share * self.count
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                return LEAST * exp((bucket + 0.5) * _STEP)
        return None


class Line:
    """Least squares: `y = base + slope * x`, neither below zero."""

    __slots__ = ("_n", "_x", "_xx", "_xy", "_y")

    def __init__(self) -> None:
        self._n = 0
        self._x = self._y = self._xx = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        self._n += 1
        self._x += x
        self._y += y
        self._xx += x * x
        self._xy += x * y

    def at(self, x: float) -> float | None:
        """None where nothing was added."""
        if not self._n:
            return None
        mean_x, mean_y = self._x / self._n, self._y / self._n
        spread = self._xx / self._n - mean_x * mean_x
        slope = (self._xy / self._n - mean_x * mean_y) / spread if spread > 1e-9 else 0.0
        slope = min(max(slope, 0.0), mean_y / mean_x if mean_x > 0.0 else 0.0)
        return max(0.0, mean_y - slope * mean_x) + slope * x


class Profile:
    """One target. Times in seconds."""

    __slots__ = ("attempts", "began", "failed", "failures", "whole")

    def __init__(self) -> None:
        self.attempts = 0
        self.failures = 0
        """Attempts that failed by the target's fault."""
        self.began = Spread()
        """To the first byte, of streams."""
        self.whole = Line()
        """To the end, by tokens of output."""
        self.failed = Spread()
        """To a failure."""

    @property
    def failing(self) -> float:
        """The share of its attempts that failed."""
        return self.failures / self.attempts if self.attempts else 0.0
