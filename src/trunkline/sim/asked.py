"""A request as it came, for those who must judge it before it is understood: credentials may lie in the query, and a
signature covers method, path, headers and body."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Asked(Struct, frozen=True):
    """The parts of an HTTP request."""

    method: str
    target: str
    """The path as it was sent, percent-encoded."""
    query: str
    headers: Mapping[bytes, bytes]
    """Names in lower case."""
    body: bytes
    now: float
    """Seconds since the epoch when it arrived."""
