"""Quantiles of what took how long: lately, and usually."""

from __future__ import annotations

import random

import pytest

from trunkline.policy.digest import ENOUGH, PERIOD, Digest


def test_nothing_is_known_of_nothing() -> None:
    digest = Digest()
    assert digest.usual is None
    assert digest.quantile(0.5, 1.0) is None


@pytest.mark.parametrize("seconds", [0.0, 0.0004, 0.003, 0.25, 7.0, 1799.0, 1e6])
def test_a_quantile_is_right_to_about_a_tenth(seconds: float) -> None:
    digest = Digest()
    digest.add(seconds, 0.0)
    found = digest.quantile(0.5, 0.0)
    assert found == pytest.approx(min(max(seconds, 0.001), 1800.0), rel=0.12)


def test_the_quantiles_of_many() -> None:
    digest, dice = Digest(), random.Random(7)
    values = [dice.lognormvariate(-1.0, 0.7) for _ in range(2000)]
    for value in values:
        digest.add(value, 1.0)
    values.sort()
    for share in (0.5, 0.95):
        assert digest.quantile(share, 1.0) == pytest.approx(values[int(share * 2000)], rel=0.2)


def test_what_is_new_is_seen_at_once_and_usual_only_after_many_minutes() -> None:
    digest = Digest()
    now = run(digest, 0.0, 200, 0.2)
    assert digest.usual == pytest.approx(0.2, rel=0.12)
    now = run(digest, now, 30, 2.0)
    assert digest.quantile(0.5, now) == pytest.approx(2.0, rel=0.12)
    assert digest.usual == pytest.approx(0.2, rel=0.12)
    now = run(digest, now, 120, 2.0)
    assert digest.usual == pytest.approx(2.0, rel=0.12)


def run(digest: Digest, now: float, periods: int, seconds: float) -> float:
    for _ in range(periods * 100):
        now += PERIOD / 100
        digest.add(seconds, now)
    return now


def test_a_few_observations_are_no_usual_but_they_are_shown() -> None:
    digest = Digest()
    for number in range(5):
        digest.add(1.0, number * 60.0)
    assert digest.usual is None
    assert digest.quantile(0.95, 300.0) == pytest.approx(1.0, rel=0.12)
    for number in range(int(ENOUGH)):
        digest.add(1.0, 300.0 + number * 60.0)
    assert digest.usual == pytest.approx(1.0, rel=0.12)
