"""Errors in Anthropic's envelope, both ways: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Source of the types and statuses: Anthropic API reference, "Errors". The type says more than the status (inside a stream
there is no status at all), and for some faults only the message tells: a prompt that is too long and an empty account
both come as a plain 400.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.core.call import Headers
from trunkline.core.errors import GatewayError, Kind, UpstreamError
from trunkline.dialects.faults import envelope, message_of, read_envelope, text, upstream_error
from trunkline.dialects.sse import event

_encode = msgspec.json.Encoder().encode

_BY_TYPE: Mapping[str, tuple[Kind, int]] = {
    "invalid_request_error": ("invalid_request", 400),
    "authentication_error": ("authentication", 401),
    "billing_error": ("billing", 402),
    "permission_error": ("permission", 403),
    "not_found_error": ("not_found", 404),
    "conflict_error": ("conflict", 409),
    "request_too_large": ("too_large", 413),
    "rate_limit_error": ("rate_limit", 429),
    "api_error": ("server", 500),
    "timeout_error": ("timeout", 504),
    "overloaded_error": ("overloaded", 529),
}
"""What a type means, and the status that it has outside a stream."""

_BY_STATUS: Mapping[int, Kind] = {status: kind for kind, status in _BY_TYPE.values()} | {
    408: "timeout",
    503: "overloaded",
}

_BY_MESSAGE: tuple[tuple[str, Kind], ...] = (
    ("prompt is too long", "context_length"),
    ("exceed context limit", "context_length"),
    ("credit balance is too low", "billing"),
    ("content filtering policy", "content_filter"),
    ("specified API usage limits", "quota"),
    ("Overloaded", "overloaded"),
)
"""Faults that only the message tells apart."""

_TYPES: Mapping[Kind, str] = {kind: name for name, (kind, _) in _BY_TYPE.items()} | {
    "quota": "rate_limit_error",
    "content_filter": "invalid_request_error",
    "context_length": "invalid_request_error",
}

_STATUSES: Mapping[Kind, int] = dict(_BY_TYPE.values()) | {
    "server": 502,
    "quota": 429,
    "content_filter": 400,
    "context_length": 400,
}
_ALWAYS: Mapping[Kind, int] = {
    "authentication": 401, "billing": 402, "not_found": 404, "overloaded": 529, "quota": 429, "too_large": 413,
}  # fmt: skip
"""OpenAI says 503 of an overload, and 429 of an unpaid account or of a request that is larger than the limit itself:
the SDK would wait and try again. Google says 400 of a wrong key; AWS 403,
and 400 of a quota and of a model that it does not know."""
_KNOWN_STATUSES = frozenset({400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 429, 499, 500, 502, 503, 504, 529})
"""Statuses for which Anthropic's SDK has a class, and those that it retries by."""

_SECRETS = re.compile(
    r"\b(?:sk|pk)-[\w-]{6,}|\bBearer \S+|https?://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b[\w-]+(?:\.[\w-]+)+:\d+"
)
"""What an upstream's message must not carry to the client: keys, addresses."""


def read_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """An upstream's error answer. Never raises, whatever the body is; text that is not JSON is not shown."""
    found = read_envelope(body)
    return _classify(found, status, headers, body if found else None)


def in_band_error(value: Any) -> UpstreamError:
    """The `error` event of a stream (or an error body under a 200): its type stands in for the status."""
    found = envelope(value)
    return _classify(found, _BY_TYPE.get(text(found.get("type")) or "", ("server", 502))[1], [], None)


def _classify(found: dict[str, Any], status: int, headers: Headers, body: bytes | None) -> UpstreamError:
    if status < 400:
        status = 502
    message = _SECRETS.sub("[removed]", message_of(found, status))
    kind: Kind = _BY_STATUS.get(status, "server" if status >= 500 else "invalid_request")
    if (stated := _BY_TYPE.get(text(found.get("type")) or "")) is not None:
        kind = stated[0]
    if kind == "server" and status >= 500:
        kind = _BY_STATUS.get(status, kind)  # an `api_error` may come with the status of an overload or a time-out
    if kind in {"invalid_request", "server", "rate_limit"}:
        kind = next((better for words, better in _BY_MESSAGE if words in message), kind)
    error = upstream_error(found, kind, status, message, headers, body)
    error.of_account = kind == "quota"
    return error


# ── The way out ────────────────────────────────────────────────────────────────────────────────────────────────────


def error_status(error: GatewayError) -> int:
    """What the upstream's fault is called here, whatever status it had; the gateway's own overload stays a 503."""
    if isinstance(error, UpstreamError) and error.kind in _ALWAYS:
        return _ALWAYS[error.kind]
    return error.status if error.status in _KNOWN_STATUSES else _STATUSES[error.kind]


def write_error(error: GatewayError, request_id: str) -> bytes:
    inner: dict[str, Any] = {"type": _TYPES[error.kind], "message": error.message, "code": error.code}
    if error.param is not None:
        inner["param"] = error.param
    return _encode({"type": "error", "error": inner, "request_id": request_id or None})


def stream_error(error: GatewayError, request_id: str) -> bytes:
    return event(b"error", write_error(error, request_id))
