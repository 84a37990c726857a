"""What is learned of a target in one pass: quantiles to within 5 %, and a line through its durations."""

from __future__ import annotations

import random
from statistics import mean, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy.profile import LEAST, Line, Profile, Spread


def test_quantiles_are_right_to_within_a_twentieth() -> None:
    dice = random.Random(2)
    durations = [dice.lognormvariate(0.0, 1.0) for _ in range(5000)]
    spread = Spread()
    for each in durations:
        spread.add(each)
    cuts = quantiles(durations, n=100)
    assert spread.quantile(0.5) == pytest.approx(cuts[49], rel=0.05)
    assert spread.quantile(0.95) == pytest.approx(cuts[94], rel=0.05)
    assert spread.mean == pytest.approx(mean(durations))


def test_of_nothing_nothing_is_known() -> None:
    assert (Spread().quantile(0.5), Spread().mean, Line().at(10.0), Profile().failing) == (None, None, None, 0.0)


def test_the_shortest_are_told_as_the_least() -> None:
    spread = Spread()
    spread.add(0.0)
    assert spread.quantile(0.5) == pytest.approx(LEAST, rel=0.05)


def test_a_line_is_found_again() -> None:
    line = Line()
    for tokens in (10, 50, 200, 1000):
        line.add(tokens, 0.5 + 0.02 * tokens)
    assert line.at(400) == pytest.approx(8.5)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(0, 600)), min_size=1, max_size=40), st.integers(0, 10_000))
def test_no_answer_is_thought_to_take_less_than_nothing(seen: list[tuple[int, float]], tokens: int) -> None:
    line = Line()
    for x, y in seen:
        line.add(x, y)
    found = line.at(tokens)
    assert found is not None
    assert found >= 0.0
