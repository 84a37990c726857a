"""Anthropic's Messages: a request body to a planned exchange, the counting of tokens, and the list of models."""

from __future__ import annotations

import time
from typing import Any

from trunkline.sim import anthropic_answer as out
from trunkline.sim.anthropic_check import VERSIONS, blocks, check, thinks
from trunkline.sim.cache import Segment, Ttl
from trunkline.sim.exchange import Exchange, Pause
from trunkline.sim.persona import MODELS, Ask, Tool, answer
from trunkline.sim.problems import Problem
from trunkline.sim.signer import Signer
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn

IMAGE_TOKENS = 1_600
"""What one image or document costs; the real price depends on its size."""
PER_MESSAGE = 4
"""Tokens that frame a message."""

JSON = [(b"content-type", b"application/json")]
SSE = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]

Json = dict[str, Any]


def plan(body: Json, turn: Turn) -> Exchange:
    """POST /v1/messages. Raises Problem where the service refuses."""
    signer = Signer(turn.settings.secret)
    check(body, _version(turn), signer)
    segments = _segments(body)
    ask = _ask(body, turn)
    reuse = turn.cache.marked(turn.name, segments)
    if reuse.total > turn.model.context:
        raise Problem(f"prompt is too long: {reuse.total} tokens > {turn.model.context} maximum")
    said = out.Saying(
        id=f"msg_sim{turn.number:08x}",
        model=turn.name,
        answer=answer(ask),
        reuse=reuse,
        sign=signer.sign,
        seal=signer.seal,
        usage="no-usage" not in turn.cues,
        hidden=(body.get("thinking") or {}).get("display") == "omitted",
        tps=turn.tps,
    )
    if body.get("stream"):
        return Exchange(200, [*SSE], [Pause(turn.ttft), *out.stream(said)], stream=True)
    before = Pause(turn.ttft + (said.answer.tokens / turn.tps if turn.tps else 0))
    return Exchange(200, [*JSON], [out.whole(said)], before=[before])


def plan_count(body: Json, turn: Turn) -> Exchange:
    """POST /v1/messages/count_tokens. Raises Problem where the service refuses."""
    check(body, _version(turn), Signer(turn.settings.secret), counting=True)
    total = sum(segment.tokens for segment in _segments(body))
    return Exchange(200, [*JSON], [out.encode({"input_tokens": total})])


def _version(turn: Turn) -> str:
    version = turn.headers.get(b"anthropic-version")
    if version is None:
        raise Problem("anthropic-version: header is required")
    if version.decode("latin-1") not in VERSIONS:
        raise Problem(f'anthropic-version: "{version.decode("latin-1")[:40]}" is not a valid version')
    return version.decode()


def _ask(body: Json, turn: Turn) -> Ask:
    messages = body["messages"]
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "auto")
    wanted = (body.get("output_config") or {}).get("format") or {}
    last = blocks(messages[-1])
    results = [_result(block) for block in last if block["type"] == "tool_result"]
    between = (body.get("thinking") or {}).get("type") == "between_tools"
    return Ask(
        model=turn.name,
        text=next((text for m in reversed(messages) if m["role"] == "user" and (text := _text(blocks(m)))), ""),
        tools=[Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ()
               if tool.get("type") in (None, "custom")],
        choice="none" if kind == "none" else "required" if kind in ("any", "tool") else "auto",
        named=choice.get("name") if kind == "tool" else None,
        parallel=not choice.get("disable_parallel_tool_use"),
        results=results,
        media=[media for m in messages for block in blocks(m) for media in _media(block)],
        schema=wanted.get("schema") if wanted.get("type") == "json_schema" else None,
        think=thinks(body) and (not between or bool(results)),
        limit=turn.limit(body.get("max_tokens")),
        stop=body.get("stop_sequences") or [],
        refuse="refuse" in turn.cues,
        redacted="redacted" in turn.cues,
        filtered="filtered" in turn.cues,
        length=turn.length,
        begun=_text(last) if messages[-1]["role"] == "assistant" else "",
    )  # fmt: skip


def _text(content: list[Json]) -> str:
    return " ".join(str(block.get("text")) for block in content if block["type"] == "text")


def _result(block: Json) -> str:
    content = block.get("content") or ""
    return content if isinstance(content, str) else _text(content)


def _media(block: Json) -> list[str]:
    """The media types of an image or document, also of those inside a tool result."""
    if block["type"] == "tool_result" and isinstance(block.get("content"), list):
        return [media for inner in block["content"] for media in _media(inner)]
    if block["type"] not in ("image", "document"):
        return []
    source = block.get("source") or {}
    return [str(source.get("media_type") or f"{block['type']} by {source.get('type')}")]


def _segments(body: Json) -> list[Segment]:
    """The prompt in cacheable steps, in the service's order: tools, system, then each block of each message."""
    segments = [_segment(tool, "tool") for tool in body.get("tools") or ()]
    system = body.get("system") or []
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        segments.append(_segment(block, "system"))
    for message in body["messages"]:
        for number, block in enumerate(blocks(message)):
            segments.append(_segment(block, message["role"], 0 if number else PER_MESSAGE))
    if body.get("cache_control") and segments:
        last = segments[-1]
        segments[-1] = Segment(last.text, last.tokens, _ttl(body["cache_control"]))
    return segments


def _segment(block: Json, role: str, extra: int = 0) -> Segment:
    mark = _ttl(block["cache_control"]) if block.get("cache_control") else None
    media = len(_media(block)) if role != "tool" else 0
    plain = block.get("text") if block.get("type") == "text" else None
    known = plain or out.encode({key: value for key, value in block.items() if key != "cache_control"}).decode()
    # Media take part in the prefix by their bytes, but are not tokenized: base64 is not prose.
    tokens = IMAGE_TOKENS * media if media else count(known)
    return Segment(f"{role}:{known}", tokens + extra, mark)


def _ttl(control: Json) -> Ttl:
    return "1h" if control.get("ttl") == "1h" else "5m"


def plan_models(body: Json, turn: Turn) -> Exchange:
    """GET /v1/models."""
    rows = [_info(name) for name in MODELS]
    ends = {"has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]}
    return Exchange(200, [*JSON], [out.encode({"data": rows, **ends})])


def plan_model(body: Json, turn: Turn) -> Exchange:
    """GET /v1/models/{name}. Raises Problem where there is none."""
    if turn.name not in MODELS:
        raise Problem(name="404")
    return Exchange(200, [*JSON], [out.encode(_info(turn.name))])


def _info(name: str) -> Json:
    row = MODELS[name]
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row.created))
    return {
        "type": "model", "id": name, "display_name": f"Simulator {name.removeprefix('sim-')}", "created_at": created,
        "lifecycle": "active", "max_input_tokens": row.context, "max_tokens": row.max_output,
    }  # fmt: skip


def stream_error(data: bytes) -> bytes:
    return b"event: error\ndata: " + data + b"\n\n"
