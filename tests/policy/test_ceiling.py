"""How many calls a target is given at a time, in slices of a second that the test runs through."""

from __future__ import annotations

import pytest

from trunkline.policy.ceiling import CALM, SLICE, Ceiling, ConcurrencySettings

USUAL = 0.2
BY_LATENCY = ConcurrencySettings(latency=True)


def slices(
    ceiling: Ceiling, count: int, pending: int, *, start: float = 0.0, refused: float = 0.0, begun: float = USUAL
) -> float:
    """So many slices, with so many calls in work or what the ceiling lets: that share of them is refused, the others
    begin after so long. Returns the end."""
    now, debt = start, 0.0
    for _ in range(count):
        at_once = pending if ceiling.limit is None else min(pending, ceiling.limit)
        ceiling.began(at_once)
        for number in range(100):
            debt += refused
            if debt < 1.0:
                ceiling.answered(begun)
            ceiling.ended(debt >= 1.0, at_once, USUAL, now + number / 101)
            debt -= debt >= 1.0
        now += SLICE
    return now


@pytest.mark.parametrize("refused", [0.0, 0.01, 0.05])
def test_there_is_none_as_long_as_few_are_refused(refused: float) -> None:
    ceiling = Ceiling(ConcurrencySettings())
    slices(ceiling, 60, 500, refused=refused)
    assert ceiling.limit is None


@pytest.mark.parametrize(("refused", "least", "most"), [(0.3, 25, 60), (0.6, 16, 20), (1.0, 16, 20), (0.15, 120, 200)])
def test_it_comes_to_rest_where_refusals_and_growth_are_equal(refused: float, least: int, most: int) -> None:
    ceiling = Ceiling(ConcurrencySettings())
    slices(ceiling, 120, 1000, refused=refused)
    assert ceiling.limit is not None
    assert least <= ceiling.limit <= most


def test_it_is_set_below_what_was_in_work() -> None:
    ceiling = Ceiling(ConcurrencySettings())
    slices(ceiling, 1, 200, refused=0.4)
    assert ceiling.limit == 160


def test_few_calls_are_never_too_many() -> None:
    ceiling = Ceiling(ConcurrencySettings(floor=16))
    slices(ceiling, 20, 16, refused=1.0)
    assert ceiling.limit is None


def test_it_grows_by_its_root_while_it_is_used_and_is_lifted_when_it_is_not() -> None:
    ceiling = Ceiling(ConcurrencySettings())
    now = slices(ceiling, 20, 200, refused=0.4)
    lowered = ceiling.limit
    assert lowered is not None
    now = slices(ceiling, 2, 200, start=now)
    assert ceiling.limit is not None
    assert ceiling.limit > lowered
    now = slices(ceiling, 25, 200, start=now)
    assert ceiling.limit >= 200
    slices(ceiling, CALM + 2, 20, start=now)
    assert ceiling.limit is None


def test_late_answers_are_no_sign_unless_that_is_wanted() -> None:
    plain, wanted = Ceiling(ConcurrencySettings()), Ceiling(BY_LATENCY)
    for ceiling in (plain, wanted):
        slices(ceiling, 40, 100, begun=USUAL * 4)
    assert plain.limit is None
    assert wanted.limit is not None
    assert 16 <= wanted.limit <= 20


def test_some_delay_is_no_queue() -> None:
    ceiling = Ceiling(BY_LATENCY)
    slices(ceiling, 40, 100, begun=USUAL * 1.8)
    assert ceiling.limit is None


def test_what_was_learned_does_not_outlast_a_long_silence() -> None:
    ceiling = Ceiling(ConcurrencySettings())
    now = slices(ceiling, 2, 100, refused=0.5)
    ceiling.lapse(now + 5.0)
    assert ceiling.limit is not None
    ceiling.lapse(now + CALM * SLICE + 5.0)
    assert ceiling.limit is None


def test_it_can_be_switched_off() -> None:
    ceiling = Ceiling(ConcurrencySettings(adaptive=False, latency=True))
    slices(ceiling, 10, 100, refused=1.0, begun=USUAL * 10)
    assert ceiling.limit is None
