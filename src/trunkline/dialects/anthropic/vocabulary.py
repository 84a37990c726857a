"""Words that the readers and the writers of this dialect share: names, tables, and the cache mark.

Source of the stop reasons and field names: Anthropic API reference, "Messages", version 2026-10-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.core.events import Reason
from trunkline.core.request import CacheMark

NAME = "anthropic"

NAMES: Mapping[str, str] = {
    "stop": "stop_sequences",
    "output": "output_config.format",
    "reasoning": "thinking",
    "user": "metadata.user_id",
    "tier": "service_tier",
    "cache": "cache_control",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
"""What this dialect calls the fields of `Request`, where it differs."""

REASONS: Mapping[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
"""Stop reasons; one that we do not know reads as `stop` and is kept in `Finished.extra`."""

STOP_REASONS: Mapping[Reason, str] = {
    **{reason: wire for wire, reason in REASONS.items()},
    "content_filter": "refusal",
    "error": "refusal",
}
"""The way back. `error` (a malformed call, say) has no word here: of those that exist only `refusal` tells a client
that what it holds is not an answer."""


def read_cache(value: Any) -> CacheMark | None:
    """A `cache_control` object as a mark; None where it says more than a mark can hold."""
    match value:
        case {"type": "ephemeral", "ttl": str(ttl), **rest} if not rest:
            return CacheMark(ttl)
        case {"type": "ephemeral", **rest} if not rest:
            return CacheMark()
    return None


def write_cache(mark: CacheMark) -> dict[str, str]:
    return {"type": "ephemeral"} if mark.ttl is None else {"type": "ephemeral", "ttl": mark.ttl}
