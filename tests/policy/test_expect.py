"""What is expected of a call follows what calls have used, and never exceeds what the call may."""

from __future__ import annotations

import random

from trunkline.policy.expect import FIRST, FIRST_OUTPUT, Expectation


def test_at_first_it_is_cautious_and_within_what_the_request_allows() -> None:
    expectation = Expectation()
    assert expectation.input(4000) == 1001
    assert expectation.output(None) == FIRST_OUTPUT
    assert expectation.output(50) == 50
    assert expectation.output(1_000_000) == FIRST_OUTPUT


def test_it_learns_how_many_bytes_a_token_has() -> None:
    expectation = Expectation()
    for _ in range(40):
        expectation.learn(3000, 1500, 10)
    assert 495 <= expectation.input(1000) <= 505


def test_nine_answers_in_ten_are_within_what_is_expected() -> None:
    rng = random.Random(7)
    expectation, within = Expectation(), 0
    for number in range(600):
        real = max(1, int(rng.gauss(300, 80)))
        if number >= 100:
            within += real <= expectation.output(None)
        expectation.learn(1000, 250, real)
    assert within >= 450
    assert FIRST < 100
    assert 350 < expectation.output(None) < 600
    assert expectation.output(20) == 20
