"""OpenAI's Responses API and Azure's: a request body to a planned exchange, and what can be done with a response later.

A response in the background has its answer from the start; that it is queued, then in progress, is told to those who
ask for it (see `memory`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.sim import responses_answer as out
from trunkline.sim import responses_input as asked
from trunkline.sim.exchange import Exchange, Pause, Step
from trunkline.sim.memory import Kept
from trunkline.sim.openai import JSON, SSE
from trunkline.sim.persona import answer
from trunkline.sim.problems import Problem
from trunkline.sim.responses_check import check, check_conversation
from trunkline.sim.responses_stream import stream
from trunkline.sim.signer import Signer
from trunkline.sim.turn import Turn

Json = dict[str, Any]

ENCRYPTED, LOGPROBS = "reasoning.encrypted_content", "message.output_text.logprobs"
SEARCH = "web_search"
"""How the names of the tools begin that search the web; some have a date behind."""
STATES = ("queued", "in_progress")
"""What a background response says of itself when it is made, and each time that it is asked for until it is done."""


def plan(body: Json, turn: Turn) -> Exchange:
    """POST /v1/responses. Raises Problem where the service refuses."""
    check(body, turn.model)
    signer = Signer(turn.settings.secret)
    items = asked.conversation(body, turn.memory)
    check_conversation(items, signer, turn.memory)
    reuse = turn.cache.automatic(turn.name, asked.segments(body, items))
    if reuse.total > turn.model.context and body.get("truncation") != "auto":
        raise Problem(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            param="input", name="context",
        )  # fmt: skip
    include = body.get("include") or ()
    said = out.Saying(
        number=turn.number,
        created=int(turn.now),
        model=turn.name,
        request=body,
        answer=answer(asked.ask(body, items, turn)),
        usage=None,
        thinks=asked.thinks(body, turn),
        azure=turn.azure,
        seal=signer.seal if ENCRYPTED in include else None,
        summarized=bool((body.get("reasoning") or {}).get("summary")),
        namespaces={tool["name"]: tool["namespace"] for tool in asked.offered(body, items) if "namespace" in tool},
        searched=_searched(body, items),
        logprobs=(body.get("top_logprobs") or 0) if LOGPROBS in include else None,
        failed="failed" in turn.cues,
        tps=turn.tps,
    )
    said.usage = None if "no-usage" in turn.cues else out.usage(reuse, said.answer)
    return _answered(said, items, turn)


def _searched(body: Json, items: list[Json]) -> str | None:
    """What the web is searched for: the question, where there is such a tool and the question wants it or it must."""
    if not any(tool["type"].startswith(SEARCH) for tool in body.get("tools") or ()):
        return None
    question = next((asked.text(item.get("content")) for item in reversed(items) if item.get("role") == "user"), "")
    choice = body.get("tool_choice")
    demanded = isinstance(choice, dict) and str(choice.get("type")).startswith(SEARCH)
    return question[:100] if demanded or "search" in question.lower() else None


def _answered(said: out.Saying, items: list[Json], turn: Turn) -> Exchange:
    body = said.request
    whole = out.whole(said)
    streamed = bool(body.get("stream"))
    steps = stream(said) if streamed or said.background else []
    # A connection remembers its responses even where nothing is stored: a next message may go on from them.
    connected = turn.headers.get(b"upgrade", b"").lower() == b"websocket"
    if body.get("store") is not False or said.background or connected:
        events = [step for step in steps if isinstance(step, bytes)] if said.background else []
        kept = [_with_id(item, turn.number, i) for i, item in enumerate(items)]
        turn.memory.add(Kept(whole, kept, events, asked=0 if said.background and not streamed else None))
    if streamed:
        return Exchange(200, [*SSE], [Pause(turn.ttft), *steps], stream=True)
    if said.background:
        return _shown(out.opening(said, "queued"))
    tokens = said.answer.tokens
    return Exchange(
        200, [*JSON], [out.encode(whole)], before=[Pause(turn.ttft + (tokens / turn.tps if turn.tps else 0))]
    )


def _with_id(item: Json, number: int, index: int) -> Json:
    """An item of the input as it is listed later: with an id and a type, and content in parts."""
    item = {"type": "message", **item}
    if isinstance(item.get("content"), str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        item["content"] = [{"type": kind, "text": item["content"]}]
    return item if item.get("id") else {"id": f"in_sim{number:08x}{index}", **item}


def _shown(value: Json) -> Exchange:
    return Exchange(200, [*JSON], [out.encode(value)])


# ── Later ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def plan_retrieve(body: Json, turn: Turn) -> Exchange:
    """GET /v1/responses/{id}, with `stream=true` from behind the event `starting_after`. Raises Problem."""
    kept = _kept(turn)
    if turn.query.get("stream") == "true":
        return _resumed(kept, turn)
    if kept.asked is None:
        return _shown(kept.response)
    kept.asked += 1
    if kept.asked == len(STATES):
        kept.asked = None
        return _shown(kept.response)
    state = STATES[kept.asked]
    return _shown({**kept.response, "status": state, "completed_at": None, "output": [], "usage": None})


def _resumed(kept: Kept, turn: Turn) -> Exchange:
    after = turn.query.get("starting_after", "-1")
    if not after.removeprefix("-").isdigit():
        raise Problem("Invalid type for 'starting_after': expected an integer.", param="starting_after")
    if not kept.events:
        raise Problem(
            "This response cannot be streamed: it was not created with 'background' set to true.", param="stream"
        )
    kept.asked = None
    pace: list[Step] = [Pause(turn.ttft)]
    return Exchange(200, [*SSE], [*pace, *kept.events[max(0, int(after) + 1) :]], stream=True)


def plan_cancel(body: Json, turn: Turn) -> Exchange:
    """POST /v1/responses/{id}/cancel; to cancel twice changes nothing. Raises Problem for one not in the background."""
    kept = _kept(turn)
    if not kept.response["background"]:
        raise Problem("Cannot cancel a synchronous response.", param="response_id")
    if kept.asked is not None:
        kept.asked = None
        kept.response = {**kept.response, "status": "cancelled", "completed_at": None, "output": [], "usage": None}
    return _shown(kept.response)


def plan_delete(body: Json, turn: Turn) -> Exchange:
    """DELETE /v1/responses/{id}. Raises Problem where there is none."""
    _kept(turn)
    turn.memory.forget(turn.params["id"])
    return _shown({"id": turn.params["id"], "object": "response.deleted", "deleted": True})


def plan_input_items(body: Json, turn: Turn) -> Exchange:
    """GET /v1/responses/{id}/input_items, newest first unless `order=asc`, in pages. Raises Problem."""
    items = _kept(turn).input
    if turn.query.get("order", "desc") == "desc":
        items = items[::-1]
    ids = [item["id"] for item in items]
    begin = ids.index(turn.query["after"]) + 1 if turn.query.get("after") in ids else 0
    limit = turn.query.get("limit", "20")
    if not limit.isdigit() or not 1 <= int(limit) <= 100:
        raise Problem("Invalid 'limit': expected an integer from 1 to 100.", param="limit")
    page = items[begin : begin + int(limit)]
    return _shown({
        "object": "list", "data": page, "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None, "has_more": begin + len(page) < len(items),
    })  # fmt: skip


def plan_input_tokens(body: Json, turn: Turn) -> Exchange:
    """POST /v1/responses/input_tokens: what the same request would have as `input_tokens`. Raises Problem."""
    check(body, turn.model, counting=True)
    items = asked.conversation(body, turn.memory)
    total = sum(segment.tokens for segment in asked.segments(body, items))
    return _shown({"object": "response.input_tokens", "input_tokens": total})


def _kept(turn: Turn) -> Kept:
    kept = turn.memory.get(turn.params["id"])
    if kept is None:
        raise Problem(f"Response with id '{turn.params['id'][:80]}' not found.", name="missing")
    return kept


def stream_error(data: bytes) -> bytes:
    """An error's JSON as the event of a response's stream, which has no envelope."""
    error = msgspec.json.decode(data)["error"]
    shown = {name: error.get(name) for name in ("code", "message", "param")}
    return b"event: error\ndata: " + out.encode({"type": "error", **shown, "sequence_number": 0}) + b"\n\n"
