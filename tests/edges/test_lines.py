"""Lines of an answer's head: what they say is what is so, and no name that somebody chose can add one."""

from __future__ import annotations

from http.client import HTTPMessage, parse_headers
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.errors import LimitExceeded
from trunkline.core.limit import Grant, Standing, Want, Window
from trunkline.dialects import anthropic, gemini, openai_chat
from trunkline.dialects.base import Dialect
from trunkline.edge.limit_fields import limit_fields, refusal_fields
from trunkline.edge.lines import Lines, fields
from trunkline.edge.refusal import identified

ROLLING = Window("rolling minute", 1000, 59)
FIXED = Window("minute", 60_000, 0)
AT = 1_800_000_012_345
"""Milliseconds since the epoch: 12.345 s after a full minute."""


def received(lines: Lines) -> HTTPMessage:
    """As a client's parser finds them."""
    return parse_headers(BytesIO(b"\r\n".join([*lines, b"", b""])))


def told(grant: Grant, dialect: Dialect) -> dict[str, str]:
    lines: Lines = []
    limit_fields(lines, grant, dialect)
    found = received(lines)
    assert dict(found.items()) == dict(fields(lines))
    return dict(found.items())


def grant(wants: tuple[Want, ...], *totals: int) -> Grant:
    return Grant(wants, (1,) * len(wants), (), totals, AT, AT + 120_000)


@pytest.mark.parametrize(
    ("window", "dialect", "expected"),
    [
        (ROLLING, openai_chat.DIALECT, {
            "x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "7",
            "x-ratelimit-reset-requests": "1m0s",
        }),
        (FIXED, openai_chat.DIALECT, {
            "x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "7",
            "x-ratelimit-reset-requests": "48s",
        }),
        (FIXED, anthropic.DIALECT, {
            "anthropic-ratelimit-requests-limit": "100", "anthropic-ratelimit-requests-remaining": "7",
            "anthropic-ratelimit-requests-reset": "2027-01-15T08:01:00Z",
        }),
        (ROLLING, gemini.DIALECT, {
            "ratelimit-policy": '"requests";q=100', "ratelimit": '"requests";r=7;t=60',
        }),
        (FIXED, gemini.DIALECT, {
            "ratelimit-policy": '"requests";q=100', "ratelimit": '"requests";r=7;t=48',
        }),
    ],
)  # fmt: skip
def test_a_limit_in_the_fields_of_each_family(window: Window, dialect: Dialect, expected: dict[str, str]) -> None:
    wants = (Want("a", window, 500), Want("b", window, 100))
    assert told(grant(wants, 3, 93), dialect) == expected


@given(scope=st.text(max_size=40))
def test_no_name_breaks_a_line(scope: str) -> None:
    want = Want("a", ROLLING, 10, soft=True, dimension="cost", scope=f"tag {scope}")
    assert list(told(grant((want,), 11), openai_chat.DIALECT)) == ["x-trunkline-limit-warning"]
    error = LimitExceeded("There is no more.", Standing(want, 0, 1.0), retry_after=5.0)
    assert list(received(refusal_fields(error, openai_chat.DIALECT))) == ["x-trunkline-limit"]


def test_a_request_has_its_id_under_both_names() -> None:
    lines = identified("req_1", anthropic.DIALECT)
    assert dict(fields(lines)) == {"x-request-id": "req_1", "request-id": "req_1"}
    assert list(fields([])) == []
