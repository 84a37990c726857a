"""What is expected of a call follows what calls have used, and never exceeds what the call may."""

from __future__ import annotations

import random

from trunkline.policy.expect import FIRST, FIRST_OUTPUT, Expectation


def test_at_first_it_is_cautious_and_within_what_the_request_allows() -> None:
    expectation = Expectation()
    assert expectation.of(4000, None) == (1001, FIRST_OUTPUT)
    assert expectation.of(4000, 50) == (1001, 50)
    assert expectation.of(4000, 1_000_000) == (1001, FIRST_OUTPUT)


def test_it_learns_how_many_bytes_a_token_has() -> None:
    expectation = Expectation()
    for _ in range(40):
        expectation.learn(3000, 1500, 10)
    assert 495 <= expectation.of(1000, None)[0] <= 505


def test_nine_answers_in_ten_are_within_what_is_expected() -> None:
    rng = random.Random(7)
    expectation, within = Expectation(), 0
    for number in range(600):
        real = max(1, int(rng.gauss(300, 80)))
        if number >= 100:
            within += real <= expectation.of(1000, None)[1]
        expectation.learn(1000, 250, real)
    assert within >= 450
    assert FIRST < 100
    assert 350 < expectation.of(1000, None)[1] < 600
    assert expectation.of(1000, 20)[1] == 20
