"""When a target is left out, and how it comes back: each rule by itself, with a clock that the test moves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.policy.breaker import CALM, MAX_TRIALS, PATIENCE, WIDE, Breaker, HealthSettings


def made(draw: float = 1.0, **changed: Any) -> Breaker:
    return Breaker(HealthSettings(**changed), lambda: draw)


def fails(breaker: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        breaker.ended(now, now, "upstream_server", False)


def works(breaker: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        breaker.answered(now, now, "")
        breaker.ended(now, now, "", True)


def test_five_failures_in_a_row_open_it_and_one_success_between_them_does_not() -> None:
    breaker = made(calls=100)
    fails(breaker, 1.0, 4)
    works(breaker, 1.0)
    fails(breaker, 1.0, 4)
    assert breaker.state == "closed"
    fails(breaker, 2.0)
    assert (breaker.state, breaker.cause, breaker.since, breaker.until) == ("open", "failures", 2.0, 7.0)
    assert breaker.reason == "5 failures in a row, the last of them: upstream_server"
    assert breaker.refuses(6.9)
    assert not breaker.refuses(7.0)


@pytest.mark.parametrize(("every", "opens"), [(3, True), (4, True), (6, False), (20, False)])
def test_a_share_of_failures_opens_it(every: int, opens: bool) -> None:
    breaker, now = made(), 0.0
    for number in range(300):
        now += 0.01
        (fails if number % every == 0 else works)(breaker, now)
        if breaker.state == "open":
            break
    assert (breaker.state, breaker.cause) == (("open", "share") if opens else ("closed", None))


def test_a_share_of_few_calls_says_nothing() -> None:
    breaker = made(calls=10)
    for _ in range(3):
        works(breaker, 1.0)
        fails(breaker, 1.0, 2)
    assert not breaker.refuses(1.0)
    works(breaker, 1.0)
    assert not breaker.refuses(1.0)
    fails(breaker, 1.0)
    assert breaker.refuses(1.0)


def test_what_failed_long_ago_is_forgotten() -> None:
    breaker = made()
    works(breaker, 0.0, 7)
    fails(breaker, 0.0, 2)
    works(breaker, 300.0, 20)
    fails(breaker, 300.0, 3)
    assert breaker.state == "closed"
    assert breaker.success(300.0) == pytest.approx(20 / 23, abs=0.02)


def test_every_other_call_slow_opens_it_and_a_few_do_not() -> None:
    breaker = made()
    for number in range(200):
        breaker.answered(1.0, 1.0, "late" if number % 3 == 0 else "")
    assert breaker.state == "closed"
    for _ in range(14):
        breaker.answered(1.0, 1.0, "late")
    assert (breaker.state, breaker.cause, breaker.reason) == ("open", "slow", "late")


def test_the_time_out_is_drawn_from_its_upper_half_and_doubles_with_each_relapse() -> None:
    pauses = []
    for draw in (0.0, 1.0):
        breaker, now = made(draw, first=4.0, longest=20.0), 0.0
        for _ in range(4):
            breaker.trip(now, "failures", "")
            pauses.append(breaker.until - now)
            now = breaker.until
            breaker.began(now)
    assert pauses == [2.0, 4.0, 8.0, 10.0, 4.0, 8.0, 16.0, 20.0]


def test_relapses_are_forgotten_after_calm() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "")
    healed = back(breaker)
    breaker.trip(healed + 1.0, "failures", "")
    assert breaker.until - breaker.since == 10.0
    healed = back(breaker)
    breaker.trip(healed + CALM + 1.0, "failures", "")
    assert breaker.until - breaker.since == 5.0


def back(breaker: Breaker) -> float:
    """Bring it from open to closed, with calls that go well. Returns when it was closed."""
    now = breaker.until
    while breaker.state != "closed":
        breaker.began(now)
        works(breaker, now)
        now += 0.1
    return now


def test_one_call_at_a_time_is_on_trial_and_three_must_go_well() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    for number in range(3):
        now = 5.0 + number
        assert not breaker.refuses(now)
        assert breaker.began(now) is (number == 0)
        assert (breaker.state, breaker.refuses(now)) == ("trial", True)
        breaker.answered(now, now + 0.5, "")
        breaker.ended(now, now + 0.6, "", True)
    assert breaker.state == "returning"


def test_a_call_on_trial_that_fails_opens_it_again() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    breaker.began(5.0)
    breaker.ended(5.0, 5.5, "upstream_overloaded", False)
    assert (breaker.state, breaker.since, breaker.until) == ("open", 5.5, 15.5)
    assert breaker.reason == "a call on trial failed: upstream_overloaded"


def test_a_slow_trial_opens_it_again_and_is_not_repeated_soon() -> None:
    breaker = made()
    breaker.trip(0.0, "slow", "late")
    breaker.began(5.0)
    breaker.answered(5.0, 17.0, "after 12 s")
    assert (breaker.state, breaker.until - breaker.since) == ("open", 60.0)


def test_a_trial_without_an_answer_does_not_block_the_others_for_ever() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    breaker.began(5.0)
    assert breaker.refuses(5.0 + PATIENCE - 0.1)
    assert not breaker.refuses(5.0 + PATIENCE)
    for _ in range(MAX_TRIALS):
        breaker.began(5.0 + PATIENCE)
    assert breaker.refuses(1e6)


def test_a_trial_that_is_given_up_makes_room_for_the_next() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    breaker.began(5.0)
    breaker.given_up(5.0, False)
    assert (breaker.state, breaker.refuses(5.1)) == ("trial", False)


def test_calls_from_before_say_nothing_of_the_present_state() -> None:
    breaker = made()
    breaker.trip(10.0, "failures", "down")
    breaker.answered(9.0, 10.5, "")
    breaker.ended(9.0, 11.0, "", True)
    breaker.began(15.0)
    breaker.ended(9.0, 15.5, "upstream_broken", True)
    assert (breaker.state, breaker.refuses(15.6)) == ("trial", True)


def test_it_returns_by_doubling_no_faster_than_time_and_proofs_allow() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    for number in range(3):
        breaker.began(5.0 + number / 100)
        works(breaker, 5.0 + number / 100)
    healed, widths = 5.02, []
    for second in range(8):
        now = healed + second
        begun = 0
        while breaker.state == "returning" and not breaker.refuses(now):
            breaker.began(now)
            begun += 1
        widths.append(begun)
        for _ in range(begun):
            works(breaker, now)
    assert widths == [1, 2, 4, 8, 16, 32, 0, 0]
    assert (breaker.state, breaker.cause, breaker.reason) == ("closed", None, "")
    assert widths[5] * 2 == WIDE


def test_one_that_returns_and_fails_is_given_less() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    breaker.began(5.0)
    works(breaker, 5.0, 3)
    assert breaker.state == "returning"
    works(breaker, 10.0, 7)
    assert not refused_at(breaker, 10.0, 7)
    fails(breaker, 10.0)
    assert refused_at(breaker, 10.0, 5)


def refused_at(breaker: Breaker, now: float, calls: int) -> bool:
    """Whether one more is refused while so many have no answer; they are given up afterwards."""
    for _ in range(calls):
        breaker.began(now)
    refused = breaker.refuses(now)
    for _ in range(calls):
        breaker.given_up(now, False)
    return refused


def test_where_all_are_out_a_success_of_the_least_bad_counts() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    for _ in range(3):
        breaker.began(1.0)
        works(breaker, 1.0)
    assert breaker.state == "returning"


def test_a_failure_of_the_least_bad_does_not_put_off_its_return() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    breaker.began(1.0)
    fails(breaker, 1.0)
    assert breaker.until == 5.0


def test_a_probe_that_went_well_brings_the_trial_forward() -> None:
    breaker = made()
    breaker.trip(0.0, "failures", "down")
    breaker.heal(2.0)
    assert not breaker.refuses(2.0)
    assert breaker.began(2.0)
    breaker.heal(2.0)
    assert breaker.refuses(2.0)


def test_it_can_be_switched_off() -> None:
    breaker = made(enabled=False)
    fails(breaker, 1.0, 100)
    assert (breaker.state, breaker.refuses(1.0)) == ("closed", False)
    assert breaker.success(1.0) == pytest.approx(0.0)


STEPS = st.lists(
    st.tuples(st.floats(0.0, 30.0), st.sampled_from(["good", "bad", "slow", "given up"]), st.floats(0.0, 10.0)),
    max_size=120,
)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.floats(0.0, 1.0))
def test_whatever_happens_it_is_never_shut_for_good(steps: list[tuple[float, str, float]], draw: float) -> None:
    breaker, now = made(draw), 0.0
    for gap, what, took in steps:
        now += gap
        if breaker.refuses(now):
            continue
        if breaker.state != "closed":
            breaker.began(now)
        start, now = now, now + took
        if what == "given up":
            breaker.given_up(start, False)
            continue
        if what != "bad":
            breaker.answered(start, now, "late" if what == "slow" else "")
        breaker.ended(start, now, "wrong" if what == "bad" else "", what != "bad")
        assert breaker.until - breaker.since <= 300.0 or breaker.state != "open"
    assert not breaker.refuses(now + 301.0)
