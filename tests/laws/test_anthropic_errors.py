"""Errors on their way in (classified, nothing leaked) and on their way out (the SDK raises the right class)."""

from __future__ import annotations

import json

import pytest

from trunkline.core.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    InternalError,
    ModelNotFound,
    Overloaded,
    ShuttingDown,
    TooLarge,
    Unauthenticated,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
)
from trunkline.core.events import Failed
from trunkline.dialects.anthropic import DIALECT


def body(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


@pytest.mark.parametrize(
    ("status", "wire", "kind", "retryable"),
    [
        (400, body("invalid_request_error", "messages: field required"), "invalid_request", False),
        (400, body("invalid_request_error", "prompt is too long: 210000 tokens > 200000"), "context_length", False),
        (400, body("invalid_request_error", "Your credit balance is too low"), "billing", True),
        (401, body("authentication_error", "invalid x-api-key"), "authentication", True),
        (402, body("billing_error", "no funds"), "billing", True),
        (403, body("permission_error", "not yours"), "permission", True),
        (404, body("not_found_error", "model: x"), "not_found", True),
        (409, body("conflict_error", "busy"), "conflict", True),
        (413, body("request_too_large", "too big"), "too_large", False),
        (429, body("rate_limit_error", "slow down"), "rate_limit", True),
        (500, body("api_error", "Internal server error"), "server", True),
        (500, body("api_error", "Overloaded"), "overloaded", True),
        (503, body("api_error", "Service unavailable"), "overloaded", True),
        (504, body("api_error", "Gateway timeout"), "timeout", True),
        (400, body("invalid_request_error", "You have reached your specified API usage limits."), "quota", True),
        (504, body("timeout_error", "too slow"), "timeout", True),
        (529, body("overloaded_error", "Overloaded"), "overloaded", True),
        (503, b"<html>nginx at 10.1.2.3:8080</html>", "overloaded", True),
        (502, b"", "server", True),
        (418, b'{"message": "teapot"}', "invalid_request", False),
        (400, b'{"error": "no"}', "invalid_request", False),
        (500, b'{"error": 7}', "server", True),
        (200, b"[]", "server", True),
    ],
)
def test_an_upstream_error_is_classified(status: int, wire: bytes, kind: str, retryable: bool) -> None:
    error = DIALECT.read_error(status, [], wire)
    assert (error.kind, error.retryable) == (kind, retryable)
    assert error.code == f"upstream_{kind}"
    assert error.status >= 400


def test_a_message_keeps_no_key_and_no_address() -> None:
    said = "key sk-ant-api03-abcdefghij at https://internal.example/v1 and 10.0.0.7:8443 is wrong"
    shown = DIALECT.read_error(401, [], body("authentication_error", said)).message
    assert shown == "key [removed] at [removed] and [removed] is wrong"
    html = DIALECT.read_error(502, [], b"<html>proxy.internal.example says no</html>")
    assert html.message == "The upstream answered with status 502."
    assert html.body is None
    assert len(DIALECT.read_error(400, [], body("invalid_request_error", "x" * 100_000)).message) == 2000


def test_the_wait_is_read_from_the_headers() -> None:
    limited = body("rate_limit_error", "slow down")
    assert DIALECT.read_error(429, [(b"retry-after", b"12")], limited).retry_after == 12
    assert DIALECT.read_error(429, [(b"retry-after-ms", b"1500"), (b"retry-after", b"2")], limited).retry_after == 1.5
    assert DIALECT.read_error(429, [(b"retry-after", b"soon")], limited).retry_after is None


def test_an_error_event_ends_the_stream_with_its_type() -> None:
    reader = DIALECT.reader(True)
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"a","model":"b"}}\n\n'
    wire = b"event: error\ndata: " + body("overloaded_error", "Overloaded") + b"\n\n"
    failed = [*reader.feed(start + wire + start), *reader.eof()][-1]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UpstreamError)
    assert (failed.error.kind, failed.error.status, failed.error.retryable) == ("overloaded", 529, True)
    tap = DIALECT.tap(DIALECT.peek(b'{"model":"m","stream":true}'))
    assert tap.feed(start + wire) == start + wire
    assert tap.error is not None
    assert (tap.error.kind, tap.eof()) == ("overloaded", b"")


ERRORS: list[tuple[GatewayError, int, str, str]] = [
    (BadRequest("max_tokens is required.", param="max_tokens"), 400, "invalid_request_error", "BadRequestError"),
    (Unauthenticated("who?"), 401, "authentication_error", "AuthenticationError"),
    (Forbidden("no"), 403, "permission_error", "PermissionDeniedError"),
    (ModelNotFound("what?"), 404, "not_found_error", "NotFoundError"),
    (TooLarge("much"), 413, "request_too_large", "ContentTooLargeError"),
    (UpstreamError("wait", status=429, kind="rate_limit"), 429, "rate_limit_error", "RateLimitError"),
    (UpstreamError("spent", status=429, kind="quota"), 429, "rate_limit_error", "RateLimitError"),
    (InternalError("oops"), 500, "api_error", "InternalServerError"),
    (UpstreamBroken("cut"), 502, "api_error", "InternalServerError"),
    (UpstreamError("busy", status=503, kind="overloaded"), 529, "overloaded_error", "OverloadedError"),
    (Overloaded("busy"), 503, "overloaded_error", "ServiceUnavailableError"),
    (ShuttingDown("bye"), 503, "overloaded_error", "ServiceUnavailableError"),
    (UpstreamTimeout("slow"), 504, "timeout_error", "GatewayTimeoutError"),
    (UpstreamError("model", status=424, kind="server"), 502, "api_error", "InternalServerError"),
    (UpstreamError("filter", status=400, kind="content_filter"), 400, "invalid_request_error", "BadRequestError"),
]


@pytest.mark.parametrize(("error", "status", "kind", "sdk_class"), ERRORS, ids=lambda value: str(value)[:20])
def test_an_error_goes_out_as_the_sdk_wants_it(error: GatewayError, status: int, kind: str, sdk_class: str) -> None:
    import anthropic
    import httpx2

    assert DIALECT.error_status(error) == status
    wire = json.loads(DIALECT.write_error(error, "req_9"))
    assert wire["type"] == "error"
    assert wire["request_id"] == "req_9"
    assert wire["error"]["type"] == kind
    assert wire["error"]["message"] == error.message
    assert wire["error"].get("param") == error.param
    assert (
        DIALECT.stream_error(error, "req_9") == b"event: error\ndata: " + DIALECT.write_error(error, "req_9") + b"\n\n"
    )
    client = anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1:1")
    response = httpx2.Response(status, json=wire, request=httpx2.Request("POST", "http://127.0.0.1:1"))
    raised = client._make_status_error_from_response(response)
    assert type(raised).__name__ == sdk_class
    client.close()
