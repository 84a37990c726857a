"""An answer as Anthropic's Messages says it: one message, or the events of its stream.

Each content block is opened, filled and closed before the next; indexes count blocks. Usage arrives twice, at the
start (input) and in `message_delta` (everything, cumulative).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from trunkline.sim.cache import Reuse
from trunkline.sim.exchange import Pause, Step
from trunkline.sim.persona import Answer, Part

REASONS = {
    "stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tool": "tool_use",
    "refusal": "refusal", "filtered": "refusal",
}  # fmt: skip
REFUSED = {"type": "refusal", "category": "general_harms", "explanation": "The simulator was told to refuse."}

encode = msgspec.json.encode

Json = dict[str, Any]


class Saying(msgspec.Struct):
    """Everything that goes into one answer besides the frame around it."""

    id: str
    model: str
    answer: Answer
    reuse: Reuse
    sign: Callable[[str], str]
    seal: Callable[[str], str]
    usage: bool = True
    hidden: bool = False
    """Thinking is signed but its text left out (`display: omitted`)."""
    tps: float = 0.0


def input_usage(reuse: Reuse) -> Json:
    """Input counts. `input_tokens` leaves out what the cache read or wrote."""
    written = reuse.write_5m + reuse.write_1h
    return {
        "input_tokens": reuse.total - reuse.read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": reuse.read,
    }


def _usage(said: Saying, output: int) -> Json:
    reuse = said.reuse
    return {
        **input_usage(reuse),
        "cache_creation": {
            "ephemeral_5m_input_tokens": reuse.write_5m, "ephemeral_1h_input_tokens": reuse.write_1h,
        },
        "output_tokens": output,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }  # fmt: skip


def _output_usage(answer: Answer) -> Json:
    details = {"output_tokens_details": {"thinking_tokens": answer.thought}} if answer.thought else {}
    return {"output_tokens": answer.tokens, **details}


def _ending(answer: Answer) -> Json:
    reason = REASONS[answer.reason]
    return {
        "stop_reason": reason,
        "stop_sequence": answer.stop,
        "stop_details": REFUSED if reason == "refusal" else None,
    }


def _envelope(said: Saying, content: list[Json]) -> Json:
    return {"model": said.model, "id": said.id, "type": "message", "role": "assistant", "content": content}


def _thinking(said: Saying, part: Part) -> str:
    return "" if said.hidden else part.text


def whole(said: Saying) -> bytes:
    """The answer as one `message` object."""
    content = [_block(said, i, part) for i, part in enumerate(said.answer.parts)]
    body = {**_envelope(said, content), **_ending(said.answer)}
    if said.usage:
        body["usage"] = {**_usage(said, 0), **_output_usage(said.answer)}
    return encode(body)


def _block(said: Saying, index: int, part: Part) -> Json:
    match part.kind:
        case "thinking":
            text = _thinking(said, part)
            return {"type": "thinking", "thinking": text, "signature": said.sign(text)}
        case "redacted":
            return {"type": "redacted_thinking", "data": said.seal(part.text)}
        case "tool":
            return {"type": "tool_use", "id": _call_id(said, index), "name": part.name, "input": _input(part.text)}
        case _:
            return {"type": "text", "text": part.text}


def _input(text: str) -> Any:
    """The arguments as an object; those cut off by the token limit are none."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}


def _call_id(said: Saying, index: int) -> str:
    return f"toolu_{said.id.removeprefix('msg_')}{index}"


# ── The stream ─────────────────────────────────────────────────────────────────────────────────────────────────────


def event(name: str, **fields: Any) -> bytes:
    """One server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + encode({"type": name, **fields}) + b"\n\n"


def stream(said: Saying) -> list[Step]:
    """The answer as events; where a pace is set, a pause before every token."""
    return list(_events(said))


def _events(said: Saying) -> Iterator[Step]:
    opening = {**_envelope(said, []), "stop_reason": None, "stop_sequence": None, "stop_details": None}
    if said.usage:
        opening["usage"] = _usage(said, 1)
    yield event("message_start", message=opening)
    for index, part in enumerate(said.answer.parts):
        yield event("content_block_start", index=index, content_block=_opened(said, index, part))
        if index == 0:
            yield event("ping")
        yield from _deltas(said, index, part)
        yield event("content_block_stop", index=index)
    ending: Json = {"delta": _ending(said.answer)}
    if said.usage:
        ending["usage"] = {**input_usage(said.reuse), **_output_usage(said.answer)}
    yield event("message_delta", **ending)
    yield event("message_stop")


def _opened(said: Saying, index: int, part: Part) -> Json:
    """The block as `content_block_start` shows it: empty, except where nothing would follow."""
    match part.kind:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "redacted":
            return {"type": "redacted_thinking", "data": said.seal(part.text)}
        case "tool":
            return {"type": "tool_use", "id": _call_id(said, index), "name": part.name, "input": {}}
        case _:
            return {"type": "text", "text": ""}


_DELTAS = {
    "thinking": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "tool": ("input_json_delta", "partial_json"),
}


def _deltas(said: Saying, index: int, part: Part) -> Iterator[Step]:
    pace: tuple[Step, ...] = (Pause(1 / said.tps),) if said.tps else ()
    if part.kind == "redacted" or (part.kind == "thinking" and said.hidden):
        yield from pace * len(part.pieces)  # the wait is real, the text stays hidden
    else:
        kind, field = _DELTAS[part.kind]
        start = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"' % index
        start += kind.encode() + b'","' + field.encode() + b'":'
        if part.kind == "tool":
            yield start + b'""}}\n\n'
        for piece in part.pieces:
            yield from pace
            yield start + encode(piece) + b"}}\n\n"
    if part.kind == "thinking":
        signed = {"type": "signature_delta", "signature": said.sign(_thinking(said, part))}
        yield event("content_block_delta", index=index, delta=signed)
