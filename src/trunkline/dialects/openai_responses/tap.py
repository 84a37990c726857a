"""The identity path: bytes pass untouched, usage and the end are read on the way.

Only the few events that hold a response are looked at. They are found by a byte pattern, which text inside JSON cannot
contain: there the quote is written `\\"`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.openai_errors import in_band_error
from trunkline.dialects.openai_responses.answer_writer import stream_error
from trunkline.dialects.openai_responses.usage import read_usage
from trunkline.dialects.sse import NOT_JSON, EventTooLarge, Splitter, events, unbroken


class _Response(Struct):
    usage: Any = None
    error: Any = None
    status: Any = None
    object: Any = None


class _Event(Struct):
    type: str = ""
    response: _Response | None = None
    error: Any = None
    code: Any = None
    message: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_answer = msgspec.json.Decoder(_Response).decode

_FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


def read_whole(body: bytes) -> Usage | None:
    """The usage of a whole answer; a response that failed is one too, and passes. Raises UpstreamError where the body
    is none."""
    try:
        answer = _decode_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's answer is not valid JSON of a response.") from error
    if answer.error and answer.status != "failed":
        raise in_band_error(answer.error)
    return read_usage(answer.usage) if answer.usage is not None else None


class StreamTap:
    __slots__ = ("_request_id", "_splitter", "complete", "error", "produced", "usage")

    def __init__(self, request_id: str) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0
        self._request_id = request_id
        self._splitter = Splitter()

    def feed(self, data: bytes) -> bytes:
        try:
            data = self._splitter.feed(data)
        except EventTooLarge:
            return self.fail(UpstreamProtocol("The upstream sent an event without end."))
        if not data or self.error is not None:
            return b""
        self.produced += data.count(b"data:")
        if (sound := unbroken(data)) is not data:
            self._inspect(sound)
            return sound + self.fail(UpstreamProtocol(NOT_JSON))
        if data.find(b'"response":') >= 0 or data.find(b'"error"') >= 0:
            self._inspect(data)
        return data

    def _inspect(self, block: bytes) -> None:
        for _, payload in events(block):
            try:
                event = _decode_event(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # the client's own parser will say so
            if event.type == "error":
                self.error = in_band_error(event.error or {"code": event.code, "message": event.message})
            elif event.type in _FINAL and event.response is not None:
                if event.response.usage is not None:
                    self.usage = read_usage(event.response.usage) or self.usage
                if event.type == "response.failed":
                    self.error = in_band_error(event.response.error or {})
                else:
                    self.complete = True

    def eof(self) -> bytes:
        if self._over():
            return b""
        tail = self._splitter.eof()
        rest = self.feed(tail + b"\n\n") if _readable(tail) else b""
        if self._over():
            return rest
        return rest + self.fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def _over(self) -> bool:
        return self.complete or self.error is not None

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return stream_error(error, self._request_id)


def _readable(tail: bytes) -> bool:
    """Whether what is left at the end is a last event without its blank line, rather than half of one."""
    try:
        return all(_decode_event(payload) is not None for _, payload in events(tail))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
