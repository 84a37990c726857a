"""How often and how soon to try again, so that trying again never makes an outage worse.

The budget is a token bucket filled by traffic (Finagle's RetryBudget): each call deposits a share of an attempt, each
further attempt takes a whole one, and what is not used is forgotten. The pause is drawn from the whole interval up to
an exponential bound ("full jitter": M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

from collections.abc import Callable

TTL = 10.0
"""Seconds of traffic that the budget remembers."""


class RetryBudget:
    """`share`: further attempts for each call; `floor`: further attempts a second that are always allowed, so that a
    quiet gateway can retry at all."""

    def __init__(self, share: float, floor: float) -> None:
        self._share = share
        self._floor = floor
        self._balance = floor * TTL
        self._traffic = 0.0
        self._at: float | None = None
        self.calls = 0
        """Calls that have come since the last look: whoever takes a call adds one, which is all that it pays."""

    def withdraw(self, now: float) -> bool:
        """Whether one more attempt is in the budget; then it is taken."""
        self._settle(now)
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True

    def _settle(self, now: float) -> None:
        """What calls and the floor have brought flows in; the bucket holds what `TTL` seconds bring. Of calls it is not
        known when they came: they count as spread evenly since the last look."""
        elapsed = TTL if self._at is None else max(0.0, now - self._at)
        self._at = now
        brought, self.calls = self.calls * self._share, 0
        self._traffic = self._traffic * max(0.0, 1.0 - elapsed / TTL) + brought * min(1.0, TTL / (elapsed or TTL))
        self._balance = min(self._balance + brought + self._floor * elapsed, self._floor * TTL + self._traffic)


def pause(number: int, base: float, longest: float, draw: Callable[[], float], advice: float | None = None) -> float:
    """Seconds before further attempt `number` (from 0). `draw` gives numbers from 0 to 1. A provider that says how long
    to wait is waited for at least so long."""
    drawn = draw() * min(longest, base * 2.0 ** min(number, 30))
    return drawn if advice is None else advice + drawn * 0.1
