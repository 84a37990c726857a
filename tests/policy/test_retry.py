"""The budget of further attempts and the pauses between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy.retry import TTL, RetryBudget, pause


def drained(budget: RetryBudget, now: float) -> int:
    """How many attempts can be withdrawn at one moment."""
    taken = 0
    while budget.withdraw(now):
        taken += 1
    return taken


def test_a_quiet_gateway_has_its_floor() -> None:
    budget = RetryBudget(share=0.2, floor=1.0)
    assert drained(budget, 100.0) == 10
    assert drained(budget, 103.0) == 3
    assert drained(budget, 1000.0) == 10


def test_calls_bring_their_share_and_it_fades() -> None:
    budget = RetryBudget(share=0.2, floor=0.0)
    budget.calls = 100
    assert drained(budget, 0.0) == 20
    assert drained(budget, 1.0) == 0
    budget.calls = 100
    assert budget.withdraw(2.0)
    assert drained(budget, 2.0 + TTL) == 0


def test_of_calls_over_a_long_time_only_the_last_seconds_count() -> None:
    budget = RetryBudget(share=1.0, floor=0.0)
    assert drained(budget, 0.0) == 0
    budget.calls = 1000
    assert drained(budget, 10 * TTL) == 100


@given(st.floats(0, 2), st.floats(0, 20), st.lists(st.tuples(st.floats(0, 3), st.integers(0, 50), st.integers(0, 100))))
def test_never_more_is_withdrawn_than_came_in(share: float, floor: float, story: list[tuple[float, int, int]]) -> None:
    budget = RetryBudget(share, floor)
    now = calls = taken = 0.0
    for elapsed, came, wanted in story:
        now += elapsed
        calls += came
        budget.calls += came
        taken += sum(budget.withdraw(now) for _ in range(wanted))
    assert taken <= share * calls + floor * (2 * TTL + now) + 1e-6


@pytest.mark.parametrize(
    ("number", "drawn", "advice", "seconds"),
    [(0, 1.0, None, 0.25), (1, 1.0, None, 0.5), (9, 1.0, None, 8.0), (3, 0.5, None, 1.0), (0, 0.0, 2.0, 2.0)],
)
def test_a_pause_is_drawn_from_an_interval_that_doubles(
    number: int, drawn: float, advice: float | None, seconds: float
) -> None:
    assert pause(number, 0.25, 8.0, lambda: drawn, advice) == seconds
