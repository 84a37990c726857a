"""What each class of error means for the rest of a call: one table over the whole tree."""

from __future__ import annotations

import pytest

from trunkline.core.errors import (
    BadRequest,
    DeadlineExceeded,
    GatewayError,
    InternalError,
    Unsupported,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from trunkline.policy.failover import Step, again, step


def upstream(status: int, kind: str, retryable: bool) -> UpstreamError:
    return UpstreamError("x", status=status, kind=kind, retryable=retryable)  # type: ignore[arg-type]


CASES: list[tuple[GatewayError, Step, bool]] = [
    (BadRequest("x"), "stop", False),
    (InternalError("x"), "stop", False),
    (DeadlineExceeded("x"), "stop", False),
    (Unsupported("this target cannot"), "next", False),
    (UpstreamUnreachable("x"), "next", True),
    (UpstreamTimeout("x"), "next", True),
    (UpstreamBroken("nothing was sent yet", retryable=True), "next", True),
    (UpstreamBroken("x"), "stop", False),
    (upstream(429, "rate_limit", True), "next", True),
    (upstream(503, "overloaded", True), "next", True),
    (upstream(500, "server", True), "next", True),
    (upstream(401, "authentication", True), "next", False),
    (upstream(402, "billing", True), "next", False),
    (upstream(429, "quota", True), "next", False),
    (upstream(404, "not_found", True), "next", False),
    (upstream(400, "invalid_request", False), "stop", False),
    (upstream(400, "context_length", False), "longer", False),
    (upstream(400, "content_filter", False), "refused", False),
]


@pytest.mark.parametrize(
    ("error", "onward", "later"), CASES, ids=[f"{type(case[0]).__name__} {case[0].kind}" for case in CASES]
)
def test_the_class_of_an_error_says_what_follows(error: GatewayError, onward: Step, later: bool) -> None:
    assert step(error) == onward
    assert again(error) is later
