"""Picking by rank: purely, and the power of two choices as its author has it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy.balance import first, spread, two, within

RANKS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)
DRAWN = st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))


@given(RANKS)
def test_the_first_of_the_best(ranks: list[float]) -> None:
    assert first(ranks) == ranks.index(min(ranks))


@given(RANKS, DRAWN)
def test_two_never_takes_the_worst_alone_and_never_one_twice(ranks: list[float], drawn: tuple[float, float]) -> None:
    taken = two(ranks, drawn)
    assert 0 <= taken < len(ranks)
    assert any(ranks[taken] <= ranks[other] for other in range(len(ranks)) if other != taken)


def test_of_two_the_better_one_is_always_taken() -> None:
    for drawn in ((0.0, 0.0), (0.5, 0.9), (0.99, 0.0)):
        assert two([2.0, 1.0], drawn) == 1


def test_equals_share_evenly() -> None:
    dice = random.Random(3)
    counts = [0, 0, 0]
    for _ in range(3000):
        counts[two([1.0, 1.0, 1.0], (dice.random(), dice.random()))] += 1
    assert all(900 < count < 1100 for count in counts)


def test_the_longest_queue_is_much_shorter_than_with_one_choice() -> None:
    """Mitzenmacher's result: ln ln n instead of ln n / ln ln n."""
    dice = random.Random(5)

    def longest(choices: int) -> int:
        queues = [0] * 500
        for _ in range(500):
            taken = two([float(each) for each in queues], (dice.random(), dice.random())) if choices == 2 else None
            queues[dice.randrange(500) if taken is None else taken] += 1
        return max(queues)

    assert longest(2) <= 3 < longest(1)


@given(RANKS, st.floats(0, 2))
def test_within_holds_the_best_and_nothing_beyond_the_tolerance(ranks: list[float], tolerance: float) -> None:
    kept = within(ranks, tolerance)
    best = min(ranks)
    assert ranks.index(best) in kept
    assert all(ranks[each] <= best + abs(best) * tolerance for each in kept)


def test_spread_is_even_and_always_the_same() -> None:
    lots = [spread(b"conversation %d" % number) for number in range(4000)]
    assert spread(b"conversation 7") == lots[7]
    assert all(
        900 < len([lot for lot in lots if quarter / 4 <= lot < (quarter + 1) / 4]) < 1100 for quarter in range(4)
    )
