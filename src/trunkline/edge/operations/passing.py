"""The flow of an answer that passes as it is, of whatever operation: usage is read where it is told.

OpenAI tells it in the same place everywhere: a `usage` object, at the end of a JSON answer or in a stream's last
events. Sound has none.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.base import Dialect
from trunkline.dialects.sse import EventTooLarge, Splitter, events

TAIL = 16_384
"""Bytes at the end of a large answer in which its usage is looked for."""
_ENDS = (".done", ".completed")
"""How the names of a stream's last events end: `transcript.text.done`, `image_generation.completed`."""


class _Details(Struct):
    audio_tokens: int | None = None
    cached_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    prompt_tokens_details: _Details | None = None


class _Answer(Struct):
    usage: Any = None


class _Event(Struct):
    type: str = ""
    usage: Any = None


def read_usage(said: Any) -> Usage | None:
    """A `usage` object; None where it counts no tokens (seconds of sound, say). Hosts disagree on whether the prompt
    contains its sound: the total does."""
    try:
        usage = msgspec.convert(said, _Usage)
    except msgspec.ValidationError:
        return None
    told = usage.input_tokens if usage.input_tokens is not None else usage.prompt_tokens
    output = usage.output_tokens if usage.output_tokens is not None else usage.completion_tokens
    if told is None and output is None:
        return None
    details = usage.input_tokens_details or usage.input_token_details or usage.prompt_tokens_details or _Details()
    return Usage(
        input=max(told or 0, (usage.total_tokens or 0) - (output or 0)),
        output=output or 0,
        cache_read=details.cached_tokens or 0,
        input_audio=details.audio_tokens or 0,
    )


def usage_of_answer(body: bytes) -> Usage | None:
    """For a whole answer in JSON. Never raises: what cannot be read is the client's to judge."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return read_usage(answer.usage) if answer.usage is not None else None


class Passing:
    """A large answer: bytes pass as they come, the last of them are kept until the end for the usage in them."""

    __slots__ = ("_tail", "complete", "error", "produced", "usage")

    def __init__(self) -> None:
        self._tail = b""
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0

    def feed(self, data: bytes) -> bytes:
        self._tail = (self._tail + data)[-TAIL:]
        return data

    def eof(self) -> bytes:
        self.complete = True
        at = self._tail.rfind(b'"usage"')
        if at >= 0:
            self.usage = usage_of_answer(b"{" + self._tail[at:])
        return b""

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return b""


class PassingEvents:
    """A stream of events."""

    __slots__ = ("_dialect", "_ended", "_request_id", "_splitter", "complete", "error", "produced", "usage")

    def __init__(self, dialect: Dialect, request_id: str) -> None:
        self._dialect = dialect
        self._request_id = request_id
        self._splitter = Splitter()
        self._ended = False
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0

    def feed(self, data: bytes) -> bytes:
        try:
            block = self._splitter.feed(data)
        except EventTooLarge:
            return self.fail(UpstreamProtocol("The upstream sent an event without end."))
        if b'"usage"' in block or b".done" in block or b".completed" in block or b"[DONE]" in block:
            self._inspect(block)
        return block

    def _inspect(self, block: bytes) -> None:
        for _, payload in events(block):
            if payload == b"[DONE]":
                self._ended = True
                continue
            try:
                event = msgspec.json.decode(payload, type=_Event)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # the client's own parser will say so
            self._ended = self._ended or event.type.endswith(_ENDS)
            if event.usage is not None:
                self.usage = _sum(self.usage, read_usage(event.usage))

    def eof(self) -> bytes:
        rest = self._splitter.eof()
        if rest:
            self._inspect(rest)
        if self._ended:
            self.complete = True
            return rest
        return self.fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return self._dialect.stream_error(error, self._request_id)


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    """Each of several images that one stream brings tells its own usage."""
    if one is None or other is None:
        return one or other
    return Usage(
        input=one.input + other.input,
        output=one.output + other.output,
        cache_read=one.cache_read + other.cache_read,
        input_audio=one.input_audio + other.input_audio,
    )
