"""What the families call the same thing: tiers, effort levels, cache lifetimes, stop sequences, and the plain fields.

One place, so that five readers and writers cannot disagree. A word stands in a family's table where the family can say
it; `SILENCE` where it says it by leaving the field out; a word that is not there cannot be said, and the writer reports
it as lost. A client's own dialect needs no table: its words go back as they came. docs/mapping.md is made from here.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

CHAT, RESPONSES, MESSAGES, GEMINI, BEDROCK = "openai_chat", "openai_responses", "anthropic", "gemini", "bedrock"
FAMILIES = (CHAT, RESPONSES, MESSAGES, GEMINI, BEDROCK)

SILENCE = ""
"""Said by not saying anything: nothing is lost."""


class Words(Struct, frozen=True):
    """The words of all families, as one family says them."""

    said: Mapping[str, str]
    source: str


# ── Service tiers ──────────────────────────────────────────────────────────────────────────────────────────────────

_OPENAI_TIERS = Words(
    {
        "auto": "auto", "unspecified": SILENCE, "default": "default", "standard": "default",
        "standard_only": "default", "flex": "flex", "priority": "priority", "fast": "fast", "scale": "scale",
    },
    "OpenAI description 2.3.0, ServiceTier; `fast` is answered as `priority`; `scale` was sold until 2026",
)  # fmt: skip

TIERS: Mapping[str, Words] = {
    CHAT: _OPENAI_TIERS,
    RESPONSES: _OPENAI_TIERS,
    MESSAGES: Words(
        {
            "auto": "auto", "unspecified": SILENCE, "default": "standard_only", "standard": "standard_only",
            "standard_only": "standard_only",
        },
        "Anthropic description of August 2026, `service_tier`: priced tiers are not for sale request by request",
    ),
    GEMINI: Words(
        {
            "auto": SILENCE, "unspecified": SILENCE, "default": "standard", "standard": "standard",
            "standard_only": "standard", "flex": "flex", "priority": "priority", "fast": "priority",
        },
        "google-genai 3.4.0, types.ServiceTier",
    ),
    BEDROCK: Words(
        {
            "auto": SILENCE, "unspecified": SILENCE, "default": "default", "standard": "default",
            "standard_only": "default", "flex": "flex", "priority": "priority", "fast": "priority",
            "reserved": "reserved",
        },
        "botocore 1.44.5, bedrock-runtime ServiceTierType",
    ),
}  # fmt: skip


# ── Effort levels ──────────────────────────────────────────────────────────────────────────────────────────────────

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From no thinking to all that there is: OpenAI's words, which `Reasoning.effort` uses too."""

_OPENAI_EFFORTS = Words({level: level for level in LEVELS}, "OpenAI description 2.3.0, ReasoningEffort")
_CLAUDE_EFFORTS = {
    "none": SILENCE, "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max",
}  # fmt: skip

EFFORTS: Mapping[str, Words] = {
    CHAT: _OPENAI_EFFORTS,
    RESPONSES: _OPENAI_EFFORTS,
    MESSAGES: Words(
        _CLAUDE_EFFORTS, "Anthropic's list of models, capabilities.effort; off is `thinking.type`: `disabled`"
    ),
    GEMINI: Words(
        {
            "none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH",
            "xhigh": "XHIGH", "max": "XHIGH",
        },
        "google-genai 3.4.0, types.ThinkingLevel (models since Gemini 3, which cannot be told not to think at all; "
        "older ones take `thinkingBudget`, 0 for off)",
    ),
    BEDROCK: Words(
        _CLAUDE_EFFORTS, "botocore 1.44.5, OutputConfig.effort; off and budgets go into additionalModelRequestFields"
    ),
}  # fmt: skip
"""What a family can say; which levels a model takes is the catalog's to know (`effort.nearest`)."""


# ── Prompt caches ──────────────────────────────────────────────────────────────────────────────────────────────────

_OPENAI_TTLS = Words(
    {"5m": "30m", "30m": "30m"},
    "OpenAI description 2.3.0, PromptCacheTTLEnum: a least lifetime of 30 minutes is all that is for sale",
)
_CLAUDE_TTLS = {"5m": "5m", "30m": "1h", "1h": "1h"}

CACHE_TTLS: Mapping[str, Words] = {
    CHAT: _OPENAI_TTLS,
    RESPONSES: _OPENAI_TTLS,
    MESSAGES: Words(_CLAUDE_TTLS, "Anthropic API reference, `cache_control.ttl`; never shorter than was asked"),
    GEMINI: Words({}, "Google AI, `Context caching`: a cache is a thing of its own with a name; the implicit one "
                      "needs no mark"),
    BEDROCK: Words(_CLAUDE_TTLS, "botocore 1.44.5, CacheTTL"),
}  # fmt: skip
"""Lifetimes of a mark on a prefix (`CacheMark.ttl`). A mark without one is the family's default everywhere."""


# ── Stop sequences ─────────────────────────────────────────────────────────────────────────────────────────────────


