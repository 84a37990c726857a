"""What upstreams' error answers have in common, whatever the dialect: they are read without ever raising, and what kind
of error it is decides whether another target may do better. Which kind it is, each dialect knows for itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.call import Headers
from trunkline.core.errors import Kind, UpstreamError
from trunkline.dialects.retry import retry_after

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

MAX_MESSAGE = 2000
"""Characters of an upstream's message that are passed on."""

ELSEWHERE: frozenset[Kind] = frozenset(
    {
        "authentication", "billing", "permission", "not_found", "conflict", "rate_limit", "quota", "timeout",
        "overloaded", "server",
    }
)  # fmt: skip
"""Kinds of error that another target may not have: its credential, its account, its models, its load. What is left is
the request's own fault and would fail there too."""


def read_envelope(body: bytes) -> dict[str, Any]:
    """The error object of an error answer; {} where it holds none, be it HTML or half of something."""
    try:
        return envelope(_decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def envelope(value: Any) -> dict[str, Any]:
    """The error object, wherever this host keeps it; {} where there is none."""
    match value:
        case {"error": dict(inner)}:
            return inner
        case {"error": str(message)}:
            return {"message": message}
        case {"message": str()}:
            return dict(value)
        case {"detail": detail}:
            return {"message": detail if isinstance(detail, str) else _encode(detail).decode()}
        case [first, *_]:
            return envelope(first)
    return {}


def text(value: Any) -> str | None:
    """A name or a code as text: some hosts send numbers. None for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def message_of(found: dict[str, Any], status: int) -> str:
    """What the upstream said, within a bound; its status where it said nothing."""
    return (text(found.get("message")) or f"The upstream answered with status {status}.")[:MAX_MESSAGE]


def upstream_error(
    found: dict[str, Any], kind: Kind, status: int, message: str, headers: Headers, body: bytes | None
) -> UpstreamError:
    """The error as the gateway knows it. `found`: the error object; `body`: what the identity path passes on."""
    return UpstreamError(
        message,
        status=status,
        kind=kind,
        code=f"upstream_{kind}",
        param=text(found.get("param")),
        retryable=kind in ELSEWHERE,
        retry_after=retry_after(headers),
        upstream_code=text(found.get("code")),
        headers=headers,
        body=body,
    )
