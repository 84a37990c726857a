"""When a target is probed, and how often at most."""

from __future__ import annotations

import pytest

from trunkline.policy.breaker import HealthSettings
from trunkline.policy.probing import Budget, ProbeSettings, due
from trunkline.policy.standing import Board, Standing

NEVER = float("-inf")


def a_target() -> Standing:
    return Board(HealthSettings(first=1000.0, longest=1000.0), draw=lambda: 1.0).of("one/a")


def test_one_that_is_out_is_probed_every_so_often() -> None:
    target, settings = a_target(), ProbeSettings(every=10.0)
    assert not due(target, settings, NEVER, 100.0)
    target.told("told", "dead", 100.0)
    assert not due(target, settings, NEVER, 109.0)
    assert due(target, settings, NEVER, 110.0)
    assert not due(target, settings, 110.0, 119.0)
    assert due(target, settings, 110.0, 120.0)
    target.proved(120.0)
    assert not due(target, settings, 110.0, 500.0)


def test_one_that_nobody_asks_is_probed_where_that_is_wanted() -> None:
    target = a_target()
    target.began(100.0)
    for settings, wanted in ((ProbeSettings(), False), (ProbeSettings(idle=60.0), True)):
        assert not due(target, settings, NEVER, 1000.0)  # a call is in work
        target.pending = 0
        assert due(target, settings, NEVER, 160.0) is wanted
        assert not due(target, settings, NEVER, 159.0)
        assert not due(target, settings, 150.0, 170.0)
        target.pending = 1


def test_the_budget_is_filled_by_the_hour() -> None:
    budget = Budget(ProbeSettings(budget=6))
    assert [budget.take(0.0) for _ in range(7)] == [True] * 6 + [False]
    assert not budget.take(599.0)
    assert budget.take(601.0)
    assert [budget.take(1e6) for _ in range(7)] == [True] * 6 + [False]


@pytest.mark.parametrize("hours", [1, 5])
def test_no_more_than_the_budget_in_any_hour_once_it_is_used_up(hours: int) -> None:
    budget = Budget(ProbeSettings(budget=60))
    taken = sum(budget.take(float(second)) for second in range(hours * 3600))
    assert taken <= 60 + 60 * hours
