"""OpenAI's Chat Completions and Azure's: a request body to a planned exchange, and the list of models."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from trunkline.sim import openai_answer as out
from trunkline.sim.cache import Segment
from trunkline.sim.exchange import Exchange, Pause
from trunkline.sim.faults import MAX_COUNT
from trunkline.sim.openai_check import check
from trunkline.sim.persona import MODELS, Ask, Tool, answer
from trunkline.sim.problems import Problem
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn

MEDIA_TOKENS = 85
"""What one image, file or sound costs; the real price depends on its size."""
PER_MESSAGE = 3
"""Tokens that frame a message."""

JSON = [(b"content-type", b"application/json")]
SSE = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


def plan(body: dict[str, Any], turn: Turn) -> Exchange:
    """The answer of api.openai.com, or of an Azure deployment: there the model may come from the path, and filters
    report. Raises Problem where the service refuses."""
    if turn.azure:
        body = {**body, "model": body.get("model") or turn.name}
    check(body, turn.model)
    alternatives = body.get("n") or 1
    if (turn.length or 0) * alternatives > MAX_COUNT:
        raise Problem(
            f"'n' times the cue 'length' is above {MAX_COUNT} tokens; ask for less of one of them.", param="n"
        )
    segments = _segments(body)
    ask = _ask(body, turn)
    reuse = turn.cache.automatic(turn.name, segments)
    if reuse.total > turn.model.context:
        raise Problem(
            f"This model's maximum context length is {turn.model.context} tokens. However, your messages resulted in "
            f"{reuse.total} tokens. Please reduce the length of the messages.", param="messages", name="context",
        )  # fmt: skip
    answers = [answer(structs.replace(ask, variant=i)) for i in range(alternatives)]
    streamed = bool(body.get("stream"))
    said = out.Saying(
        id=f"chatcmpl-sim{turn.number:08x}",
        created=int(turn.now),
        model=turn.name,
        answers=answers,
        usage=None if "no-usage" in turn.cues else out.usage(reuse.total, reuse.read, answers),
        azure=turn.azure,
        logprobs=(body.get("top_logprobs") or 0) if body.get("logprobs") else None,
        include_usage=streamed and bool((body.get("stream_options") or {}).get("include_usage")),
        usage_with_finish="usage-with-finish" in turn.cues,
        tps=turn.tps,
    )
    if streamed:
        return Exchange(200, [*SSE], [Pause(turn.ttft), *out.stream(said)], stream=True)
    tokens = sum(one.tokens for one in answers)
    before = Pause(turn.ttft + (tokens / turn.tps if turn.tps else 0))
    return Exchange(200, [*JSON], [out.whole(said)], before=[before])


def _ask(body: dict[str, Any], turn: Turn) -> Ask:
    messages = body["messages"]
    effort = body.get("reasoning_effort")
    wanted = body.get("response_format") or {}
    tools, choice, named = _choice(body)
    return Ask(
        model=turn.name,
        text=next((_text(m.get("content")) for m in reversed(messages) if m["role"] == "user"), ""),
        tools=tools,
        choice=choice,
        named=named,
        parallel=body.get("parallel_tool_calls") is not False,
        results=_results(messages),
        media=[kind for m in messages for kind in _media(m.get("content"))],
        schema={"json_schema": (wanted.get("json_schema") or {}).get("schema"), "json_object": {}}.get(
            wanted.get("type", "text")
        ),
        think=turn.model.thinks if effort is None else effort != "none",
        limit=turn.limit(body.get("max_completion_tokens") or body.get("max_tokens")),
        stop=[body["stop"]] if isinstance(body.get("stop"), str) else (body.get("stop") or []),
        refuse="refuse" in turn.cues,
        filtered="filtered" in turn.cues,
        length=turn.length,
    )


def _choice(body: dict[str, Any]) -> tuple[list[Tool], Any, str | None]:
    """The tools that may be called, the mode, and the one tool that must be."""
    tools = [
        Tool(tool[tool["type"]]["name"], tool[tool["type"]].get("parameters") or {}, tool["type"] == "custom")
        for tool in body.get("tools") or ()
    ]
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        return tools, choice, None
    if choice["type"] == "allowed_tools":
        allowed = choice.get("allowed_tools") or {}
        names = {(one.get(one.get("type")) or {}).get("name") for one in allowed.get("tools") or ()}
        return [tool for tool in tools if tool.name in names], allowed.get("mode", "auto"), None
    return tools, "required", choice[choice["type"]]["name"]


def _results(messages: list[dict[str, Any]]) -> list[str]:
    """The tool results that end the conversation."""
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] not in ("tool", "function"):
            break
        results.insert(0, _text(message.get("content")))
    return results


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def _media(content: Any) -> list[str]:
    """The media type of each part that is not text."""
    kinds = []
    for part in content if isinstance(content, list) else ():
        match part.get("type"):
            case "image_url":
                kinds.append(_data_type(str((part.get("image_url") or {}).get("url"))) or "image by URL")
            case "input_audio":
                kinds.append(f"audio/{(part.get('input_audio') or {}).get('format')}")
            case "file":
                kinds.append(_data_type(str((part.get("file") or {}).get("file_data"))) or "file by id")
    return kinds


def _data_type(url: str) -> str:
    return url[5 : url.find(";")] if url.startswith("data:") and ";" in url[:100] else ""


def _segments(body: dict[str, Any]) -> list[Segment]:
    """The prompt in cacheable steps: the tools, then each message."""
    segments = []
    if body.get("tools"):
        text = out.encode([body["tools"], body.get("response_format")]).decode()
        segments.append(Segment(text, count(text)))
    for message in body["messages"]:
        content = message.get("content")
        text = content if isinstance(content, str) else _text(content)
        media = len(_media(content))
        if message.get("tool_calls"):
            text += out.encode(message["tool_calls"]).decode()
        # Media take part in the prefix by their bytes, but are not tokenized: base64 is not prose.
        known = text if not media else out.encode(content).decode()
        segments.append(Segment(f"{message['role']}:{known}", count(text) + PER_MESSAGE + MEDIA_TOKENS * media))
    return segments


def plan_models(body: dict[str, Any], turn: Turn) -> Exchange:
    """GET /v1/models."""
    rows = [_info(name) for name in MODELS]
    return Exchange(200, [*JSON], [out.encode({"object": "list", "data": rows})])


def plan_model(body: dict[str, Any], turn: Turn) -> Exchange:
    """GET /v1/models/{name}. Raises Problem where there is none."""
    if turn.name not in MODELS:
        raise Problem(name="404")
    return Exchange(200, [*JSON], [out.encode(_info(turn.name))])


def _info(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": MODELS[name].created, "owned_by": "simulator"}


def stream_error(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
