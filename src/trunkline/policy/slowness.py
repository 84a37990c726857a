"""What is too long for a target to answer, measured by what is usual of it; in words for people, "" where it is not.

A stream is judged by its first byte, any other answer by its length: how long it takes depends on how much is said.
`settings.slow_after`, a number of seconds, takes the place of both. Times in seconds; `usual` None: nothing is known.
"""

from __future__ import annotations

from trunkline.policy.breaker import HealthSettings

LEAST = 0.5
"""What begins sooner is never slow."""
OVERHEAD = 50
"""Tokens of output that the beginning of an answer takes as long as."""
WAITING = 5
"""Streams that must wait for their first byte together before a target's silence says anything."""
UNHEARD, LEAST_UNHEARD = 30.0, 10.0
"""A call that is given up after so long without an answer has failed; where it is known how long answers take, after
`slow` times that, and the second of these at least."""


def late(seconds: float, usual: float | None, settings: HealthSettings) -> str:
    """A stream that has begun after so long, or had not begun by then."""
    if settings.slow_after is not None:
        return over(seconds, settings.slow_after)
    if seconds < LEAST or usual is None or seconds <= usual * settings.slow:
        return ""
    return f"the answer began after {seconds:.1f} s, and {usual:.1f} s is usual"


def over(seconds: float, bound: float) -> str:
    return f"the answer began after {seconds:.1f} s, and {bound:g} s is slow" if seconds > bound else ""


def dragging(seconds: float, length: int, usual: float | None, settings: HealthSettings) -> str:
    """An answer that is no stream. `length`: its tokens and `OVERHEAD`; `usual`: for one of them."""
    if settings.slow_after is not None:
        return over(seconds, settings.slow_after)
    if seconds < LEAST or usual is None or seconds <= usual * length * settings.slow:
        return ""
    return f"an answer took {seconds:.1f} s, and {usual * length:.1f} s is usual for its length"


def silent(seconds: float, waiting: int, usual: float | None, settings: HealthSettings) -> str:
    """So many streams wait, and for so long none has begun."""
    bound = settings.slow_after
    if bound is None:
        bound = max(usual * settings.slow, LEAST) if usual is not None else UNHEARD
    if waiting <= WAITING or seconds <= bound:
        return ""
    return f"{waiting} streams wait, and none has begun for {seconds:.1f} s"


def unheard(seconds: float, usual: float | None, settings: HealthSettings) -> str:
    """A call that was given up after so long without an answer. `usual`: until there is one."""
    bound = UNHEARD if usual is None else max(LEAST_UNHEARD, usual * settings.slow)
    return f"no answer for {seconds:.0f} s, then it was given up" if seconds > bound else ""
