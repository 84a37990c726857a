"""Errors as Amazon's services say them, both ways: a header names the exception, the body has a message.

Which exception it is tells more than the status; some older ones put its name into the body. SDKs raise the class that
`x-amzn-errortype` names, so every error that goes out carries it. Inside a stream an exception is a frame of its own.

Source: the API reference, "Common errors", and botocore's description of `bedrock-runtime`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.core.call import Headers
from trunkline.core.errors import GatewayError, Kind, UpstreamError
from trunkline.dialects.bedrock.eventstream import Frame, exception
from trunkline.dialects.faults import message_of, read_envelope, text, upstream_error

_encode = msgspec.json.Encoder().encode

_BY_NAME: Mapping[str, tuple[Kind, int]] = {
    "ValidationException": ("invalid_request", 400),
    "AccessDeniedException": ("permission", 403),
    "UnrecognizedClientException": ("authentication", 403),
    "ExpiredTokenException": ("authentication", 403),
    "InvalidSignatureException": ("authentication", 403),
    "MissingAuthenticationTokenException": ("authentication", 403),
    "IncompleteSignatureException": ("authentication", 400),
    "ResourceNotFoundException": ("not_found", 404),
    "ConflictException": ("conflict", 400),
    "ModelTimeoutException": ("timeout", 408),
    "ModelErrorException": ("server", 424),
    "ModelStreamErrorException": ("server", 424),
    "ThrottlingException": ("rate_limit", 429),
    "ModelNotReadyException": ("overloaded", 429),
    "ServiceQuotaExceededException": ("quota", 400),
    "InternalServerException": ("server", 500),
    "InternalFailure": ("server", 500),
    "ServiceUnavailableException": ("overloaded", 503),
}
"""What an exception means, and the status that it has outside a stream."""

_BY_STATUS: Mapping[int, Kind] = {
    401: "authentication",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
}

_BY_MESSAGE: tuple[tuple[str, Kind], ...] = (
    ("Input Tokens Exceeded", "context_length"),
    ("Input is too long", "context_length"),
    ("prompt is too long", "context_length"),
    ("exceed context limit", "context_length"),
    ("model identifier is invalid", "not_found"),
    ("on-demand throughput isn", "not_found"),
    ("tokens per day", "quota"),
)
"""Faults that only the message tells apart."""

_NAMES: Mapping[Kind, tuple[str, int]] = {
    "invalid_request": ("ValidationException", 400),
    "authentication": ("UnrecognizedClientException", 403),
    "billing": ("AccessDeniedException", 403),
    "permission": ("AccessDeniedException", 403),
    "not_found": ("ResourceNotFoundException", 404),
    "conflict": ("ValidationException", 400),
    "too_large": ("ValidationException", 413),
    "rate_limit": ("ThrottlingException", 429),
    "quota": ("ServiceQuotaExceededException", 400),
    "timeout": ("ModelTimeoutException", 408),
    "overloaded": ("ServiceUnavailableException", 503),
    "content_filter": ("ValidationException", 400),
    "context_length": ("ValidationException", 400),
    "server": ("InternalServerException", 500),
}
"""The exception of each kind of error, and its status."""

_IN_STREAMS: Mapping[Kind, str] = {
    "rate_limit": "throttlingException",
    "quota": "throttlingException",
    "timeout": "modelStreamErrorException",
    "overloaded": "serviceUnavailableException",
    "server": "modelStreamErrorException",
}
"""Streams know fewer: all others are the request's own fault."""


def read_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """An upstream's error answer. Never raises, whatever the body is."""
    found = read_envelope(body)
    said = next((value.decode("latin-1") for name, value in headers if name == b"x-amzn-errortype"), None)
    name = said or text(found.get("__type")) or text(found.get("code")) or ""
    return _classify(found, name.partition(":")[0].rpartition("#")[2], status, headers, body if found else None)


def in_band_error(frame: Frame) -> UpstreamError:
    """An exception inside a stream: its name stands in for the status."""
    found = {"message": frame.message} if frame.kind == "error" else read_envelope(frame.payload)
    name = frame.name[:1].upper() + frame.name[1:]
    return _classify(found, name, _BY_NAME.get(name, ("server", 502))[1], [], None)


def _classify(found: dict[str, Any], name: str, status: int, headers: Headers, body: bytes | None) -> UpstreamError:
    message = message_of(found or {"message": None}, status)
    kind: Kind = _BY_STATUS.get(status, "server" if status >= 500 else "invalid_request")
    if (stated := _BY_NAME.get(name)) is not None:
        kind = stated[0]
    if kind in {"invalid_request", "rate_limit"}:
        kind = next((better for words, better in _BY_MESSAGE if words in message), kind)
    return upstream_error(found | {"code": name or None}, kind, status, message, headers, body)


# ── The way out ────────────────────────────────────────────────────────────────────────────────────────────────────


def error_status(error: GatewayError) -> int:
    """A status that goes with the exception's name; the gateway's own failures keep theirs."""
    status = _NAMES[error.kind][1]
    if isinstance(error, UpstreamError) or error.status // 100 != status // 100:
        return status
    return error.status


def error_headers(error: GatewayError) -> Headers:
    """What SDKs choose the exception's class by."""
    return [(b"x-amzn-errortype", _NAMES[error.kind][0].encode())]


def write_error(error: GatewayError) -> bytes:
    """`code` is the gateway's own: SDKs go by the header."""
    out: dict[str, Any] = {"message": error.message, "code": error.code}
    if error.param is not None:
        out["param"] = error.param
    return _encode(out)


def stream_error(error: GatewayError) -> bytes:
    return exception(_IN_STREAMS.get(error.kind, "validationException"), write_error(error))
