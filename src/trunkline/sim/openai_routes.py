"""The paths of OpenAI's operations and of Azure's: the same operations under many prefixes, told by two tables.

Azure has them under its newer `/openai/v1`, under a deployment's name (`/openai/deployments/{name}`; the Responses
under `/openai` itself), and, for models of others, under `/models`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from trunkline.sim import (
    openai,
    openai_audio,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_moderations,
    responses,
)
from trunkline.sim.asked import Asked
from trunkline.sim.errors import Row
from trunkline.sim.exchange import Exchange
from trunkline.sim.family import AZURE_FAMILY, OPENAI_FAMILY, Family
from trunkline.sim.problems import Problem
from trunkline.sim.route import Plan, Route
from trunkline.sim.turn import Turn

_STREAM: dict[str, Any] = {
    "stream_error": responses.stream_error,
    "terminator": b"event: response.",
    "oddity": b'event: simulator.oddity\ndata: {"type":"simulator.oddity","novelty":{"depth":1}}\n\n',
    "broken": b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":\n\n',
}
"""How the streams of Responses differ from chat's."""
_REFUSALS = {
    "missing": Row(404, "invalid_request_error", None, "Not found."),
    "no-model": Row(400, "invalid_request_error", "model_not_found", "The requested model '{model}' does not exist."),
}
"""Errors that no cue brings about."""


def responses_family(family: Family, **errors: Any) -> Family:
    """The family, where it speaks of Responses."""
    style = structs.replace(family.errors, rows={**family.errors.rows, **_REFUSALS}, **errors)
    return structs.replace(family, errors=style, **_STREAM)


RESPONSES_FAMILY = responses_family(OPENAI_FAMILY, unknown_model="no-model")
AZURE_RESPONSES_FAMILY = responses_family(AZURE_FAMILY)


def _versioned(family: Family, **rows: Row) -> Family:
    """Azure's older APIs: without `api-version` in the query there is nothing at their paths."""
    nothing = {"no-resource": Row(404, None, "404", "Resource not found"), **rows}
    style = structs.replace(family.errors, rows={**family.errors.rows, **nothing})

    def guard(asked: Asked) -> None:
        family.authenticate(asked)
        if "api-version=" not in asked.query:
            raise Problem(name="no-resource")

    return structs.replace(family, errors=style, guard=guard)


CLASSIC_FAMILY = _versioned(AZURE_FAMILY)
CLASSIC_RESPONSES_FAMILY = _versioned(AZURE_RESPONSES_FAMILY)
INFERENCE_FAMILY = _versioned(
    AZURE_FAMILY,
    **{
        "404": Row(404, None, "unknown_model", "Unknown model: {model}"),
        "429": Row(429, None, "RateLimitReached", "Your requests to {model} have exceeded rate limit.", retry=True),
    },
)
"""The API of models that are not OpenAI's."""


def _nothing(body: dict[str, Any], turn: Turn) -> Exchange:
    raise Problem(name="no-resource")


class _Operation:
    """One operation as OpenAI's route, as Azure's, and as that of Azure's older API."""

    def __init__(self, plan: Plan, method: str = "POST", **more: Any) -> None:
        responses_api = plan.__module__ == responses.__name__
        self.openai = Route(method, RESPONSES_FAMILY if responses_api else OPENAI_FAMILY, plan, **more)
        self.azure = Route(method, AZURE_RESPONSES_FAMILY if responses_api else AZURE_FAMILY, plan, **more)
        self.classic = Route(method, CLASSIC_RESPONSES_FAMILY if responses_api else CLASSIC_FAMILY, plan, **more)


_DEPLOYED = {
    "chat/completions": _Operation(openai.plan),
    "completions": _Operation(openai_completions.plan),
    "embeddings": _Operation(openai_embeddings.plan),
    "images/generations": _Operation(openai_images.plan),
    "images/edits": _Operation(openai_images.plan_edit, reads="form"),
    "audio/speech": _Operation(openai_audio.plan_speech),
    "audio/transcriptions": _Operation(openai_audio.plan_transcription, reads="form"),
    "audio/translations": _Operation(openai_audio.plan_translation, reads="form"),
}
"""Operations that Azure also has under a deployment's name."""
_RESPONSES = {
    "responses": _Operation(responses.plan),
    "responses/input_tokens": _Operation(responses.plan_input_tokens),
}
_OPERATIONS = {
    **_DEPLOYED,
    **_RESPONSES,
    "moderations": _Operation(openai_moderations.plan),
    "models": _Operation(openai.plan_models, "GET"),
}
_INFERENCE = {
    "chat/completions": Route("POST", INFERENCE_FAMILY, openai.plan),
    "embeddings": Route("POST", INFERENCE_FAMILY, openai_embeddings.plan),
}
"""Operations of the model inference API."""
_KEPT = {
    r"responses/(?P<id>[^/]+)": (
        _Operation(responses.plan_retrieve, "GET"),
        _Operation(responses.plan_delete, "DELETE"),
    ),
    r"responses/(?P<id>[^/]+)/cancel": (_Operation(responses.plan_cancel),),
    r"responses/(?P<id>[^/]+)/input_items": (_Operation(responses.plan_input_items, "GET"),),
}

ROUTES: Mapping[str, Route] = {
    **{f"{prefix}/{name}": one.openai for prefix in ("/v1", "/openai/v1") for name, one in _OPERATIONS.items()},
    **{f"/azure/openai/v1/{name}": one.azure for name, one in _OPERATIONS.items()},
    **{f"{prefix}/{name}": one.classic for prefix in ("/openai", "/azure/openai") for name, one in _RESPONSES.items()},
    **{f"{prefix}/models/{name}": one for prefix in ("", "/azure") for name, one in _INFERENCE.items()},
}

PATTERNS: tuple[tuple[re.Pattern[str], Route], ...] = (
    *(
        (re.compile(rf"(?:/azure)?/openai/deployments/(?P<model>[^/]+)/{name}"), one.classic)
        for name, one in _DEPLOYED.items()
    ),
    *((re.compile(f"(?:/openai)?/v1/{path}"), one.openai) for path, several in _KEPT.items() for one in several),
    *((re.compile(f"/azure/openai/v1/{path}"), one.azure) for path, several in _KEPT.items() for one in several),
    *((re.compile(f"(?:/azure)?/openai/{path}"), one.classic) for path, several in _KEPT.items() for one in several),
    (re.compile("/azure/.*|/openai/deployments/.*"), Route("POST", CLASSIC_FAMILY, _nothing)),
)
