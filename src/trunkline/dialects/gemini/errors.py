"""Errors in Google's envelope, both ways: `{"error": {"code", "message", "status", "details"}}`.

A stream in an array holds its error in the array. When to come back stands in the details (`google.rpc.RetryInfo`),
not in a header. Source of the statuses: google.rpc.Code and its mapping to HTTP; the messages are those of recordings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.core.call import Headers
from trunkline.core.errors import GatewayError, Kind, UpstreamError
from trunkline.dialects.faults import envelope, message_of, read_envelope, text, upstream_error

_encode = msgspec.json.Encoder().encode

_BY_NAME: Mapping[str, tuple[Kind, int]] = {
    "INVALID_ARGUMENT": ("invalid_request", 400),
    "FAILED_PRECONDITION": ("invalid_request", 400),
    "OUT_OF_RANGE": ("invalid_request", 400),
    "UNAUTHENTICATED": ("authentication", 401),
    "PERMISSION_DENIED": ("permission", 403),
    "NOT_FOUND": ("not_found", 404),
    "ABORTED": ("conflict", 409),
    "ALREADY_EXISTS": ("conflict", 409),
    "RESOURCE_EXHAUSTED": ("rate_limit", 429),
    "CANCELLED": ("timeout", 499),
    "INTERNAL": ("server", 500),
    "UNKNOWN": ("server", 500),
    "DATA_LOSS": ("server", 500),
    "UNIMPLEMENTED": ("not_found", 501),
    "UNAVAILABLE": ("overloaded", 503),
    "DEADLINE_EXCEEDED": ("timeout", 504),
}
"""What a status means, and the HTTP status that it has."""

_BY_STATUS: Mapping[int, Kind] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
}

_BY_MESSAGE: tuple[tuple[str, Kind], ...] = (
    ("API key not valid", "authentication"),
    ("API key expired", "authentication"),
    ("exceeds the maximum number of tokens", "context_length"),
    ("Request payload size exceeds", "too_large"),
    ("billing to be enabled", "billing"),
)
"""Faults that only the message tells apart."""

_NAMES: Mapping[Kind, str] = {
    "invalid_request": "INVALID_ARGUMENT",
    "authentication": "UNAUTHENTICATED",
    "billing": "PERMISSION_DENIED",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "conflict": "ABORTED",
    "too_large": "INVALID_ARGUMENT",
    "rate_limit": "RESOURCE_EXHAUSTED",
    "quota": "RESOURCE_EXHAUSTED",
    "timeout": "DEADLINE_EXCEEDED",
    "overloaded": "UNAVAILABLE",
    "content_filter": "INVALID_ARGUMENT",
    "context_length": "INVALID_ARGUMENT",
    "server": "INTERNAL",
}
_STATUSES: Mapping[Kind, int] = {
    "authentication": 401, "billing": 403, "content_filter": 400, "context_length": 400, "not_found": 404, "quota": 429,
}  # fmt: skip
"""What the kind is called here, whatever status it had elsewhere; every other error keeps its own."""

_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
MAX_DETAILS = 32


def read_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """An upstream's error answer. Never raises, whatever the body is."""
    found = read_envelope(body)
    return _classify(found, status, headers, body if found else None)


def in_band_error(value: Any) -> UpstreamError:
    """The error inside a stream, or under a 200: its `code` is the HTTP status."""
    found = envelope(value)
    code = found.get("code")
    stated = code if type(code) is int and 400 <= code < 600 else None
    return _classify(found, stated or _BY_NAME.get(text(found.get("status")) or "", ("server", 502))[1], [], None)


def _classify(found: dict[str, Any], status: int, headers: Headers, body: bytes | None) -> UpstreamError:
    if status < 400:
        status = 502
    message = message_of(found, status)
    kind: Kind = _BY_STATUS.get(status, "server" if status >= 500 else "invalid_request")
    if (stated := _BY_NAME.get(text(found.get("status")) or "")) is not None:
        kind = stated[0]
    kind = next((better for words, better in _BY_MESSAGE if words in message), kind)
    if kind == "rate_limit" and _of_a_day(found.get("details")):
        kind = "quota"
    delay = _retry_delay(found.get("details"))
    error = upstream_error(found, kind, status, message, headers, body)
    error.upstream_code = text(found.get("status")) or error.upstream_code
    if error.retry_after is None:
        error.retry_after = delay
    return error


def _of_a_day(details: Any) -> bool:
    """Whether it is a day's quota that is used up, as the names of quotas tell: no waiting for seconds helps."""
    for detail in details[:MAX_DETAILS] if isinstance(details, list) else ():
        if isinstance(detail, dict) and detail.get("@type") == _QUOTA_FAILURE:
            rows = detail.get("violations")
            broken = [row for row in rows[:MAX_DETAILS] if isinstance(row, dict)] if isinstance(rows, list) else []
            return any("PerDay" in (text(row.get("quotaId")) or "") for row in broken)
    return False


def _retry_delay(details: Any) -> float | None:
    """Seconds to wait, as `RetryInfo` says them ("34.4s")."""
    if not isinstance(details, list):
        return None
    for detail in details[:MAX_DETAILS]:
        if isinstance(detail, dict) and detail.get("@type") == _RETRY_INFO:
            said = _SECONDS.fullmatch(text(detail.get("retryDelay")) or "")
            return float(said[1]) if said else None
    return None


# ── The way out ────────────────────────────────────────────────────────────────────────────────────────────────────


def error_status(error: GatewayError) -> int:
    return _STATUSES.get(error.kind, 503 if error.status == 529 else error.status)


def write_error(error: GatewayError, request_id: str) -> bytes:
    """`details` say what Google's own have no field for: our code and the field, and when to come back."""
    info: dict[str, str] = {"request_id": request_id}
    if error.param is not None:
        info["param"] = error.param
    details: list[dict[str, Any]] = [
        {"@type": _ERROR_INFO, "reason": error.code.upper(), "domain": "trunkline", "metadata": info}
    ]
    if error.retry_after is not None:
        details.append({"@type": _RETRY_INFO, "retryDelay": f"{error.retry_after:g}s"})
    inner = {
        "code": error_status(error), "message": error.message, "status": _NAMES[error.kind], "details": details,
    }  # fmt: skip
    return _encode({"error": inner})
