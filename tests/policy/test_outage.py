"""When a store counts as gone, and the shares of those who go on alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy.outage import CALM, LONGEST_HOLD, PROOFS, SHORTEST_HOLD, StoreBreaker, share


def closed(now: float = 0.0) -> StoreBreaker:
    breaker = StoreBreaker()
    breaker.close(now)
    return breaker


def recovery(breaker: StoreBreaker, now: float) -> float:
    """When a store that answers from `now` on, asked every tenth of a second, may be used again."""
    while not breaker.proved(now, in_time=True):
        now += 0.1
    breaker.close(now)
    return now


def test_a_new_one_wants_one_answer() -> None:
    breaker = StoreBreaker()
    assert breaker.open
    assert not breaker.proved(0.0, in_time=False)
    assert StoreBreaker().proved(0.0, in_time=True)


def test_three_in_a_row_open_it_and_single_ones_do_not() -> None:
    breaker = closed()
    assert [breaker.failed(0.0) for _ in range(3)] == [False, False, True]
    breaker = closed()
    for _ in range(1000):
        breaker.failed(0.0)
        for _ in range(10):
            breaker.succeeded()
    assert not breaker.open


def test_more_than_a_tenth_of_all_open_it() -> None:
    breaker = closed()
    for _ in range(30):
        breaker.failed(0.0)
        for _ in range(8):
            breaker.succeeded()
    assert breaker.open


def test_it_closes_after_answers_in_a_row() -> None:
    breaker = closed()
    breaker.trip(100.0)
    late = 100.0 + SHORTEST_HOLD
    assert [breaker.proved(late, in_time=True) for _ in range(PROOFS - 1)] == [False] * (PROOFS - 1)
    assert not breaker.proved(late, in_time=False)
    assert [breaker.proved(late, in_time=True) for _ in range(PROOFS)] == [False] * (PROOFS - 1) + [True]


def test_a_flapping_store_is_left_alone_ever_longer_and_a_calm_one_forgiven() -> None:
    breaker, now = closed(), 100.0
    holds = []
    for _ in range(8):
        breaker.trip(now)
        back = recovery(breaker, now)
        holds.append(back - now)
        now = back + 1.0
    assert holds == sorted(holds)
    assert holds[0] == pytest.approx(SHORTEST_HOLD, abs=0.15)
    assert holds[-1] == pytest.approx(LONGEST_HOLD, abs=0.15)
    now += CALM
    breaker.trip(now)
    assert recovery(breaker, now) - now == pytest.approx(SHORTEST_HOLD, abs=0.15)


def test_an_open_one_is_not_opened_again() -> None:
    breaker = closed()
    assert [breaker.trip(5.0), breaker.trip(5.0)] == [True, False]


@given(limit=st.integers(0, 10**15), processes=st.integers(1, 1000))
def test_shares_together_are_no_more_than_the_limit(limit: int, processes: int) -> None:
    assert share(limit, processes) * processes <= max(limit, processes if limit else 0)
    assert share(limit, processes) >= min(limit, 1)
