"""Words that the readers and the writers of this dialect share: names, tables, and the spelling of fields.

Sources: Google AI's and Vertex AI's API references (discovery documents of November 2026), google-genai 3.4.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trunkline.core.events import Reason
from trunkline.dialects.fields import Fields

NAME = "gemini"

ARRAY = "array"
"""The framing of a stream that is one JSON array, sent where the query does not ask for `alt=sse`."""

NAMES: Mapping[str, str] = {
    "messages": "contents",
    "tool_choice": "toolConfig.functionCallingConfig",
    "output": "generationConfig.responseSchema",
    "max_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "seed": "generationConfig.seed",
    "stop": "generationConfig.stopSequences",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "presence_penalty": "generationConfig.presencePenalty",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "n": "generationConfig.candidateCount",
    "reasoning": "generationConfig.thinkingConfig",
    "metadata": "labels",
    "tier": "serviceTier",
}
"""What this dialect calls the fields of `Request`, where it differs."""

REASONS: Mapping[str, Reason] = {
    "STOP": "stop",
    "FINISH_REASON_UNSPECIFIED": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER",
        ),
        "content_filter",
    ),
    **dict.fromkeys(
        (
            "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
            "MALFORMED_RESPONSE", "NO_IMAGE", "OTHER",
        ),
        "error",
    ),
}  # fmt: skip
"""Finish reasons; one that we do not know reads as `stop` and is kept in `Finished.extra`."""

NUMBERED = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION"}
"""Some recorders and proxies write the enumeration's numbers; from 5 on the two services number differently."""

FINISH_REASONS: Mapping[Reason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "pause": "STOP",
    "length": "MAX_TOKENS",
    "context_window": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "error": "OTHER",
}

_UNDERSCORE = re.compile(r"_([a-z0-9])")


def camel(value: dict[str, Any]) -> dict[str, Any]:
    """The object with its own field names in camel case. Google's services and SDKs take `snake_case` too (the JSON
    mapping of protocol buffers); what is inside is left as it is, since it may be the caller's own data."""
    if "_" not in "".join(value):
        return dict(value)
    return {_UNDERSCORE.sub(lambda found: found[1].upper(), name): each for name, each in value.items()}


class CamelFields(Fields):
    """Fields in either spelling; paths are told in camel case."""

    def __init__(self, value: Any, at: str = "") -> None:
        super().__init__(camel(value) if type(value) is dict else value, at)

    def inner(self, name: str) -> CamelFields:
        fields = CamelFields(self.get(name, dict) or {}, self.path(name))
        if self._within is None:
            self._within = {}
        self._within[name] = fields
        return fields


SYNTHETIC = "gcall_"
"""How ids begin that this dialect made up, because the service gave a call none: never sent back to it."""
