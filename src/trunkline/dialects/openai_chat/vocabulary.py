"""Words that the readers and the writers of this dialect share.

Source of the field names and finish reasons: OpenAI API reference, "Chat", November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.core.events import Reason

NAME = "openai_chat"

NAMES: Mapping[str, str] = {
    "max_tokens": "max_completion_tokens",
    "output": "response_format",
    "reasoning": "reasoning_effort",
    "tier": "service_tier",
    "cache": "cache_control",
}
"""What this dialect calls the fields of `Request`, where it differs."""

REASONS: Mapping[str, Reason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}
"""Finish reasons; one that we do not know reads as `stop`. `eos` is Together's, `error` OpenRouter's."""

FINISH_REASONS: Mapping[Reason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "pause": "stop",
    "length": "length",
    "context_window": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "error": "content_filter",
}
"""The way back. `error` has no word here: of those that exist only `content_filter` tells a client that what it holds
is not an answer."""

INNER = frozenset(
    {"stream_options", "response_format", "json_schema", "reasoning", "thinking", "function", "custom", "image_url",
     "input_audio", "file"}
)  # fmt: skip
"""Objects of which the reader takes what it knows: `Extra` holds the unknown rest by dotted names."""


def put_back(out: dict[str, Any], name: str, value: Any) -> None:
    """Write an unknown field where it came from, unless something stands there."""
    head, dot, tail = name.partition(".")
    if dot and head in INNER:
        put_back(out.setdefault(head, {}), tail, value)
    else:
        out.setdefault(name, value)
