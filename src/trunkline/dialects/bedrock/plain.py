"""A whole answer of one text block: see `dialects.plain`."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.events import Finished, Started
from trunkline.dialects.base import Envelope
from trunkline.dialects.bedrock.answer_writer import answer_of, ending
from trunkline.dialects.bedrock.usage import read_usage
from trunkline.dialects.bedrock.vocabulary import NAME, REASONS
from trunkline.dialects.plain import Plain, Words, shape


class _Block(Struct, forbid_unknown_fields=True):
    text: Words


class _Message(Struct):
    content: tuple[_Block]


class _Output(Struct):
    message: _Message


class _Answer(Struct, rename="camel"):
    output: _Output
    stop_reason: str
    usage: dict[str, Any] | None = None


_read = shape(_Answer)
_encode = msgspec.json.Encoder().encode


def read_plain(body: bytes) -> Plain | None:
    wire = _read(body)
    if wire is None:
        return None
    return Plain(
        Started("", "", 0, None, NAME),
        wire.output.message.content[0].text,
        Finished(REASONS.get(wire.stop_reason, "stop")),
        read_usage(wire.usage) if wire.usage else None,
    )


def write_plain(plain: Plain, envelope: Envelope) -> bytes:
    return _encode(answer_of([{"text": plain.text}], ending(plain.finished, False, False, plain.usage)))
