"""Which path is which operation of which family. One port serves them all.

The same operations answer under `/openai`, `/azure` and `/anthropic`, for tests that want several providers on one
port. Two paths belong to two families and are told apart as the services' clients do it: `/v1/models` is Anthropic's
where `anthropic-version` is sent, `/openai/v1/…` Azure's where `api-key` is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from trunkline.sim import anthropic, openai
from trunkline.sim.family import ANTHROPIC_FAMILY, AZURE_FAMILY, OPENAI_FAMILY
from trunkline.sim.route import Plan, Route

_CHAT = Route("POST", OPENAI_FAMILY, openai.plan)
_AZURE = Route("POST", AZURE_FAMILY, openai.plan_azure)
_MESSAGES = Route("POST", ANTHROPIC_FAMILY, anthropic.plan)
_COUNT = Route("POST", ANTHROPIC_FAMILY, anthropic.plan_count)
_OPENAI_MODELS = Route("GET", OPENAI_FAMILY, openai.plan_models)
_AZURE_MODELS = Route("GET", AZURE_FAMILY, openai.plan_models)
_ANTHROPIC_MODELS = Route("GET", ANTHROPIC_FAMILY, anthropic.plan_models)

ROUTES: Mapping[str, Route] = {
    "/v1/chat/completions": _CHAT,
    "/v1/messages": _MESSAGES,
    "/v1/messages/count_tokens": _COUNT,
    "/v1/models": _OPENAI_MODELS,
    "/openai/v1/chat/completions": _CHAT,
    "/openai/v1/models": _OPENAI_MODELS,
    "/azure/openai/v1/chat/completions": _AZURE,
    "/azure/openai/v1/models": _AZURE_MODELS,
    "/anthropic/v1/messages": _MESSAGES,
    "/anthropic/v1/messages/count_tokens": _COUNT,
    "/anthropic/v1/models": _ANTHROPIC_MODELS,
}
_DEPLOYMENT = re.compile(r"(?:/azure)?/openai/deployments/(?P<model>[^/]+)/chat/completions")
_MODEL = re.compile(r"(?P<list>(?:/openai|/azure/openai|/anthropic)?/v1/models)/(?P<model>.+)")
_SINGLE: Mapping[str, Plan] = {
    "openai": openai.plan_model,
    "azure": openai.plan_model,
    "anthropic": anthropic.plan_model,
}


PATTERNS: tuple[tuple[re.Pattern[str], Route], ...] = ()
"""Paths that name something besides a model: the whole path must match, the first row of the right method wins."""


def find(path: str, headers: Mapping[bytes, bytes], method: str, query: str = "") -> Route | None:
    """The route of a path (percent-decoded); of another method where the path has no such."""
    route = ROUTES.get(path)
    if route is not None:
        return _told_apart(path, route, headers)
    if matched := _DEPLOYMENT.fullmatch(path):
        return Route("POST", AZURE_FAMILY, openai.plan_azure, matched["model"])
    if matched := _MODEL.fullmatch(path):
        base = _told_apart(matched["list"], ROUTES[matched["list"]], headers)
        return Route("GET", base.family, _SINGLE[base.family.name], matched["model"])
    found = [route.at(**m.groupdict()) for pattern, route in PATTERNS if (m := pattern.fullmatch(path))]
    return next((route for route in found if route.method == method), found[0] if found else None)


def _told_apart(path: str, route: Route, headers: Mapping[bytes, bytes]) -> Route:
    if path == "/v1/models" and b"anthropic-version" in headers:
        return _ANTHROPIC_MODELS
    if path.startswith("/openai/") and b"api-key" in headers:
        return _AZURE if route.method == "POST" else _AZURE_MODELS
    return route
