"""Answers of the endpoints that count a request's tokens: one integer, by the name that the family gives it."""

from __future__ import annotations

import msgspec

from trunkline.core.errors import UpstreamProtocol

_decode = msgspec.json.Decoder().decode


def read_count(body: bytes, name: str) -> int:
    """Raises UpstreamProtocol."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's count is not valid JSON.") from error
    count = answer.get(name) if isinstance(answer, dict) else None
    if type(count) is not int:
        raise UpstreamProtocol(f"The upstream's count has no {name}.")
    return count
