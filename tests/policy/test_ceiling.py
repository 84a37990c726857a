"""How many calls a target is given at a time, in slices of a second that the test runs through."""

from __future__ import annotations

from trunkline.policy.ceiling import CALM, SLICE, Ceiling, ConcurrencySettings

USUAL = 0.2


def slices(ceiling: Ceiling, start: float, count: int, pending: int, begun: float, overloaded: bool = False) -> float:
    """So many slices, with so many calls in work (or what the ceiling lets), whose streams begin after so long."""
    now = start
    for _ in range(count):
        at_once = pending if ceiling.limit is None else min(pending, ceiling.limit)
        ceiling.began(at_once)
        for _ in range(20):
            ceiling.answered(begun, at_once, USUAL, now)
        if overloaded:
            ceiling.overloaded(at_once, USUAL, now)
        now += SLICE
        ceiling.answered(begun, at_once, USUAL, now)
    return now


def test_there_is_none_as_long_as_answers_begin_in_time() -> None:
    ceiling = Ceiling(ConcurrencySettings())
    slices(ceiling, 0.0, 60, 500, USUAL * 1.5)
    assert ceiling.limit is None


def test_late_answers_lower_it_to_the_floor_and_not_below() -> None:
    ceiling = Ceiling(ConcurrencySettings(floor=16))
    now = slices(ceiling, 0.0, 3, 100, USUAL * 4)
    assert ceiling.limit is not None
    assert 16 < ceiling.limit < 80
    slices(ceiling, now, 40, 100, USUAL * 4)
    assert ceiling.limit == 16


def test_refusals_for_overload_lower_it_by_a_quarter_a_slice() -> None:
    ceiling = Ceiling(ConcurrencySettings())
    slices(ceiling, 0.0, 1, 100, USUAL, overloaded=True)
    assert ceiling.limit == 75


def test_few_calls_are_never_too_many() -> None:
    ceiling = Ceiling(ConcurrencySettings(floor=16))
    slices(ceiling, 0.0, 20, 16, USUAL * 10, overloaded=True)
    assert ceiling.limit is None


def test_a_few_late_answers_say_nothing() -> None:
    ceiling = Ceiling(ConcurrencySettings())
    ceiling.began(100)
    for number in range(9):
        ceiling.answered(5.0, 100, USUAL, number / 10)
    ceiling.answered(5.0, 100, USUAL, 2.0)
    assert ceiling.limit is None


def test_it_grows_by_its_root_while_it_is_used_and_is_lifted_when_it_is_not() -> None:
    ceiling = Ceiling(ConcurrencySettings())
    now = slices(ceiling, 0.0, 2, 100, USUAL * 4)
    lowered = ceiling.limit
    assert lowered is not None
    now = slices(ceiling, now, 1, 100, USUAL)
    assert ceiling.limit == lowered + int(lowered**0.5)
    now = slices(ceiling, now, 20, 100, USUAL)
    assert ceiling.limit is not None
    assert ceiling.limit > 150
    slices(ceiling, now, CALM + 1, 20, USUAL)
    assert ceiling.limit is None


def test_what_was_learned_does_not_outlast_a_long_silence() -> None:
    ceiling = Ceiling(ConcurrencySettings())
    now = slices(ceiling, 0.0, 2, 100, USUAL * 4)
    ceiling.lapse(now + 5.0)
    assert ceiling.limit is not None
    ceiling.lapse(now + CALM * SLICE + 5.0)
    assert ceiling.limit is None


def test_it_can_be_switched_off() -> None:
    ceiling = Ceiling(ConcurrencySettings(adaptive=False))
    slices(ceiling, 0.0, 10, 100, USUAL * 10, overloaded=True)
    assert ceiling.limit is None
