"""A whole completion of one choice that is one text: see `dialects.plain`."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from trunkline.core.events import Finished, Started
from trunkline.dialects.base import Envelope
from trunkline.dialects.openai_chat.usage import WireUsage, counted, write_usage
from trunkline.dialects.openai_chat.vocabulary import FINISH_REASONS, NAME, REASONS
from trunkline.dialects.plain import Nothing, Plain, Words, shape


class _Message(Struct):
    content: Words
    refusal: Literal[""] | None = None
    tool_calls: Nothing = None
    annotations: Nothing = None
    reasoning: Literal[""] | None = None
    reasoning_content: Literal[""] | None = None
    reasoning_details: Nothing = None
    audio: None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str
    index: Literal[0] = 0
    logprobs: None = None
    content_filter_results: None = None


class _Completion(Struct):
    choices: tuple[_Choice]
    id: str | None = None
    model: str | None = None
    created: int = 0
    usage: WireUsage | None = None
    error: None = None
    prompt_filter_results: None = None


_read = shape(_Completion)
_encode = msgspec.json.Encoder().encode


def read_plain(body: bytes) -> Plain | None:
    wire = _read(body)
    if wire is None:
        return None
    choice = wire.choices[0]
    return Plain(
        Started(wire.id or "", wire.model or "", wire.created, None, NAME),
        choice.message.content,
        Finished(REASONS.get(choice.finish_reason, "stop")),
        counted(wire.usage) if wire.usage is not None else None,
    )


def write_plain(plain: Plain, envelope: Envelope) -> bytes:
    message = {"role": "assistant", "content": plain.text, "refusal": None}
    reason = FINISH_REASONS[plain.finished.reason]
    out = {
        "id": plain.head.id or envelope.request_id,
        "object": "chat.completion",
        "created": plain.head.created or envelope.created,
        "model": plain.head.model or envelope.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
    }
    if plain.usage is not None:
        out["usage"] = write_usage(plain.usage)
    return _encode(out)
