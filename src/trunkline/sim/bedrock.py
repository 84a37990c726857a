"""Bedrock's Converse: a request body to a planned exchange."""

from __future__ import annotations

from typing import Any

from trunkline.sim import bedrock_answer as out
from trunkline.sim.bedrock_ask import ask_of, segments
from trunkline.sim.bedrock_check import check
from trunkline.sim.exchange import Exchange, Pause
from trunkline.sim.persona import answer
from trunkline.sim.problems import Problem
from trunkline.sim.signer import Signer
from trunkline.sim.turn import Turn

JSON = [(b"content-type", b"application/json")]
FRAMES = [(b"content-type", b"application/vnd.amazon.eventstream")]

Json = dict[str, Any]


def plan(body: Json, turn: Turn) -> Exchange:
    """POST /model/{id}/converse. Raises Problem where the service refuses."""
    said = saying(body, turn)
    return Exchange(200, [*JSON], [out.encode(out.whole(said))], before=[pause(said, turn)])


def plan_stream(body: Json, turn: Turn) -> Exchange:
    """POST /model/{id}/converse-stream. Raises Problem where the service refuses."""
    return Exchange(200, [*FRAMES], [Pause(turn.ttft), *out.stream(saying(body, turn))], stream=True)


def pause(said: out.Saying, turn: Turn) -> Pause:
    """How long a whole answer takes."""
    return Pause(turn.ttft + (said.answer.tokens / turn.tps if turn.tps else 0))


def saying(body: Json, turn: Turn) -> out.Saying:
    """The answer to a Converse request. Raises Problem where the service refuses."""
    signer = Signer(turn.settings.secret)
    check(body, signer)
    ask = ask_of(body, turn)
    reuse = turn.cache.marked(turn.name, segments(body))
    if reuse.total > turn.model.context:
        raise Problem(name="context")
    reply = answer(ask)
    paths = body.get("additionalModelResponseFieldPaths") or ()
    return out.Saying(
        number=turn.number,
        answer=reply,
        reuse=reuse,
        signer=signer,
        usage="no-usage" not in turn.cues,
        extra={"stop_sequence": reply.stop} if "/stop_sequence" in paths else None,
        tier=body.get("serviceTier"),
        tps=turn.tps,
    )
