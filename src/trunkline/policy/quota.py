"""How limits count: windows, the buckets in them, and whether an amount still fits. Integers only; no clock.

Every store of counters does this arithmetic (`state/counters_memory.py` with these functions, Redis with a script that
says the same), and a test holds them against each other.

A *fixed* window is one bucket: it begins with the minute, the hour, the day or the month of UTC and is forgotten at
once when the next begins. A *rolling* window is sixty buckets: an amount counts until the whole of its bucket has left
the window, so that no stretch of the window's length ever holds more than the limit. (The usual weighting of the last
fixed window lets more through, or less.) The price is that an amount may count for a sixtieth of the window too long.

Amounts never move: what is taken in a bucket is settled in that bucket, and not at all once that is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.core.limit import MONTH, Span, Want, Window

PARTS = 60
"""Buckets of a rolling window."""
LEASE_STEP = 1000
"""Milliseconds: leases end on whole seconds, so that a store finds those that have ended without sorting them."""

_DAY = 86_400_000
_LENGTHS: dict[Span, int] = {"minute": 60_000, "hour": 3_600_000, "day": _DAY, "month": 30 * _DAY}
"""Milliseconds. A rolling month is thirty days."""

NOW = Window("now", 0, 0)
"""Of what is going on: an amount counts until it is given back."""

FIXED: dict[Span, Window] = {
    span: Window(span, MONTH if span == "month" else length, 0) for span, length in _LENGTHS.items()
}
ROLLING: dict[Span, Window] = {
    span: Window(f"rolling {span}", length // PARTS, PARTS) for span, length in _LENGTHS.items()
}
WINDOWS: dict[str, Window] = {each.name: each for each in (NOW, *FIXED.values(), *ROLLING.values())}
"""By name."""


def bucket_at(window: Window, now: int) -> int:
    """The number of the bucket of this moment (milliseconds since the epoch)."""
    if window.width > 0:
        return now // window.width
    return 0 if window.width == 0 else _month_of(now // _DAY)


def start_of(window: Window, bucket: int) -> int:
    """When a bucket begins, milliseconds since the epoch. Not for `NOW`."""
    return bucket * window.width if window.width > 0 else _first_day_of(bucket) * _DAY


def end_of(window: Window, bucket: int) -> int:
    """When a bucket is forgotten: what was taken in it can be taken anew."""
    return start_of(window, bucket + window.kept + 1)


def lives(window: Window, bucket: int, present: int) -> bool:
    """Whether a bucket counts while `present` is the bucket of the moment."""
    return present - bucket <= window.kept


def lease_end(now: int, lease: int) -> int:
    """When a lease of so many milliseconds ends: at the next whole second."""
    return -(-(now + lease) // LEASE_STEP) * LEASE_STEP


def opening(window: Window, buckets: Sequence[tuple[int, int]], amount: int, most: int, now: int) -> int | None:
    """Milliseconds until the amount fits, if nothing else is taken: 0 for what can end at any moment (`NOW`), None if
    it never will. `buckets`: the living ones and what they hold, the oldest first; together with the amount they are
    too much now."""
    if amount > most:
        return None
    if window.width == 0:
        return 0
    total = sum(held for _, held in buckets)
    for bucket, held in buckets:
        total -= held
        if total + amount <= most:
            return end_of(window, bucket) - now
    return 0  # not reached: an empty window has room for what is no larger than its limit


def tightest(refused: Sequence[tuple[int, int | None]]) -> tuple[int, int | None]:
    """Of the limits that refuse (position, wait), the one that holds longest: one that never opens before all, the
    first of equals."""
    return max(refused, key=lambda each: float("inf") if each[1] is None else each[1])


def reset_of(want: Want, now: int) -> int:
    """Milliseconds until all that is taken now has left the window; 0 for `NOW`."""
    window = want.window
    return end_of(window, bucket_at(window, now)) - now if window.width else 0


def _month_of(day: int) -> int:
    """Months from January of year 0 to the month of this day, days counted from the epoch. The calendar as shifted
    years that begin in March: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days."""
    shifted = day + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153  # 0 is March
    return (year_of_era + era * 400) * 12 + month + 2


def _first_day_of(month: int) -> int:
    """The day, counted from the epoch, on which a month begins (days_from_civil, as above)."""
    year, shifted = divmod(month - 2, 12)
    era = year // 400
    year_of_era = year - era * 400
    of_year = (153 * shifted + 2) // 5
    of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year
    return era * 146_097 + of_era - 719_468
