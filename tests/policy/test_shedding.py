"""Shedding: the least urgent first, without flicker, and one stall is no overload."""

from __future__ import annotations

import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st

from trunkline.core.call import PRIORITIES, Priority
from trunkline.core.errors import Overloaded
from trunkline.policy.shedding import COME_BACK, REFUSED_FROM, TAKEN_BELOW, Shedding, given


def under(load: float) -> Shedding:
    """Long enough for the delay to be smooth."""
    shedding = Shedding(lag=1.0, memory=0)
    for _ in range(60):
        shedding.observe(load, 0)
    return shedding


@pytest.mark.parametrize(
    ("load", "refused"),
    [
        (0.0, set()),
        (0.49, set()),
        (0.51, {"batch"}),
        (0.74, {"batch"}),
        (0.76, {"batch", "default"}),
        (0.99, {"batch", "default"}),
        (1.01, {"batch", "default", "interactive"}),
    ],
)
def test_the_least_urgent_are_refused_first(load: float, refused: set[Priority]) -> None:
    assert under(load).refused == refused


@given_by(st.lists(st.floats(0.0, 10.0), max_size=50), st.lists(st.integers(0, 200), min_size=50, max_size=50))
def test_nobody_is_refused_before_somebody_less_urgent(lags: list[float], memory: list[int]) -> None:
    shedding = Shedding(lag=1.0, memory=100)
    for lag, held in zip(lags, memory, strict=False):
        shedding.observe(lag, held)
        refused = [each in shedding.refused for each in PRIORITIES]
        assert refused == sorted(refused)


def test_near_the_border_nothing_flickers() -> None:
    shedding = under(0.51)
    changes = sum(shedding.observe(load, 0) for load in [0.45, 0.55] * 50)
    assert changes == 0
    assert shedding.refused == {"batch"}
    for _ in range(60):
        shedding.observe(REFUSED_FROM["batch"] * TAKEN_BELOW - 0.01, 0)
    assert shedding.refused == set()


def test_one_stall_is_no_overload() -> None:
    shedding = Shedding(lag=1.0, memory=0)
    assert not shedding.observe(1.9, 0)
    assert shedding.refused == set()


def test_memory_counts_at_once() -> None:
    shedding = Shedding(lag=0.0, memory=1000)
    assert shedding.observe(99.0, 500)
    assert shedding.refused == {"batch"}
    assert shedding.observe(99.0, 1000)
    assert shedding.refused == set(PRIORITIES)
    assert shedding.observe(99.0, 300)
    assert shedding.refused == set()


def test_without_bounds_nothing_is_refused() -> None:
    shedding = Shedding(lag=0.0, memory=0)
    assert not shedding.observe(1e6, 1 << 50)


def test_the_refusal_says_when_to_come_back() -> None:
    shedding = under(0.8)
    shedding.check("interactive")
    for priority in ("default", "batch"):
        with pytest.raises(Overloaded) as caught:
            shedding.check(priority)
        assert (caught.value.code, caught.value.retry_after) == ("shed", COME_BACK[priority])


@pytest.mark.parametrize(
    ("asked", "own", "gets"),
    [
        ("interactive", "default", "default"),
        ("interactive", "interactive", "interactive"),
        ("batch", "interactive", "batch"),
        ("default", "batch", "batch"),
    ],
)
def test_a_call_may_ask_for_less_and_never_for_more(asked: Priority, own: Priority, gets: Priority) -> None:
    assert given(asked, own) == gets
