"""Equals in turn: weights hold exactly over a round, and what failed is left alone for as long as it should."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy.rotation import (
    FIRST_REST,
    FIRST_RETIREMENT,
    LONGEST_ADVICE,
    LONGEST_REST,
    LONGEST_RETIREMENT,
    MAX_MODELS,
    TRIAL,
    Rotation,
)


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
    rests = [rotation.rest(0, 0.0, None) for _ in range(12)]
    assert rests[:3] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]
    assert rests[-1] == LONGEST_REST
    rotation.well(0, 1000.0)
    assert rotation.rest(0, 1000.0, None) == FIRST_REST


def test_advice_is_followed_within_reason() -> None:
    rotation = Rotation([1])
    assert rotation.rest(0, 0.0, 7.0) == 7.0
    assert rotation.rest(0, 0.0, 86_400.0) == LONGEST_ADVICE


def test_a_lot_always_falls_to_the_same_one_by_weight_unless_that_rests() -> None:
    rotation = Rotation([3, 1])
    taken = [rotation.at(lot / 1000, 0.0) for lot in range(1000)]
    assert taken == [rotation.at(lot / 1000, 9.0) for lot in range(1000)]
    assert (taken.count(0), taken.count(1)) == (750, 250)
    rotation.rest(0, 0.0, 5.0)
    assert rotation.at(0.1, 1.0) is None
    assert rotation.at(0.1, 6.0) == 0
    assert rotation.at(0.9, 1.0) == 1


def test_the_rested_come_back() -> None:
    rotation = Rotation([1, 1])
    rotation.rest(0, 10.0, 5.0)
    assert {rotation.choose(14.9) for _ in range(4)} == {1}
    assert {rotation.choose(15.0) for _ in range(4)} == {0, 1}


def test_a_rest_for_one_model_is_none_for_another() -> None:
    rotation = Rotation([1, 1])
    rotation.rest(0, 0.0, 60.0, model="a")
    assert {rotation.choose(1.0, (), "a") for _ in range(4)} == {1}
    assert {rotation.choose(1.0, (), "b") for _ in range(4)} == {0, 1}
    rotation.rest(0, 1.0, 60.0)
    assert {rotation.choose(2.0, (), "b") for _ in range(4)} == {1}


def test_where_all_rest_the_least_rested_is_used_once() -> None:
    rotation = Rotation([1, 1, 1])
    for position, advice in enumerate((30.0, 10.0, 20.0)):
        rotation.rest(position, 0.0, advice)
    assert rotation.choose(1.0) == 1
    assert rotation.choose(1.0, {1}) is None


def test_one_that_rests_comes_before_one_that_is_retired() -> None:
    rotation = Rotation([1, 1])
    rotation.retire(0, 0.0, "revoked")
    rotation.rest(1, 0.0, LONGEST_ADVICE)
    assert rotation.choose(1.0) == 1


def test_a_retired_one_is_tried_by_one_call_in_a_long_while() -> None:
    rotation = Rotation([1, 1])
    assert rotation.retire(0, 0.0, "revoked") == FIRST_RETIREMENT
    due = FIRST_RETIREMENT
    assert {rotation.choose(due - 1.0) for _ in range(9)} == {1}
    assert Counter(rotation.choose(due) for _ in range(9))[0] == 1
    assert rotation.retire(0, due, "revoked") == 2 * FIRST_RETIREMENT
    spans = [rotation.retire(0, due, "revoked") for _ in range(9)]
    assert spans[-1] == LONGEST_RETIREMENT


def test_a_trial_that_succeeds_brings_it_back_and_an_earlier_call_does_not() -> None:
    rotation = Rotation([1, 1])
    rotation.retire(0, 0.0, "revoked")
    assert not rotation.well(0, 1.0)
    assert {rotation.choose(2.0) for _ in range(4)} == {1}
    while rotation.choose(FIRST_RETIREMENT) != 0:
        pass
    assert rotation.well(0, FIRST_RETIREMENT + TRIAL / 2)
    assert {rotation.choose(FIRST_RETIREMENT + 1.0) for _ in range(4)} == {0, 1}
    assert [*rotation.held()] == []


def test_a_trial_whose_call_never_ends_is_followed_by_another() -> None:
    rotation = Rotation([1, 1])
    rotation.retire(0, 0.0, "revoked")
    trials = [now for now in range(300, 400) for _ in range(2) if rotation.choose(float(now)) == 0]
    assert trials == [300, 330, 360, 390]


def test_another_secret_is_another_credential() -> None:
    rotation = Rotation([1, 1])
    rotation.retire(0, 0.0, "revoked")
    rotation.rest(0, 0.0, 60.0, model="a")
    rotation.renew(0)
    assert {rotation.choose(0.0, (), "a") for _ in range(4)} == {0, 1}


def test_what_is_known_of_models_is_bounded() -> None:
    rotation = Rotation([1])
    for number in range(3 * MAX_MODELS):
        rotation.rest(0, 0.0, 60.0, model=f"m{number}")
    assert len([*rotation.held()]) <= MAX_MODELS
    assert not rotation.free(0, 1.0, f"m{3 * MAX_MODELS - 1}")


@given(st.sets(st.integers(0, 4), max_size=5))
def test_what_was_tried_is_not_tried_again(tried: set[int]) -> None:
    chosen = Rotation([1] * 5).choose(0.0, tried)
    assert chosen not in tried
    assert (chosen is None) is (len(tried) == 5)
