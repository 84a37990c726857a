"""Token counts, both ways.

Anthropic's `input_tokens` leaves out what was read from or written to the cache; ours contains it. A stream reports
twice: `message_start` gives the input, `message_delta` repeats it as a running total. The later number replaces the
earlier one, field by field: adding them up would count the cache twice (older hosts leave the fields out, so the
earlier number stands).
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.usage import Usage

COUNTED = frozenset(
    {
        "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
        "output_tokens_details",
    }
)  # fmt: skip
"""The fields that `Usage` holds; the rest (service tier, server tools) belongs to this dialect alone."""


def merge_usage(before: dict[str, Any], after: Any) -> dict[str, Any]:
    """The later report over the earlier one; nulls say nothing."""
    if type(after) is not dict:
        return before
    said: dict[str, Any] = after
    if None in said.values():
        said = {name: value for name, value in said.items() if value is not None}
    return before | said if before else said


def read_usage(wire: dict[str, Any]) -> Usage:
    """Never raises: a count that is no number reads as 0."""
    read, written = _count(wire, "cache_read_input_tokens"), _count(wire, "cache_creation_input_tokens")
    return Usage(
        input=_count(wire, "input_tokens") + read + written,
        cache_read=read,
        cache_write=written,
        cache_write_1h=min(written, _count(wire.get("cache_creation"), "ephemeral_1h_input_tokens")) if written else 0,
        output=_count(wire, "output_tokens"),
        reasoning=_count(wire.get("output_tokens_details"), "thinking_tokens"),
    )


def cut_short(usage: Usage, output: int) -> Usage:
    """An answer that ended before `message_delta`: `message_start` has counted the input, but of the output only its
    first token or two. `output` is our own count of what has come."""
    return msgspec.structs.replace(usage, output=max(usage.output, output), estimated=True)


def _count(wire: Any, name: str) -> int:
    value = wire.get(name) if type(wire) is dict else None
    return value if type(value) is int and value > 0 else 0


def write_usage(usage: Usage) -> dict[str, Any]:
    """All four counts, so that a client that reads only the last report has the whole truth."""
    out: dict[str, Any] = {
        "input_tokens": max(0, usage.input - usage.cache_read - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.cache_write_1h:
        out["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write - usage.cache_write_1h,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        out["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return out
