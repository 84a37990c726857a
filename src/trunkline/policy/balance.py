"""One of several, from a number each: the lowest is best.

`two` is the power of two choices (M. Mitzenmacher, 1996; Finagle's and Envoy's default): the better of two drawn at
random. Whoever always took the best would send everything to one target as long as news of it are under way.

All is pure: what was drawn is an argument, so that a choice can be made again from what was written down of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

Pick = Callable[[Sequence[float], Sequence[float]], int]
"""(ranks, numbers drawn from 0 up to, not including, 1) to a position."""

NONE: tuple[float, ...] = ()


def first(ranks: Sequence[float], drawn: Sequence[float] = NONE) -> int:
    """The best; of equals the first."""
    return ranks.index(min(ranks))


def two(ranks: Sequence[float], drawn: Sequence[float]) -> int:
    """The better of two different ones; of equals the one that was drawn first. Takes two numbers."""
    count = len(ranks)
    one, other = int(drawn[0] * count), int(drawn[1] * (count - 1))
    if other >= one:
        other += 1
    return one if ranks[one] <= ranks[other] else other


def within(ranks: Sequence[float], tolerance: float) -> list[int]:
    """The positions of all that are as good as the best, but for a share of its rank (0.1: a tenth)."""
    best = min(ranks)
    bound = best + abs(best) * tolerance
    return [position for position, rank in enumerate(ranks) if rank <= bound]


def spread(text: bytes) -> float:
    """A number from 0 to 1 that is always the same for the same text, and evenly spread over different ones."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") / 2.0**64
