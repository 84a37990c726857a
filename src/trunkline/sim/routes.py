"""Which path is which operation of which family. One port serves them all.

The same operations answer under `/openai`, `/azure` and `/anthropic`, for tests that want several providers on one
port. Two paths belong to two families and are told apart as the services' clients do it: `/v1/models` is Anthropic's
where `anthropic-version` is sent, `/openai/v1/…` Azure's where `api-key` is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import structs

from trunkline.sim import anthropic, bedrock_routes, gemini_routes, openai, openai_routes
from trunkline.sim.family import ANTHROPIC_FAMILY
from trunkline.sim.oauth_family import ENTRA, GOOGLE, METADATA
from trunkline.sim.route import Plan, Route

_MESSAGES = Route("POST", ANTHROPIC_FAMILY, anthropic.plan)
_COUNT = Route("POST", ANTHROPIC_FAMILY, anthropic.plan_count)
_FOUNDRY = structs.replace(ANTHROPIC_FAMILY, credentials=(*ANTHROPIC_FAMILY.credentials, b"api-key"))
"""Anthropic's API as Azure hosts it takes Azure's header, too."""
_ANTHROPIC_MODELS = Route("GET", ANTHROPIC_FAMILY, anthropic.plan_models)

ROUTES: Mapping[str, Route] = {
    **openai_routes.ROUTES,
    "/v1/messages": _MESSAGES,
    "/v1/messages/count_tokens": _COUNT,
    "/anthropic/v1/messages": structs.replace(_MESSAGES, family=_FOUNDRY),
    "/anthropic/v1/messages/count_tokens": structs.replace(_COUNT, family=_FOUNDRY),
    "/anthropic/v1/models": _ANTHROPIC_MODELS,
    "/token": GOOGLE,
    "/computeMetadata/v1/instance/service-accounts/default/token": METADATA,
}
_MODEL = re.compile(r"(?P<list>(?:/openai|/azure/openai|/anthropic)?/v1/models)/(?P<model>.+)")
_SINGLE: Mapping[str, Plan] = {
    "openai": openai.plan_model,
    "azure": openai.plan_model,
    "anthropic": anthropic.plan_model,
}
PATTERNS: tuple[tuple[re.Pattern[str], Route], ...] = (
    *openai_routes.PATTERNS,
    (re.compile(r"/(?P<tenant>[^/]+)/oauth2/v2\.0/token"), ENTRA),
)
"""Paths that name something: the whole path must match, the first row of the right method wins."""


def find(path: str, headers: Mapping[bytes, bytes], method: str, query: str = "") -> Route | None:
    """The route of a path (percent-decoded); of another method where the path has no such."""
    if hosted := gemini_routes.find(path, headers, query) or bedrock_routes.find(path, headers):
        return hosted
    if path.startswith("/openai/v1/") and b"api-key" in headers:
        path = f"/azure{path}"
    if path.startswith("/v1/models") and b"anthropic-version" in headers:
        path = f"/anthropic{path}"
    if route := ROUTES.get(path):
        return route
    if matched := _MODEL.fullmatch(path):
        family = ROUTES[matched["list"]].family
        return Route("GET", family, _SINGLE[family.name], matched["model"])
    found = [route.at(**m.groupdict()) for pattern, route in PATTERNS if (m := pattern.fullmatch(path))]
    return next((route for route in found if route.method == method), found[0] if found else None)
