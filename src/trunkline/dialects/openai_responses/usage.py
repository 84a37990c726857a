"""Responses' `usage` object, both ways. Its totals contain their parts, as ours do."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.usage import Usage


class InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(Struct):
    reasoning_tokens: int | None = None


class WireUsage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


_NO_INPUT, _NO_OUTPUT = InputDetails(), OutputDetails()


def read_usage(value: Any) -> Usage | None:
    """None where the object is no count of tokens: that costs us the count, never the answer."""
    try:
        wire = msgspec.convert(value, WireUsage, strict=False)
    except msgspec.ValidationError:
        return None
    return counted(wire)


def counted(wire: WireUsage) -> Usage:
    given, taken = wire.input_tokens_details or _NO_INPUT, wire.output_tokens_details or _NO_OUTPUT
    whole, said = wire.input_tokens or 0, wire.output_tokens or 0
    read = min(given.cached_tokens or 0, whole)
    return Usage(
        input=whole,
        cache_read=read,
        cache_write=min(given.cache_write_tokens or 0, whole - read),
        output=said,
        reasoning=min(taken.reasoning_tokens or 0, said),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
