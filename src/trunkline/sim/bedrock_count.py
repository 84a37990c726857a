"""Bedrock's count-tokens: of a Converse request, or of the body of an InvokeModel request in base64."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from trunkline.sim import anthropic
from trunkline.sim import bedrock_answer as out
from trunkline.sim.bedrock import JSON
from trunkline.sim.bedrock_ask import segments
from trunkline.sim.bedrock_check import check
from trunkline.sim.bedrock_invoke import nova
from trunkline.sim.exchange import Exchange
from trunkline.sim.hosted import BEDROCK, uncounted, unhosted
from trunkline.sim.problems import Problem
from trunkline.sim.signer import Signer
from trunkline.sim.turn import Turn

Json = dict[str, Any]


def plan(body: Json, turn: Turn) -> Exchange:
    """POST /model/{id}/count-tokens. Raises Problem where the service refuses."""
    wanted = body.get("input") or {}
    if set(body) != {"input"} or len(wanted) != 1 or set(wanted) - {"converse", "invokeModel"}:
        raise Problem("The input field must set exactly one of converse, invokeModel.")
    if "converse" in wanted:
        return _converse(wanted["converse"], turn)
    content = _decoded(wanted["invokeModel"].get("body"))
    if "anthropic_version" not in content:
        return _converse({key: value for key, value in nova(content).items() if key != "inferenceConfig"}, turn)
    plain, turn = unhosted(content, turn, BEDROCK, stream=False)
    counted = msgspec.json.decode(anthropic.plan_count(uncounted(plain), turn).whole())
    return _counted(counted["input_tokens"])


def _converse(body: Json, turn: Turn) -> Exchange:
    check(body, Signer(turn.settings.secret), "Count")
    return _counted(sum(segment.tokens for segment in segments(body)))


def _decoded(blob: Any) -> Json:
    try:
        content = msgspec.json.decode(base64.b64decode(str(blob), validate=True))
    except (ValueError, msgspec.DecodeError) as error:
        raise Problem(f"input.invokeModel.body is not JSON in base64: {error}") from None
    if not isinstance(content, dict):
        raise Problem("input.invokeModel.body must be a JSON object.")
    return content


def _counted(tokens: int) -> Exchange:
    return Exchange(200, [*JSON], [out.encode({"inputTokens": tokens})])
