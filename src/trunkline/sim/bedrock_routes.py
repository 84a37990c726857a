"""Bedrock's paths: `/model/{id}/{operation}`, and its own OpenAI and Anthropic surfaces.

The surfaces' paths are also those of other providers: they are Bedrock's under `/bedrock`, and where the credential is
one of AWS: a signature, or an API key by its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import structs

from trunkline.sim import anthropic, bedrock, bedrock_count, bedrock_invoke, openai_routes
from trunkline.sim.bedrock_family import CONVERSE_FAMILY, INVOKE_FAMILY, hosted
from trunkline.sim.family import ANTHROPIC_FAMILY
from trunkline.sim.route import Route

OPERATIONS: Mapping[str, Route] = {
    "converse": Route("POST", CONVERSE_FAMILY, bedrock.plan),
    "converse-stream": Route("POST", CONVERSE_FAMILY, bedrock.plan_stream),
    "invoke": Route("POST", INVOKE_FAMILY, bedrock_invoke.plan),
    "invoke-with-response-stream": Route("POST", INVOKE_FAMILY, bedrock_invoke.plan_stream),
    "count-tokens": Route("POST", CONVERSE_FAMILY, bedrock_count.plan),
}


def _hosted(route: Route) -> Route:
    return structs.replace(route, family=hosted(route.family))


_OPENAI = ("chat/completions", "responses", "responses/input_tokens", "models")
SURFACES: Mapping[str, Route] = {
    **{
        f"{base}/v1/{name}": _hosted(openai_routes.ROUTES[f"/v1/{name}"])
        for base in ("", "/openai")
        for name in _OPENAI
    },
    "/anthropic/v1/messages": _hosted(Route("POST", ANTHROPIC_FAMILY, anthropic.plan)),
    "/anthropic/v1/messages/count_tokens": _hosted(Route("POST", ANTHROPIC_FAMILY, anthropic.plan_count)),
}
AWS = (b"AWS4-HMAC-SHA256", b"Bearer ABSK", b"Bearer bedrock-api-key-")
"""How a credential of AWS begins: a signature, a long-lived and a short-lived API key."""

_MODEL = re.compile(r"(?:/bedrock)?/model/(?P<model>.+)/(?P<operation>[a-z-]+)")
_PROFILE = re.compile(r"(?:arn:.*/)?(?:(?:us|eu|apac|jp|au|ca|global)\.)?(?=sim-|fault-)")
"""What inference profiles put before a model's name: an ARN, a region."""


def find(path: str, headers: Mapping[bytes, bytes]) -> Route | None:
    """The route of a path of Bedrock's (percent-decoded); None where it is not one."""
    if (matched := _MODEL.fullmatch(path)) and (route := OPERATIONS.get(matched["operation"])):
        return route.at(model=_PROFILE.sub("", matched["model"], count=1))
    if path.startswith("/bedrock/") or headers.get(b"authorization", b"").startswith(AWS):
        return SURFACES.get(path.removeprefix("/bedrock"))
    return None
