"""A whole message of one text block: see `dialects.plain`."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.events import Finished, Started
from trunkline.dialects.anthropic.answer_writer import message_of
from trunkline.dialects.anthropic.usage import merge_usage, read_usage, write_usage
from trunkline.dialects.anthropic.vocabulary import NAME, REASONS, STOP_REASONS
from trunkline.dialects.base import Envelope
from trunkline.dialects.plain import Nothing, Plain, Words, shape


class _Text(Struct, tag="text"):
    text: Words
    citations: Nothing = None


class _Message(Struct, tag="message"):
    content: tuple[_Text]
    stop_reason: str | None = None
    id: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None


_read = shape(_Message)
_encode = msgspec.json.Encoder().encode


def read_plain(body: bytes) -> Plain | None:
    wire = _read(body)
    if wire is None:
        return None
    usage = merge_usage({}, wire.usage)
    return Plain(
        Started(wire.id or "", wire.model or "", 0, None, NAME),
        wire.content[0].text,
        Finished(REASONS.get(wire.stop_reason or "", "stop")),
        read_usage(usage) if usage else None,
    )


def write_plain(plain: Plain, envelope: Envelope) -> bytes:
    message = message_of(plain.head, envelope)
    message["content"] = [{"type": "text", "text": plain.text}]
    message["stop_reason"] = STOP_REASONS[plain.finished.reason]
    if plain.usage is not None:
        message["usage"] = message["usage"] | write_usage(plain.usage)
    return _encode(message)
