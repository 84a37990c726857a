"""Limits as people write them: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.limit import MOST
from trunkline.core.usage import NANO
from trunkline.policy.quota import FIXED, NOW, ROLLING
from trunkline.policy.rules import Rule, parse, shown, shown_amount


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("requests=600/minute", Rule("requests", 600, ROLLING["minute"])),
        ("requests=600/minute fixed", Rule("requests", 600, FIXED["minute"])),
        ("tokens = 1_000_000 / hour", Rule("tokens", 1_000_000, ROLLING["hour"])),
        ("input_tokens=5/day exact", Rule("input_tokens", 5, FIXED["day"], exact=True)),
        ("cost=20/day", Rule("cost", 20 * NANO, FIXED["day"], exact=True)),
        ("cost=0.000000001/month rolling soft", Rule("cost", 1, ROLLING["month"], soft=True)),
        ("concurrent_streams=8", Rule("concurrent_streams", 8, NOW)),
        ("requests=0/day", Rule("requests", 0, FIXED["day"])),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, rule: Rule) -> None:
    assert parse(text) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write DIMENSION=AMOUNT/WINDOW"),
        ("600/minute", "write DIMENSION=AMOUNT/WINDOW"),
        ("requests=600/minute" + " soft" * 30, "write DIMENSION=AMOUNT/WINDOW"),
        ("cats=5/day", "'cats' cannot be limited; choose from requests"),
        ("requests=5", "needs a window, one of minute, hour, day, month"),
        ("requests=5/week", "needs a window"),
        ("requests=1.5/minute", "a whole number, not 1.5"),
        ("cost=10000000/day", "at most 9007199"),
        (f"tokens={MOST + 1}/day", f"at most {MOST}"),
        ("concurrent_requests=5/day", "it has no window"),
        ("concurrent_requests=5 rolling", "it has no window"),
        ("requests=5/day rolling fixed", "either rolling or fixed"),
        ("requests=5/day exact", "exact: is for limits of tokens"),
        ("requests=5/day hard", "'hard' is not known here"),
    ],
)
def test_what_means_nothing_is_said(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_limit_or_a_mistake(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse(text).most >= 0


def test_counters_of_different_limits_differ_whatever_callers_call_their_tags() -> None:
    rules = [parse("requests=5/day"), parse("requests=5/day soft"), parse("requests=5/hour"), parse("tokens=5/day")]
    names = [
        rule.want(scope, value, value, models).counter
        for rule in rules
        for scope, value in (("tag", "a"), ("tag", "a among gpt"), ("key", "a"), ("global", ""), ("tag", "tag:a"))
        for models in (None, ("gpt-*",), ("gpt",))
    ]
    assert len(set(names)) == len(names)


def test_limits_are_told_as_people_say_them() -> None:
    want = parse("cost=1234.5/month").want("team", "research", "research", None)
    assert shown(want) == "team research: $1,234.50 per month"
    want = parse("concurrent_requests=8").want("global", "", "", ("gpt-*", "o1"))
    assert shown(want) == "global among gpt-*,o1: 8 concurrent requests"
    assert shown_amount("cost", 1_234_000) == "$0.001234"
    assert shown_amount("input_tokens", 12_345) == "12,345 input tokens"
