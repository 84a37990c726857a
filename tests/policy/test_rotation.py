"""Equals in turn: weights hold exactly over a round, and what failed is left alone for as long as it should."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy.rotation import FIRST_REST, LONGEST_ADVICE, LONGEST_REST, Rotation


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 3))
def test_over_whole_rounds_the_shares_are_the_weights(weights: list[int], rounds: int) -> None:
    rotation = Rotation(weights)
    chosen = Counter(rotation.choose(0.0) for _ in range(rounds * sum(weights)))
    assert chosen == {each: rounds * weight for each, weight in enumerate(weights)}


def test_the_order_is_smooth() -> None:
    rotation = Rotation([5, 1, 1])
    assert [rotation.choose(0.0) for _ in range(7)] == [0, 0, 1, 0, 2, 0, 0]


def test_what_failed_rests_longer_each_time() -> None:
    rotation = Rotation([1, 1])
    rests = [rotation.rest(0, 0.0) for _ in range(12)]
    assert rests[:3] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]
    assert rests[-1] == LONGEST_REST
    rotation.well(0)
    assert rotation.rest(0, 1000.0) == FIRST_REST


def test_advice_is_followed_within_reason() -> None:
    rotation = Rotation([1])
    assert rotation.rest(0, 0.0, 7.0) == 7.0
    assert rotation.rest(0, 0.0, 86_400.0) == LONGEST_ADVICE


def test_the_rested_come_back() -> None:
    rotation = Rotation([1, 1])
    rotation.rest(0, 10.0, 5.0)
    assert {rotation.choose(14.9) for _ in range(4)} == {1}
    assert {rotation.choose(15.0) for _ in range(4)} == {0, 1}


def test_where_all_rest_the_least_rested_is_used_once() -> None:
    rotation = Rotation([1, 1, 1])
    for position, advice in enumerate((30.0, 10.0, 20.0)):
        rotation.rest(position, 0.0, advice)
    assert rotation.choose(1.0) == 1
    assert rotation.choose(1.0, {1}) is None


@given(st.sets(st.integers(0, 4), max_size=5))
def test_what_was_tried_is_not_tried_again(tried: set[int]) -> None:
    chosen = Rotation([1] * 5).choose(0.0, tried)
    assert chosen not in tried
    assert (chosen is None) is (len(tried) == 5)
