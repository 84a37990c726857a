"""The identity path: bytes pass untouched, usage and the end are read on the way.

Only the few events that matter are parsed: each is found by a byte pattern that JSON-escaped text cannot contain (a
quote inside a string is written `\\"`). One thing is taken out: the usage chunk that we, not the client, asked for.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.call import Peek
from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.openai_chat.answer_writer import stream_error
from trunkline.dialects.openai_chat.errors import in_band_error
from trunkline.dialects.openai_chat.usage import read_usage
from trunkline.dialects.sse import EventTooLarge, Splitter, events


class _Choice(Struct):
    finish_reason: str | None = None


class _Event(Struct):
    usage: Any = None
    choices: list[_Choice] | None = None
    error: Any = None


class _Answer(Struct):
    usage: Any = None
    error: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class WholeTap:
    """A whole answer: one body, fed at once."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0

    def feed(self, data: bytes) -> bytes:
        """Raises UpstreamError where the body is no answer: nothing has been sent yet."""
        try:
            answer = _decode_answer(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UpstreamProtocol("The upstream's answer is not valid JSON of a chat completion.") from error
        if answer.error is not None:
            raise in_band_error(answer.error)
        if answer.usage is not None:
            self.usage = read_usage(answer.usage)
        self.produced = len(data) // 4
        self.complete = True
        return data

    def eof(self) -> bytes:
        return b""

    def fail(self, error: GatewayError) -> bytes:
        return stream_error(error)


class StreamTap:
    __slots__ = ("_bare", "_finishing", "_splitter", "complete", "error", "produced", "usage")

    def __init__(self, peek: Peek) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0
        self._splitter = Splitter()
        self._bare = not peek.include_usage
        """The client did not ask for usage: the chunk that holds nothing else is ours alone."""
        self._finishing = False

    def feed(self, data: bytes) -> bytes:
        try:
            data = self._splitter.feed(data)
        except EventTooLarge:
            return self.fail(UpstreamProtocol("The upstream sent an event without end."))
        if not data or self.error is not None:
            return b""
        self.produced += data.count(b"data:")
        if b'"usage":{' in data or b'"usage": {' in data or b'"error"' in data:
            data = self._inspect(data)
        if b'"finish_reason":"' in data or b'"finish_reason": "' in data:
            self._finishing = True
        if b"data: [DONE]" in data or b"data:[DONE]" in data:
            self.complete = True
        return data

    def _inspect(self, block: bytes) -> bytes:
        """Read the events that hold usage or an error; leave out the bare usage chunk where it is ours."""
        mine: list[bytes] = []
        for _, payload in events(block):
            if b'"usage"' not in payload and b'"error"' not in payload:
                continue
            try:
                event = _decode_event(payload)
            except (msgspec.DecodeError, RecursionError):
                continue  # the client's own parser will say so
            if event.error is not None:
                self.error = in_band_error(event.error)
            if event.usage is not None:
                self.usage = read_usage(event.usage) or self.usage
                if self._bare and not event.choices:
                    mine.append(payload)
        for payload in mine:
            block = _without(block, payload)
        return block

    def eof(self) -> bytes:
        if self.complete or self.error is not None:
            return b""
        tail = self._splitter.eof()
        rest = self.feed(tail + b"\n\n") if tail else b""
        if self.complete or self._finishing:
            self.complete = True
            return rest
        return self.fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return stream_error(error)


def _without(block: bytes, payload: bytes) -> bytes:
    """The block without the event of this payload."""
    at = block.find(payload)
    start = block.rfind(b"data:", 0, at)
    end = at + len(payload)
    while end < len(block) and block[end : end + 1] in (b"\r", b"\n"):
        end += 1
    return block[:start] + block[end:]
