"""A whole response of one message that is one text: see `dialects.plain`."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from trunkline.core.events import Finished, Started
from trunkline.dialects.base import Envelope
from trunkline.dialects.openai_responses.output import Output, status_of
from trunkline.dialects.openai_responses.usage import WireUsage, counted
from trunkline.dialects.openai_responses.vocabulary import NAME
from trunkline.dialects.plain import Nothing, Plain, Words, shape


class _Content(Struct, tag="output_text"):
    text: Words
    annotations: Nothing = None
    logprobs: Nothing = None


class _Message(Struct, tag="message"):
    content: tuple[_Content]


class _Response(Struct):
    output: tuple[_Message]
    status: Literal["completed"]
    id: str | None = None
    model: str | None = None
    created_at: float = 0
    usage: WireUsage | None = None
    error: None = None


_read = shape(_Response)
_encode = msgspec.json.Encoder().encode


def read_plain(body: bytes) -> Plain | None:
    wire = _read(body)
    if wire is None:
        return None
    return Plain(
        Started(wire.id or "", wire.model or "", int(wire.created_at), None, NAME),
        wire.output[0].content[0].text,
        Finished("stop"),
        counted(wire.usage) if wire.usage is not None else None,
    )


def write_plain(plain: Plain, envelope: Envelope) -> bytes:
    output = Output(envelope)
    output.start(plain.head)
    output.said(plain.text)
    return _encode(output.response(status_of(plain.finished), plain.finished, plain.usage))
