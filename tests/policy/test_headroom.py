"""What is left of a target's limits: read from each family's header fields, and counted from the configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.usage import Usage
from trunkline.policy.headroom import Headroom, Quota
from trunkline.policy.outcome import Outcome

Headers = list[tuple[bytes, bytes]]


def fields(**values: str) -> Headers:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in values.items()]


OPENAI = fields(
    x_ratelimit_limit_requests="100",
    x_ratelimit_remaining_requests="50",
    x_ratelimit_reset_requests="1m0s",
    x_ratelimit_limit_tokens="1000",
    x_ratelimit_remaining_tokens="200",
    x_ratelimit_reset_tokens="100ms",
)
AZURE = fields(x_ratelimit_limit_requests="100", x_ratelimit_remaining_requests="50", x_ratelimit_reset_requests="60")
ANTHROPIC = fields(
    date="Sun, 22 Nov 2026 12:00:00 GMT",
    anthropic_ratelimit_requests_limit="100",
    anthropic_ratelimit_requests_remaining="50",
    anthropic_ratelimit_requests_reset="2026-11-22T12:01:00Z",
    anthropic_ratelimit_output_tokens_limit="1000",
    anthropic_ratelimit_output_tokens_remaining="900",
    anthropic_ratelimit_output_tokens_reset="2026-11-22T12:01:00Z",
)


@pytest.mark.parametrize("headers", [OPENAI, AZURE, ANTHROPIC], ids=["openai", "azure", "anthropic"])
def test_every_family_is_understood(headers: Headers) -> None:
    headroom = Headroom()
    headroom.hear(headers, 10.0)
    assert headroom.told["requests"].left(10.0) == 50.0
    assert headroom.told["requests"].left(40.0) == pytest.approx(75.0), "it refills steadily"
    assert headroom.told["requests"].left(70.0) == 100.0


def test_the_tightest_limit_is_what_counts() -> None:
    headroom = Headroom()
    assert headroom.share(3, 0.0) == 1.0, "nothing is known"
    headroom.hear(OPENAI, 10.0)
    assert headroom.share(0, 10.0) == pytest.approx(0.2)
    assert headroom.share(0, 10.2) == pytest.approx(0.5, abs=0.01)
    assert headroom.share(40, 10.2) == pytest.approx(0.1, abs=0.01), "calls in work will be counted"
    assert headroom.why(60, 10.2) == "its provider's limit of requests is used up"


@pytest.mark.parametrize(
    "headers",
    [
        fields(x_ratelimit_limit_requests="-1", x_ratelimit_remaining_requests="-1", x_ratelimit_reset_requests="0"),
        fields(x_ratelimit_limit_requests="100", x_ratelimit_remaining_requests="many"),
        fields(x_ratelimit_limit_requests="100"),
        fields(x_ratelimit_limit_requests="nan", x_ratelimit_remaining_requests="nan"),
        fields(x_ratelimit_limit_requests="9", x_ratelimit_remaining_requests="1", x_ratelimit_reset_requests="soon"),
        fields(x_ratelimit_limit_requests="9", x_ratelimit_remaining_requests="1", x_ratelimit_reset_requests="T"),
        [(b"x-ratelimit-limit-requests", b"\xff"), (b"x-ratelimit-remaining-requests", b"\xff")],
    ],
)
def test_what_cannot_be_read_is_left_out(headers: Headers) -> None:
    headroom = Headroom()
    headroom.hear(headers, 0.0)
    assert headroom.told == {}


@given(st.lists(st.tuples(st.sampled_from([name for name, _ in OPENAI + ANTHROPIC]), st.binary(max_size=30))))
def test_whatever_a_provider_says_it_does_no_harm(headers: Headers) -> None:
    headroom = Headroom()
    headroom.hear(headers, 5.0)
    assert headroom.share(0, 6.0) <= 1.0


def test_a_configured_quota_is_counted_by_the_minute_and_by_the_day() -> None:
    headroom = Headroom()
    headroom.allow(Quota(rpm=2, rpd=3, tpm=100))
    answer = Outcome(1.0, 0.5, False, Usage(input=40, output=20))
    headroom.began(0.0)
    headroom.ended(answer, 1.0)
    assert headroom.share(0, 1.0) == pytest.approx(0.4)
    headroom.began(2.0)
    assert headroom.why(0, 2.0) == "its quota.rpm is used up; 58.0 s to go"
    assert headroom.why(0, 60.0) is None
    headroom.began(61.0)
    assert headroom.why(0, 125.0) == "its quota.rpd is used up; 86275.0 s to go"
    assert headroom.shown(125.0) == {"rpm": 2, "rpd": 0, "tpm": 100}


def test_another_quota_keeps_what_was_used() -> None:
    headroom = Headroom()
    headroom.allow(Quota(rpm=2))
    headroom.began(0.0)
    headroom.allow(Quota(rpm=10))
    assert headroom.shown(1.0) == {"rpm": 9}
    headroom.allow(Quota())
    assert headroom.share(0, 1.0) == 1.0
