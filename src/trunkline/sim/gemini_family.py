"""Google's wire formats as rows: AI Studio and Vertex, each with the stream of events and the stream that is an array,
and Claude on Vertex. What they differ in is who may ask, and how a stream and an error are framed."""

from __future__ import annotations

from urllib.parse import parse_qs

from msgspec import structs

from trunkline.sim import rates
from trunkline.sim.asked import Asked
from trunkline.sim.family import ANTHROPIC_FAMILY, Family
from trunkline.sim.gemini_errors import (
    CLAUDE_ERRORS,
    GEMINI_ARRAY_ERRORS,
    GEMINI_ERRORS,
    VERTEX_ARRAY_ERRORS,
    VERTEX_ERRORS,
)
from trunkline.sim.problems import Problem

FINISH = b'"finishReason"'
"""Stands early in the last event of a stream and in no other: that event says nothing else."""
ODDITY = b'{"candidates":[],"simulatorOddity":{"depth":1}}'


def sse(data: bytes) -> bytes:
    """One event, with Google's line ends."""
    return b"data: " + data + b"\r\n\r\n"


def _bearer(asked: Asked) -> bool:
    return bool(asked.headers.get(b"authorization", b"").removeprefix(b"Bearer").strip())


def _studio_guard(asked: Asked) -> None:
    keys = parse_qs(asked.query).get("key", [""])
    if not (asked.headers.get(b"x-goog-api-key", b"").strip() or keys[0] or _bearer(asked)):
        raise Problem(name="unregistered")


def _vertex_guard(asked: Asked) -> None:
    """OAuth tokens only: Vertex refuses keys by name, as it does no credential at all."""
    if not _bearer(asked):
        raise Problem(name="no-keys")


GEMINI_FAMILY = Family(
    name="gemini",
    credentials=(),
    unauthenticated="",
    guard=_studio_guard,
    errors=GEMINI_ERRORS,
    id_header=b"",
    rates=rates.none,
    stream_error=sse,
    terminator=FINISH,
    oddity=sse(ODDITY),
    garbage=b"these lines: are no event\r\n{\x00\xff}\r\ndata {}\r\n\r\n",
    broken=b'data: {"candidates":[{"content":{"parts":[{"text":\r\n\r\n',
    lines=False,
)
GEMINI_ARRAY_FAMILY = structs.replace(
    GEMINI_FAMILY,
    name="gemini-array",
    errors=GEMINI_ARRAY_ERRORS,
    stream_error=lambda data: data.removeprefix(b"[").removesuffix(b"]"),
    terminator=b"\n]",
    oddity=b",\r\n" + ODDITY + b"\n",
    garbage=b",\r\nthis is: no JSON\n",
    broken=b',\r\n{"candidates":[{"content":\n',
    opening=b"[",
    between=b",\r\n",
    closing=b"\n]",
)
VERTEX_FAMILY = structs.replace(GEMINI_FAMILY, name="vertex", errors=VERTEX_ERRORS, guard=_vertex_guard)
VERTEX_ARRAY_FAMILY = structs.replace(
    GEMINI_ARRAY_FAMILY, name="vertex-array", errors=VERTEX_ARRAY_ERRORS, guard=_vertex_guard
)
CLAUDE_FAMILY = structs.replace(
    ANTHROPIC_FAMILY, name="vertex-claude", errors=CLAUDE_ERRORS, guard=_vertex_guard,
    rates=rates.none,
)  # fmt: skip
