"""Errors in OpenAI's envelope, both ways: `{"error": {"message", "type", "param", "code"}}`.

Azure wraps the cause once more (`innererror`), compatible hosts leave out or restyle half of it, proxies answer in
HTML: the status decides where the body does not. Statuses and codes: OpenAI API reference, "Error codes"; Azure OpenAI
reference, "content filtering".
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.call import Headers
from trunkline.core.errors import GatewayError, Kind, UpstreamError
from trunkline.dialects.retry import retry_after

_decode = msgspec.json.Decoder().decode
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

_ELSEWHERE: frozenset[Kind] = frozenset(
    {
        "authentication",
        "billing",
        "permission",
        "not_found",
        "conflict",
        "rate_limit",
        "quota",
        "timeout",
        "overloaded",
        "server",
    }
)
"""Kinds of error that another target may not have: its credential, its quota, its load, its models."""

_TYPES: dict[Kind, tuple[str, str | None]] = {
    "invalid_request": ("invalid_request_error", None),
    "authentication": ("invalid_request_error", "invalid_api_key"),
    "billing": ("insufficient_quota", "billing_hard_limit_reached"),
    "permission": ("invalid_request_error", None),
    "not_found": ("invalid_request_error", None),
    "conflict": ("invalid_request_error", None),
    "too_large": ("invalid_request_error", None),
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
    "quota": ("insufficient_quota", "insufficient_quota"),
    "timeout": ("timeout_error", None),
    "overloaded": ("server_error", None),
    "content_filter": ("invalid_request_error", "content_filter"),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "server": ("server_error", None),
}
"""`type`, and the `code` that OpenAI's own clients look for; elsewhere `code` is ours."""

_STATUS: dict[Kind, int] = {"billing": 429, "quota": 429, "content_filter": 400, "context_length": 400}
"""Statuses by which OpenAI's SDK raises the right class; elsewhere the error's own status."""


def read_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """An upstream's error answer. Never raises, whatever the body is."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    found = _envelope(value)
    return _classify(found, status, headers, body if found else None)


def in_band_error(error: Any) -> UpstreamError:
    """The `error` object inside a 200 answer. Its `code` may be an HTTP status (OpenRouter)."""
    found = _envelope({"error": error})
    stated = [text for name in ("code", "status_code") if (text := _string(found.get(name))) and text.isdigit()]
    status = next((number for text in stated if 400 <= (number := int(text)) < 600), 502)
    return _classify(found, status, [], None)


def _envelope(value: Any) -> dict[str, Any]:
    """The error object, wherever this host keeps it; {} where there is none."""
    match value:
        case {"error": dict(inner)}:
            return inner
        case {"error": str(message)}:
            return {"message": message}
        case {"message": str()} | {"detail": _}:
            return value if "message" in value else {"message": _text(value["detail"])}
        case [first, *_]:
            return _envelope(first)
    return {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _classify(found: dict[str, Any], status: int, headers: Headers, body: bytes | None) -> UpstreamError:
    code, type_ = _string(found.get("code")), _string(found.get("type"))
    inner = found.get("innererror")
    inner_code = _string(inner.get("code")) if isinstance(inner, dict) else None
    message = _string(found.get("message")) or f"The upstream answered with status {status}."
    stated = _BY_STATUS.get(status, "server" if status >= 500 else "invalid_request")
    kind = next((_BY_CODE[name] for name in (inner_code, code, type_) if name in _BY_CODE), stated)
    if kind == "server" and status >= 500:
        kind = stated  # OpenAI says `server_error` of an overload and of a time-out alike
    if kind == "invalid_request" and "maximum context length" in message:
        kind = "context_length"
    if kind == "rate_limit" and "Request too large" in message:
        kind = "too_large"  # more than the whole per-minute limit: waiting does not help
    return UpstreamError(
        message,
        status=status,
        kind=kind,
        code=f"upstream_{kind}",
        param=_string(found.get("param")),
        retryable=kind in _ELSEWHERE,
        retry_after=retry_after(headers),
        upstream_type=type_,
        upstream_code=code,
        headers=headers,
        body=body,
    )


def _string(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def error_status(error: GatewayError) -> int:
    return _STATUS.get(error.kind, 503 if error.status == 529 else error.status)


def error_object(error: GatewayError) -> dict[str, Any]:
    type_, code = _TYPES[error.kind]
    own = error.upstream_code if isinstance(error, UpstreamError) and error.upstream_code else None
    return {"message": error.message, "type": type_, "param": error.param, "code": code or own or error.code}


def write_error(error: GatewayError, request_id: str) -> bytes:
    return _encode({"error": {**error_object(error), "request_id": request_id}})
