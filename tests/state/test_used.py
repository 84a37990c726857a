"""What was used before a start, as the ledger tells it: by whom, in which bucket, and without what was refused."""

from __future__ import annotations

import pytest

from tests.state.conftest import entry
from trunkline.core.stores import Used
from trunkline.core.usage import Usage
from trunkline.policy.quota import FIXED, ROLLING, bucket_at
from trunkline.state.database import Database
from trunkline.state.ledger import Ledger
from trunkline.state.used import LedgerPast

NOON = 1_770_033_600.0
"""The second of February 2026, 12:00 UTC."""


@pytest.fixture
def past(database: Database) -> LedgerPast:
    calls = [
        entry("a", at=NOON - 30, usage=Usage(input=10, output=1), cost=100, tags=("x", "y")),
        entry("b", at=NOON - 90, usage=Usage(input=20, output=2), cost=200, team=None, tags=()),
        entry("c", at=NOON - 7200, usage=Usage(input=40, output=4), cost=400, key="key_2", model="other"),
        entry("d", at=NOON - 3 * 86_400, usage=Usage(input=80, output=8), cost=800),
        entry("e", at=NOON - 60, status=429, error="budget_exceeded", usage=None, cost=None),
        entry("f", at=NOON - 50, status=502, error="upstream_server", usage=None, cost=None),
        entry("g", at=NOON + 5),
    ]
    Ledger(database).append(calls)
    return LedgerPast(database)


def found(past: LedgerPast, scope: str, window: object, calls: bool = True) -> set[Used]:
    return set(past.used(scope, window, calls, NOON))  # type: ignore[arg-type]


def test_of_a_fixed_window_all_is_in_the_present_bucket(past: LedgerPast) -> None:
    hour, day = FIXED["hour"], FIXED["day"]
    assert found(past, "global", hour) == set()  # it has just begun
    today = bucket_at(day, int(NOON * 1000))
    assert found(past, "key", day) == {
        Used("key_1", "smart", today, 3, 30, 3, 300),
        Used("key_2", "other", today, 1, 40, 4, 400),
    }
    assert found(past, "team", day) == {
        Used("research", "smart", today, 2, 10, 1, 100),
        Used("", "smart", today, 1, 20, 2, 200),
        Used("research", "other", today, 1, 40, 4, 400),
    }


def test_sums_by_day_say_the_same_of_tokens_and_money(past: LedgerPast) -> None:
    month = FIXED["month"]
    exact, summed = (found(past, "key", month, calls) for calls in (True, False))
    assert {(each.value, each.input, each.output, each.cost) for each in exact} == {
        (each.value, each.input, each.output, each.cost) for each in summed
    }


def test_of_a_rolling_window_each_call_is_in_its_bucket(past: LedgerPast) -> None:
    hour = ROLLING["hour"]
    now = bucket_at(hour, int(NOON * 1000))
    assert found(past, "global", hour) == {
        Used("", "smart", now - 1, 2, 10, 1, 100),
        Used("", "smart", now - 2, 1, 20, 2, 200),
    }


def test_a_call_counts_for_each_of_its_tags(past: LedgerPast) -> None:
    hour = ROLLING["hour"]
    now = bucket_at(hour, int(NOON * 1000))
    tagged = {each for each in found(past, "tag", hour) if each.value in ("x", "y")}
    assert tagged == {Used("x", "smart", now - 1, 1, 10, 1, 100), Used("y", "smart", now - 1, 1, 10, 1, 100)}


def test_of_a_model_too(past: LedgerPast) -> None:
    day = FIXED["day"]
    today = bucket_at(day, int(NOON * 1000))
    assert found(past, "model", day) == {
        Used("smart", "smart", today, 3, 30, 3, 300),
        Used("other", "other", today, 1, 40, 4, 400),
    }