class Stops(Struct, frozen=True):
    """How many stop sequences a family takes; None: no limit is published. `blank`: whether one may be white space."""

    most: int | None
    blank: bool
    source: str


STOPS: Mapping[str, Stops] = {
    CHAT: Stops(4, True, "OpenAI description 2.3.0, StopConfiguration"),
    RESPONSES: Stops(0, False, "OpenAI description 2.3.0: there is no such field"),
    MESSAGES: Stops(None, False, "Anthropic answers 400 to a sequence without a character that is no white space"),
    GEMINI: Stops(5, True, "Google AI, GenerationConfig.stopSequences: up to 5"),
    BEDROCK: Stops(2500, True, "botocore 1.44.5, InferenceConfigurationStopSequencesList"),
}


# ── Plain fields ───────────────────────────────────────────────────────────────────────────────────────────────────


class Field(Struct, frozen=True):
    """A field of `Request` by the families' names for it; a family that is missing has none."""

    attribute: str
    names: Mapping[str, str]
    source: str


_REFERENCES = "the five API references, November 2026"

FIELDS: tuple[Field, ...] = (
    Field(
        "max_tokens",
        {
            CHAT: "max_completion_tokens", RESPONSES: "max_output_tokens", MESSAGES: "max_tokens",
            GEMINI: "generationConfig.maxOutputTokens", BEDROCK: "inferenceConfig.maxTokens",
        },
        "compatible hosts still say `max_tokens` in chat; Messages requires it",
    ),
    Field(
        "temperature",
        {
            CHAT: "temperature", RESPONSES: "temperature", MESSAGES: "temperature",
            GEMINI: "generationConfig.temperature", BEDROCK: "inferenceConfig.temperature",
        },
        "0 to 2 for OpenAI and Google, 0 to 1 for Anthropic and Bedrock",
    ),
    Field(
        "top_p",
        {
            CHAT: "top_p", RESPONSES: "top_p", MESSAGES: "top_p", GEMINI: "generationConfig.topP",
            BEDROCK: "inferenceConfig.topP",
        },
        _REFERENCES,
    ),
    Field("top_k", {MESSAGES: "top_k", GEMINI: "generationConfig.topK"}, "some compatible hosts take it in chat too"),
    Field("seed", {CHAT: "seed", GEMINI: "generationConfig.seed"}, _REFERENCES),
    Field(
        "stop",
        {
            CHAT: "stop", MESSAGES: "stop_sequences", GEMINI: "generationConfig.stopSequences",
            BEDROCK: "inferenceConfig.stopSequences",
        },
        "limits above; OpenAI's reasoning models refuse it",
    ),
    Field(
        "frequency_penalty", {CHAT: "frequency_penalty", GEMINI: "generationConfig.frequencyPenalty"}, _REFERENCES
    ),
    Field("presence_penalty", {CHAT: "presence_penalty", GEMINI: "generationConfig.presencePenalty"}, _REFERENCES),
    Field("logit_bias", {CHAT: "logit_bias"}, _REFERENCES),
    Field("logprobs", {CHAT: "logprobs", GEMINI: "generationConfig.responseLogprobs"}, _REFERENCES),
    Field(
        "top_logprobs",
        {CHAT: "top_logprobs", RESPONSES: "top_logprobs", GEMINI: "generationConfig.logprobs"},
        _REFERENCES,
    ),
    Field("n", {CHAT: "n", GEMINI: "generationConfig.candidateCount"}, _REFERENCES),
    Field("verbosity", {CHAT: "verbosity", RESPONSES: "text.verbosity"}, _REFERENCES),
    Field(
        "user",
        {CHAT: "user", RESPONSES: "user", MESSAGES: "metadata.user_id"},
        "an opaque name of the end user; OpenAI is replacing it by `safety_identifier`",
    ),
    Field(
        "metadata",
        {CHAT: "metadata", RESPONSES: "metadata", GEMINI: "labels", BEDROCK: "requestMetadata"},
        "OpenAI: labels of a stored answer, 16 of 64 and 512 characters; Vertex: `labels` of the bill (AI Studio has "
        "none); Bedrock: 16 of 256 characters for its invocation log. They serve different ends, so only the "
        "client's own family gets them",
    ),
    Field(
        "parallel_tool_calls",
        {
            CHAT: "parallel_tool_calls", RESPONSES: "parallel_tool_calls",
            MESSAGES: "tool_choice.disable_parallel_tool_use",
        },
        "Messages says the opposite; Bedrock's Claude takes Messages' field in additionalModelRequestFields",
    ),
    Field(
        "tier",
        {
            CHAT: "service_tier", RESPONSES: "service_tier", MESSAGES: "service_tier", GEMINI: "serviceTier",
            BEDROCK: "serviceTier.type",
        },
        "words above",
    ),
)  # fmt: skip


def name_of(attribute: str, family: str) -> str | None:
    """What a family calls a field of `Request`; None where it has no such field."""
    return next((row.names.get(family) for row in FIELDS if row.attribute == attribute), None)
