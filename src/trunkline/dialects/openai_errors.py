"""Errors in OpenAI's envelope, both ways: `{"error": {"message", "type", "param", "code"}}`. Its dialects share it.

Azure wraps the cause once more (`innererror`), compatible hosts leave out or restyle half of it, proxies answer in
HTML: the status decides where the body does not. Statuses and codes: OpenAI API reference, "Error codes"; Azure OpenAI
reference, "content filtering".
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.call import Headers
from trunkline.core.errors import GatewayError, Kind, UpstreamError
from trunkline.dialects.faults import envelope, message_of, read_envelope, text, upstream_error

_encode = msgspec.json.Encoder().encode

_BY_STATUS: dict[int, Kind] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_BY_CODE: dict[str, Kind] = {
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "billing",
    "billing_not_active": "billing",
    "context_length_exceeded": "context_length",
    "content_filter": "content_filter",
    "ResponsibleAIPolicyViolation": "content_filter",
    "content_policy_violation": "content_filter",
    "invalid_api_key": "authentication",
    "model_not_found": "not_found",
    "DeploymentNotFound": "not_found",
    "rate_limit_exceeded": "rate_limit",
    "RateLimitReached": "rate_limit",
    "server_error": "server",
}

_TYPES: dict[Kind, str] = {
    "invalid_request": "invalid_request_error",
    "authentication": "invalid_request_error",
    "billing": "insufficient_quota",
    "permission": "invalid_request_error",
    "not_found": "invalid_request_error",
    "conflict": "invalid_request_error",
    "too_large": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "quota": "insufficient_quota",
    "timeout": "timeout_error",
    "overloaded": "server_error",
    "content_filter": "invalid_request_error",
    "context_length": "invalid_request_error",
    "server": "server_error",
}

_CODES: dict[Kind, str] = {
    "rate_limit": "rate_limit_exceeded",
    "quota": "insufficient_quota",
    "content_filter": "content_filter",
    "context_length": "context_length_exceeded",
}
"""Codes of an upstream's error that programs branch on: to wait, to give up, to shorten the prompt. Every other error
has our own code. Above all an upstream that refuses the gateway's credential is no `invalid_api_key`: the caller would
replace a key that is good."""

_STATUS: dict[Kind, int] = {
    "authentication": 401, "billing": 429, "content_filter": 400, "context_length": 400, "not_found": 404, "quota": 429,
}  # fmt: skip
"""Statuses by which OpenAI's SDK raises the right class; elsewhere the error's own status."""


def read_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """An upstream's error answer. Never raises, whatever the body is."""
    found = read_envelope(body)
    return _classify(found, status, headers, body if found else None)


def in_band_error(error: Any) -> UpstreamError:
    """The `error` object inside a 200 answer. Its `code` may be an HTTP status (OpenRouter)."""
    found = envelope({"error": error})
    stated = [said for name in ("code", "status_code") if (said := text(found.get(name))) and said.isdigit()]
    status = next((number for said in stated if 400 <= (number := int(said)) < 600), 502)
    return _classify(found, status, [], None)


def _classify(found: dict[str, Any], status: int, headers: Headers, body: bytes | None) -> UpstreamError:
    code, type_ = text(found.get("code")), text(found.get("type"))
    inner = found.get("innererror")
    inner_code = text(inner.get("code")) if isinstance(inner, dict) else None
    message = message_of(found, status)
    stated = _BY_STATUS.get(status, "server" if status >= 500 else "invalid_request")
    kind = next((_BY_CODE[name] for name in (inner_code, code, type_) if name in _BY_CODE), stated)
    if kind == "server" and status >= 500:
        kind = stated  # OpenAI says `server_error` of an overload and of a time-out alike
    if kind == "invalid_request" and "maximum context length" in message:
        kind = "context_length"
    if kind == "rate_limit" and "Request too large" in message:
        kind = "too_large"  # more than the whole per-minute limit: waiting does not help
    error = upstream_error(found, kind, status, message, headers, body)
    error.of_account = kind == "quota"
    if kind == "too_large" and status == 429:
        error.retryable = True  # another account may have a higher limit
    return error


def error_status(error: GatewayError) -> int:
    return _STATUS.get(error.kind, 503 if error.status == 529 else error.status)


def write_error(error: GatewayError, request_id: str) -> bytes:
    return _encode({"error": error_object(error, request_id)})


def error_object(error: GatewayError, request_id: str) -> dict[str, Any]:
    """What the envelope holds."""
    told = {"message": error.message, "type": _TYPES[error.kind], "param": error.param, "code": _code(error)}
    return told | {"request_id": request_id}


def _code(error: GatewayError) -> str:
    if not isinstance(error, UpstreamError):
        return _CODES["quota"] if error.kind == "quota" else error.code
    if error.kind == "not_found" and _BY_CODE.get(error.upstream_code or "") == "not_found":
        return "model_not_found"  # a bare 404 may also be a wrong address
    return _CODES.get(error.kind, error.code)
