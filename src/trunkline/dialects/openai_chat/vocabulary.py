"""Words that the readers and the writers of this dialect share.

Source of the field names and finish reasons: OpenAI API reference, "Chat", November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

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
