"""Google's paths: AI Studio's `models/{model}:{operation}` and Vertex's, that begin with project and location.

`/v1/models` is also OpenAI's and Anthropic's: it is Google's where a Google key is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from trunkline.sim import gemini, gemini_claude, gemini_embed
from trunkline.sim.gemini_family import (
    CLAUDE_FAMILY,
    GEMINI_ARRAY_FAMILY,
    GEMINI_FAMILY,
    VERTEX_ARRAY_FAMILY,
    VERTEX_FAMILY,
)
from trunkline.sim.route import Plan, Route

STREAM = "streamGenerateContent"

STUDIO: Mapping[str, Plan] = {
    "generateContent": gemini.plan,
    STREAM: gemini.plan_stream,
    "countTokens": gemini.plan_count,
    "embedContent": gemini_embed.plan,
    "batchEmbedContents": gemini_embed.plan_batch,
}
VERTEX: Mapping[str, Plan] = {
    "generateContent": gemini.plan,
    STREAM: gemini.plan_stream,
    "countTokens": gemini.plan_count,
    "embedContent": gemini_embed.plan,
    "batchEmbedContents": gemini_embed.plan_batch,
    "predict": gemini_embed.plan_predict,
}
CLAUDE: Mapping[str, Plan] = {
    "rawPredict": gemini_claude.plan,
    "streamRawPredict": gemini_claude.plan_stream,
}

_STUDIO = re.compile(r"(?:/gemini)?/v1(?:beta|alpha)?/(?:models|tunedModels)/(?P<model>[^/]+):(?P<operation>\w+)")
_MODELS = re.compile(r"(?P<prefix>/gemini)?/v1(?P<beta>beta|alpha)?/models(?:/(?P<model>[^/:]+))?")
_VERTEX = re.compile(
    r"(?:/vertex)?/v1(?:beta1)?/(?:projects/[^/]+/locations/[^/]+/)?publishers/(?P<publisher>google|anthropic)/models/"
    r"(?P<model>[^/]+):(?P<operation>\w+)"
)
COUNTER = "count-tokens"
"""The name that stands for a model where Claude's tokens are counted."""


def find(path: str, headers: Mapping[bytes, bytes], query: str) -> Route | None:
    """The route of a path of Google's; None where it is not one."""
    if (matched := _STUDIO.fullmatch(path)) and matched["operation"] in STUDIO:
        family = GEMINI_ARRAY_FAMILY if _array(matched["operation"], query) else GEMINI_FAMILY
        return Route("POST", family, STUDIO[matched["operation"]], matched["model"])
    if (matched := _VERTEX.fullmatch(path)) and matched["publisher"] == "anthropic":
        return _claude(matched["model"], matched["operation"])
    if matched and matched["operation"] in VERTEX:
        family = VERTEX_ARRAY_FAMILY if _array(matched["operation"], query) else VERTEX_FAMILY
        return Route("POST", family, VERTEX[matched["operation"]], matched["model"])
    if (matched := _MODELS.fullmatch(path)) and (matched["prefix"] or matched["beta"] or _google(headers, query)):
        plan = gemini.plan_model if matched["model"] else gemini.plan_models
        return Route("GET", GEMINI_FAMILY, plan, matched["model"])
    return None


def _claude(model: str, operation: str) -> Route | None:
    if model == COUNTER:
        return Route("POST", CLAUDE_FAMILY, gemini_claude.plan_count)
    plan = CLAUDE.get(operation)
    return None if plan is None else Route("POST", CLAUDE_FAMILY, plan, model)


def _array(operation: str, query: str) -> bool:
    return operation == STREAM and parse_qs(query).get("alt") != ["sse"]


def _google(headers: Mapping[bytes, bytes], query: str) -> bool:
    return b"x-goog-api-key" in headers or "key" in parse_qs(query)
