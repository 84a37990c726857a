"""How long a provider asks to be left alone, in each of the ways that they say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.call import Headers
from trunkline.dialects.retry import retry_after

DATE = (b"date", b"Sun, 22 Nov 2026 10:00:00 GMT")

SAID: list[tuple[Headers, float | None]] = [
    ([], None),
    ([(b"retry-after", b"7")], 7.0),
    ([(b"retry-after", b"7"), (b"retry-after-ms", b"120")], 0.12),
    ([(b"x-rate-limit-reset-tokens", b"9")], 9.0),
    ([DATE, (b"retry-after", b"Sun, 22 Nov 2026 10:01:30 GMT")], 90.0),
    ([DATE, (b"retry-after", b"Sun, 22 Nov 2026 09:59:00 GMT")], 0.0),
    ([(b"retry-after", b"Sun, 22 Nov 2026 10:01:30 GMT")], None),  # by whose clock?
    ([(b"retry-after", b"soon")], None),
    ([(b"retry-after", b"-1")], None),
    ([(b"retry-after", b"nan")], None),
    # what is used up, and what is not
    (
        [
            (b"x-ratelimit-remaining-requests", b"0"),
            (b"x-ratelimit-reset-requests", b"6m0s"),
            (b"x-ratelimit-remaining-tokens", b"100"),
            (b"x-ratelimit-reset-tokens", b"1h"),
        ],
        360.0,
    ),
    ([(b"x-ratelimit-remaining-tokens", b"0"), (b"x-ratelimit-reset-tokens", b"12ms")], 0.012),
    ([(b"x-ratelimit-remaining-tokens", b"0"), (b"x-ratelimit-reset-tokens", b"59")], 59.0),  # Azure
    ([(b"x-ratelimit-remaining-tokens", b"-1"), (b"x-ratelimit-reset-tokens", b"59")], None),  # Azure does not know
    ([(b"x-ratelimit-remaining-requests", b"0")], None),
    (
        [
            DATE,
            (b"anthropic-ratelimit-input-tokens-remaining", b"0"),
            (b"anthropic-ratelimit-input-tokens-reset", b"2026-11-22T10:00:41Z"),
            (b"anthropic-ratelimit-requests-remaining", b"0"),
            (b"anthropic-ratelimit-requests-reset", b"2026-11-22T10:00:02Z"),
        ],
        41.0,
    ),
    ([(b"retry-after", b"3"), (b"x-ratelimit-remaining-tokens", b"0"), (b"x-ratelimit-reset-tokens", b"59")], 3.0),
]


@pytest.mark.parametrize(("headers", "seconds"), SAID)
def test_what_is_said_is_understood(headers: Headers, seconds: float | None) -> None:
    assert retry_after(headers) == seconds


NAMES = [
    b"retry-after", b"retry-after-ms", b"date", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens",
    b"anthropic-ratelimit-tokens-remaining", b"anthropic-ratelimit-tokens-reset",
]  # fmt: skip
VALUES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"0", b"1e999", b"12ms", b"9" * 400, b"2026-11-22T10:00:41Z", DATE[1]]),
)


@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=12))
def test_nonsense_is_no_accident(headers: Headers) -> None:
    seconds = retry_after(headers)
    assert seconds is None or 0 <= seconds < float("inf")
