"""Words that the readers and the writers of this dialect share.

Source of the field names: OpenAI API reference, "Responses", November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.core.events import Reason

NAME = "openai_responses"

NAMES: Mapping[str, str] = {
    "max_tokens": "max_output_tokens",
    "output": "text.format",
    "verbosity": "text.verbosity",
    "tier": "service_tier",
    "logprobs": "include",
}
"""What this dialect calls the fields of `Request`, where it differs."""

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
"""Values of `include` that the core has a word for."""

STATUSES: Mapping[Reason, tuple[str, str | None]] = {
    "stop": ("completed", None),
    "stop_sequence": ("completed", None),
    "pause": ("completed", None),
    "tool_calls": ("completed", None),
    "length": ("incomplete", "max_output_tokens"),
    "context_window": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
    "refusal": ("incomplete", "content_filter"),
    "error": ("incomplete", "content_filter"),
}
"""How an answer ends: its status, and the reason in `incomplete_details`. `error` (a call that the model got wrong) has
no word here: `content_filter` at least says that this is not an answer."""

REASONS: Mapping[str, Reason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""The way back; a reason that we do not know reads as `length`: something is missing."""

INNER = frozenset({"text", "reasoning", "format"})
"""Objects of which the reader takes what it knows: `Extra` holds the unknown rest by dotted names."""

REDACTED = "redacted."
"""Before a sealed thought of another family that is encrypted altogether: a reasoning item does not tell it from a
thought whose text was left out."""


def put_back(out: dict[str, Any], name: str, value: Any) -> None:
    """Write an unknown field where it came from, unless something stands there."""
    head, dot, tail = name.partition(".")
    if dot and head in INNER:
        put_back(out.setdefault(head, {}), tail, value)
    else:
        out.setdefault(name, value)


def signed(item_id: str, encrypted: str) -> str:
    """What proves a reasoning item to the service: it wants the id back with the encrypted content."""
    return f"{item_id}:{encrypted}"


def unsigned(signature: str) -> tuple[str, str]:
    """(id, encrypted content) of what `signed` made. An id holds no colon; the content does where another gateway has
    sealed it. What is no such pair is all content."""
    item_id, colon, encrypted = signature.partition(":")
    return (item_id, encrypted) if colon else ("", signature)
