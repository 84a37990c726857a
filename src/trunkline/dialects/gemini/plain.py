"""A whole answer of one candidate that is one text: see `dialects.plain`. A part that holds anything beside its text
(that it is a thought, a signature) is none."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from trunkline.core.events import Finished, Started
from trunkline.dialects.base import Envelope
from trunkline.dialects.gemini.chunks import beside, closing, ended
from trunkline.dialects.gemini.usage import counted, read_usage
from trunkline.dialects.gemini.vocabulary import NAME, REASONS
from trunkline.dialects.plain import Plain, Words, shape


class _Part(Struct, forbid_unknown_fields=True):
    text: Words


class _Content(Struct):
    parts: tuple[_Part]


class _Candidate(Struct, rename="camel"):
    content: _Content
    finish_reason: str
    index: Literal[0] = 0
    logprobs_result: None = None


class _Answer(Struct, rename="camel"):
    candidates: tuple[_Candidate]
    response_id: str | None = None
    model_version: str | None = None
    usage_metadata: dict[str, Any] | None = None
    prompt_feedback: None = None
    error: None = None


_read = shape(_Answer)
_encode = msgspec.json.Encoder().encode


def read_plain(body: bytes) -> Plain | None:
    wire = _read(body)
    if wire is None:
        return None
    candidate, usage = wire.candidates[0], wire.usage_metadata
    return Plain(
        Started(wire.response_id or "", wire.model_version or "", 0, None, NAME),
        candidate.content.parts[0].text,
        Finished(REASONS.get(candidate.finish_reason, "stop")),
        read_usage(usage) if usage and counted(usage) else None,
    )


def write_plain(plain: Plain, envelope: Envelope) -> bytes:
    candidate = ended(plain.finished, [{"text": plain.text}], False, False)
    return _encode(closing([candidate], [plain.finished], plain.usage, False) | beside(plain.head, envelope))
