"""Token counts, both ways, and those that the service tells in header fields.

`inputTokens` leaves out what was read from or written to the cache; ours contains it. What was written is split by its
lifetime in `cacheDetails`. An invoked model's body may count nothing: then the answer's header fields do.
"""

from __future__ import annotations

from typing import Any

from trunkline.core.call import Headers
from trunkline.core.usage import Usage

COUNTED = frozenset(
    {
        "inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails",
        "cacheReadInputTokenCount", "cacheWriteInputTokenCount",
    }
)  # fmt: skip
"""The fields that `Usage` holds; the last two say again what their namesakes say."""

_HEADERS = {
    b"x-amzn-bedrock-input-token-count": "inputTokens",
    b"x-amzn-bedrock-output-token-count": "outputTokens",
    b"x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokens",
    b"x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokens",
}

_METRICS = {
    "inputTokenCount": "inputTokens",
    "outputTokenCount": "outputTokens",
    "cacheReadInputTokenCount": "cacheReadInputTokens",
    "cacheWriteInputTokenCount": "cacheWriteInputTokens",
}
"""The counts of `amazon-bedrock-invocationMetrics` by Converse's names."""


def read_usage(wire: dict[str, Any]) -> Usage:
    """Never raises: a count that is no number reads as 0."""
    read = _count(wire, "cacheReadInputTokens") or _count(wire, "cacheReadInputTokenCount")
    written = _count(wire, "cacheWriteInputTokens") or _count(wire, "cacheWriteInputTokenCount")
    return Usage(
        input=_count(wire, "inputTokens") + read + written,
        cache_read=read,
        cache_write=written,
        cache_write_1h=min(written, _for_an_hour(wire.get("cacheDetails"))),
        output=_count(wire, "outputTokens"),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    out: dict[str, Any] = {
        "inputTokens": max(0, usage.input - usage.cache_read - usage.cache_write),
        "outputTokens": usage.output,
        "totalTokens": usage.total,
    }
    if usage.cache_read or usage.cache_write:
        out["cacheReadInputTokens"] = usage.cache_read
        out["cacheWriteInputTokens"] = usage.cache_write
    lives = {"1h": usage.cache_write_1h, "5m": usage.cache_write - usage.cache_write_1h}
    if usage.cache_write:
        out["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in lives.items() if tokens]
    return out


def usage_of(headers: Headers) -> Usage | None:
    """The counts among an answer's header fields; None where there are none."""
    found = {_HEADERS[name]: int(value) for name, value in headers if name in _HEADERS and value.isdigit()}
    return read_usage(found) if found else None


def invocation_usage(metrics: dict[str, Any]) -> Usage:
    """The counts that the last chunk of an invoked model's stream holds."""
    return read_usage({name: metrics.get(wire) for wire, name in _METRICS.items()})


def _for_an_hour(details: Any) -> int:
    found = details if isinstance(details, list) else []
    return sum(_count(each, "inputTokens") for each in found if isinstance(each, dict) and each.get("ttl") == "1h")


def _count(wire: Any, name: str) -> int:
    value = wire.get(name) if type(wire) is dict else None
    return value if type(value) is int and value > 0 else 0
