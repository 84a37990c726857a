"""When a second attempt may run beside a slow first one, and how much of that there may be.

After G. Tene's and J. Dean's observation that waiting for the slowest twentieth costs most ("The Tail at Scale", CACM
56.2, 2013): a second request at the 95th percentile adds a twentieth of load. Finagle's backup requests bound it by a
budget without a floor; here the budget is of prompt, since that is what is paid for twice.
"""

from __future__ import annotations

from collections.abc import Callable

PERCENTILE = 0.95
REFRESH = 3.0
"""Seconds that a percentile is used before it is looked at again."""
MEMORY = 1000
"""Calls of mean size whose share may be saved up."""


class HedgeBudget:
    """`share`: prompt that may be sent twice, of all that is sent. Sizes in whatever unit, always the same."""

    __slots__ = ("_balance", "_mean", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._balance = 0.0
        self._mean = 0.0

    def saw(self, size: int) -> None:
        """A call has come."""
        self._mean += (size - self._mean) / 100 if self._mean else size
        self._balance = min(self._balance + size * self._share, self._mean * self._share * MEMORY)

    def withdraw(self, size: int) -> bool:
        """Whether a second attempt of this size is in the budget; then it is taken."""
        if self._balance < size:
            return False
        self._balance -= size
        return True


class Percentile:
    """What `look` says, asked again every few seconds. `look` takes the share and the time."""

    __slots__ = ("_due", "_known", "_look")

    def __init__(self, look: Callable[[float, float], float | None]) -> None:
        self._look = look
        self._due = float("-inf")
        self._known: float | None = None

    def at(self, now: float) -> float | None:
        """Seconds; None where too little is known."""
        if now >= self._due:
            self._due = now + REFRESH
            self._known = self._look(PERCENTILE, now)
        return self._known
