"""The frame of an answer: how it began and how it ended, read from the response object."""

from __future__ import annotations

from typing import Any

from trunkline.core.events import Finished, Started
from trunkline.dialects.openai_responses.vocabulary import NAME, REASONS

_CARRIED = frozenset({"id", "object", "created_at", "model", "output", "usage", "error"})
"""Fields of a response that events carry, or that every response has alike."""


def started(response: dict[str, Any]) -> Started:
    created = response.get("created_at")
    when = int(created) if isinstance(created, int | float) else 0
    return Started(str(response.get("id") or ""), str(response.get("model") or ""), when, None, NAME)


def ended(response: dict[str, Any], called: bool) -> Finished:
    """`called`: the answer holds calls. What else the service says of the answer goes into `extra`: its settings as the
    service understood them, Azure's `content_filters`."""
    extra = {name: value for name, value in response.items() if name not in _CARRIED}
    details = response.get("incomplete_details")
    if response.get("status") == "incomplete":
        named = details.get("reason") if isinstance(details, dict) else None
        return Finished(REASONS.get(str(named), "length"), details=details, extra=extra)
    return Finished("tool_calls" if called else "stop", extra=extra)


def token_logprobs(values: Any) -> list[dict[str, Any]]:
    """Log-probabilities as chat has them: a stream leaves out the tokens' bytes."""
    if not isinstance(values, list):
        return []
    return [_token(value) | {"top_logprobs": token_logprobs_of(value)} for value in values if isinstance(value, dict)]


def token_logprobs_of(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [_token(other) for other in value.get("top_logprobs") or () if isinstance(other, dict)]


def _token(value: dict[str, Any]) -> dict[str, Any]:
    token = str(value.get("token") or "")
    data = value.get("bytes")
    return {
        "token": token,
        "logprob": value.get("logprob"),
        "bytes": data if isinstance(data, list) else list(token.encode("utf-8", "replace")),
    }
