"""Claude on Vertex: Anthropic's body behind Google's path and door. The counting has a model's name of its own, and
names the model that it counts for in the body."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from trunkline.sim import anthropic
from trunkline.sim.exchange import Exchange
from trunkline.sim.hosted import VERTEX, uncounted, unhosted
from trunkline.sim.turn import Turn

Json = dict[str, Any]


def plan(body: Json, turn: Turn) -> Exchange:
    """publishers/anthropic/models/{model}:rawPredict; a `stream` in the body counts. Raises Problem."""
    return anthropic.plan(*unhosted(body, turn, VERTEX, stream=bool(body.get("stream"))))


def plan_stream(body: Json, turn: Turn) -> Exchange:
    """publishers/anthropic/models/{model}:streamRawPredict. Raises Problem where the service refuses."""
    return anthropic.plan(*unhosted(body, turn, VERTEX, stream=True))


def plan_count(body: Json, turn: Turn) -> Exchange:
    """publishers/anthropic/models/count-tokens:rawPredict. Raises Problem where the service refuses."""
    named = str(body.get("model", ""))
    kept = {key: value for key, value in body.items() if key != "model"}
    plain, turn = unhosted(kept, structs.replace(turn, name=named), VERTEX, stream=False)
    return anthropic.plan_count(uncounted(plain), turn)
