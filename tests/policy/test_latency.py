"""Peak-EWMA: trouble at once, its end with time, failures never quick, and no target forgotten or pestered."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.usage import Usage
from trunkline.policy.latency import (
    COLD,
    DECAY,
    LONGEST_ADVICE,
    PASSED_OVER,
    PENALTY,
    TYPICAL_OUTPUT,
    UNPROVEN,
    WORSE,
    Latency,
    PeakEwma,
)
from trunkline.policy.outcome import Outcome


def streamed(begun: float, duration: float, output: int = 0) -> Outcome:
    return Outcome(duration, begun, True, Usage(output=output))


def whole(duration: float, output: int) -> Outcome:
    return Outcome(duration, duration, False, Usage(output=output))


def failed(duration: float, retry_after: float | None = None) -> Outcome:
    return Outcome(duration, None, False, None, "server", "upstream", retry_after)


def test_a_peak_is_believed_at_once_and_its_end_with_time() -> None:
    average = PeakEwma()
    average.observe(1.0, 0.0)
    average.observe(5.0, 1.0)
    assert average.value == 5.0
    average.observe(1.0, 11.0)
    assert average.value == pytest.approx(5.0 * exp(-1) + 1.0 * (1 - exp(-1)))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 60)), min_size=1, max_size=30))
def test_an_average_lies_between_what_was_observed(observed: list[tuple[float, float]]) -> None:
    average, now = PeakEwma(), 0.0
    for value, elapsed in observed:
        now += elapsed
        average.observe(value, now)
        assert min(each for each, _ in observed) * 0.999 <= average.value + 1e-9
        assert average.value <= max(each for each, _ in observed) + 1e-9


def test_both_times_of_a_stream_count() -> None:
    latency = Latency()
    latency.observe(streamed(0.5, 2.5, output=100), 10.0)
    assert latency.cost(0, 10.0) == pytest.approx(0.5 + TYPICAL_OUTPUT * 0.02)
    assert latency.cost(2, 10.0) == pytest.approx(3 * latency.cost(0, 10.0))


def test_a_whole_answer_is_measured_by_its_length() -> None:
    long, short = Latency(), Latency()
    for second in range(20):
        long.observe(whole(4.4, 400), second)
        short.observe(whole(0.8, 40), second)
        long.observe(whole(0.8, 40), second)
        short.observe(whole(4.4, 400), second)
    assert long.cost(0, 20.0) == pytest.approx(short.cost(0, 20.0), rel=0.3)


def test_the_unknown_is_tried_once_and_not_by_everybody() -> None:
    known, unknown = Latency(), Latency()
    known.observe(streamed(0.2, 0.2), 0.0)
    assert unknown.cost(0, 1.0) == COLD < known.cost(0, 0.0)
    assert unknown.cost(1, 1.0) == UNPROVEN + 1 > known.cost(50, 0.0)


@pytest.mark.parametrize(
    ("outcome", "least"),
    [
        (failed(0.001), PENALTY),
        (failed(30.0), 30.0),
        (failed(0.001, retry_after=7.0), 7.0),
        (failed(0.001, retry_after=86_400.0), LONGEST_ADVICE),
    ],
)
def test_a_failure_is_never_quick(outcome: Outcome, least: float) -> None:
    latency = Latency()
    latency.observe(streamed(0.1, 0.1), 0.0)
    latency.observe(outcome, 1.0)
    assert latency.first.value == pytest.approx(max(least, 0.1 * WORSE))


def test_what_the_caller_did_wrong_says_nothing_but_a_long_wait_that_was_given_up_does() -> None:
    latency = Latency()
    latency.observe(streamed(0.5, 0.5), 0.0)
    before = latency.cost(0, 0.0)
    latency.observe(Outcome(0.01, None, False, None, "invalid_request", "client"), 0.0)
    assert latency.cost(0, 0.0) == before
    latency.observe(Outcome(20.0, None, False, None, "timeout", "client"), 0.0)
    assert latency.first.value == 20.0


def test_who_was_passed_over_comes_back_by_calls_and_by_time_whichever_is_less() -> None:
    slow = Latency()
    slow.observe(streamed(10.0, 10.0), 0.0)
    assert slow.cost(0, 3600.0) == 10.0, "nobody asked anybody: nothing is known better"
    slow.passed = 46
    assert slow.cost(0, 3600.0) == pytest.approx(10.0 * exp(-46 * PASSED_OVER / DECAY))
    slow.passed = 100_000
    assert slow.cost(0, 5.0) == pytest.approx(10.0 * exp(-5.0 / DECAY))


def test_after_healing_a_target_is_back_within_thirty_seconds() -> None:
    """Two targets, many calls: one was ten times slower and is as quick as the other from second 10 on."""
    good, bad = Latency(), Latency()
    taken = []
    for tick in range(500):
        now = tick * 0.1
        chosen = min((good, bad), key=lambda each: each.cost(0, now))
        other = bad if chosen is good else good
        other.passed += 10  # a hundred calls a second
        slow = chosen is bad and now < 10.0
        chosen.observe(streamed(2.0 if slow else 0.2, 2.0 if slow else 0.2), now)
        if chosen is bad:
            taken.append(now)
    assert len([at for at in taken if at < 10.0]) <= 2
    assert [at for at in taken if 10.0 < at < 40.0]
