"""The arithmetic of windows: months begin where the calendar says, buckets live as they must, waits are true."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.limit import Span, Want, Window
from trunkline.policy.quota import (
    FIXED,
    NOW,
    ROLLING,
    WINDOWS,
    bucket_at,
    end_of,
    lease_end,
    lives,
    opening,
    reset_of,
    start_of,
    tightest,
)

LONG = datetime.datetime(2400, 1, 1, tzinfo=datetime.UTC)
DAY = 86_400_000
TIMED = [window for name, window in WINDOWS.items() if name != "now"]


@given(st.datetimes(datetime.datetime(1970, 1, 1), LONG.replace(tzinfo=None)))
def test_a_month_is_the_calendar_s(moment: datetime.datetime) -> None:
    moment = moment.replace(tzinfo=datetime.UTC)
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (first + datetime.timedelta(days=32)).replace(day=1)
    month = FIXED["month"]
    bucket = bucket_at(month, int(moment.timestamp()) * 1000)
    assert bucket == moment.year * 12 + moment.month - 1
    assert start_of(month, bucket) == int(first.timestamp()) * 1000
    assert end_of(month, bucket) == int(after.timestamp()) * 1000


@pytest.mark.parametrize("window", TIMED, ids=[each.name for each in TIMED])
@given(now=st.integers(0, 2**42))
def test_a_bucket_lives_from_its_start_to_its_end(window: Window, now: int) -> None:
    bucket = bucket_at(window, now)
    assert start_of(window, bucket) <= now < start_of(window, bucket + 1)
    end = end_of(window, bucket)
    assert lives(window, bucket, bucket_at(window, end - 1))
    assert not lives(window, bucket, bucket_at(window, end))


@pytest.mark.parametrize("span", ROLLING)
@given(now=st.integers(0, 2**42))
def test_a_rolling_bucket_counts_for_the_window_and_at_most_a_part_longer(span: Span, now: int) -> None:
    window = ROLLING[span]
    length = window.width * window.kept
    assert length < end_of(window, bucket_at(window, now)) - now <= length + window.width


def test_what_goes_on_counts_until_it_ends() -> None:
    assert bucket_at(NOW, 2**42) == 0
    assert lives(NOW, 0, 0)
    assert opening(NOW, [(0, 5)], 1, 5, 0) == 0
    assert reset_of(Want("c", NOW, 5), 17) == 0


def test_a_fixed_window_opens_with_the_next() -> None:
    assert opening(FIXED["minute"], [(0, 10)], 1, 10, 15_000) == 45_000
    assert reset_of(Want("c", FIXED["day"], 5), DAY + 1) == DAY - 1


def test_a_rolling_window_opens_when_enough_has_left_it() -> None:
    window = ROLLING["minute"]
    held = [(0, 4), (10, 4), (20, 2)]
    now = 30_000
    assert opening(window, held, 1, 10, now) == 61_000 - now
    assert opening(window, held, 4, 10, now) == 61_000 - now
    assert opening(window, held, 5, 10, now) == 71_000 - now
    assert opening(window, held, 10, 10, now) == 81_000 - now
    assert opening(window, held, 11, 10, now) is None


def test_the_tightest_limit_is_the_one_that_holds_longest() -> None:
    assert tightest([(0, 5), (1, 7), (2, 7)]) == (1, 7)
    assert tightest([(0, 5), (1, None), (2, 7)]) == (1, None)


def test_leases_end_on_whole_seconds_and_not_before_their_time() -> None:
    assert lease_end(1_500, 500) == 2_000
    assert lease_end(1_501, 500) == 3_000
