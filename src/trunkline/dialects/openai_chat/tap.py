"""The identity path: bytes pass untouched, usage and the end are read on the way.

Only the few events that matter are parsed: each is found by a byte pattern. Text inside JSON cannot contain those that
hold a quote (there it is written `\\"`); what else is found is only a reason to look, as the answer's text may hold it.
One thing is taken out: the usage chunk that we, not the client, asked for.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.call import Peek
from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.openai_chat.answer_writer import stream_error
from trunkline.dialects.openai_chat.usage import read_usage
from trunkline.dialects.openai_errors import in_band_error
from trunkline.dialects.sse import NOT_JSON, EventTooLarge, Splitter, events, unbroken


class _Choice(Struct):
    index: Any = None
    finish_reason: Any = None


class _Event(Struct):
    usage: Any = None
    choices: list[_Choice] | None = None
    error: Any = None


class _Answer(Struct):
    usage: Any = None
    error: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_whole(body: bytes) -> Usage | None:
    """The usage of a whole answer. Raises UpstreamError where the body is none."""
    try:
        answer = _decode_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's answer is not valid JSON of a chat completion.") from error
    if answer.error:
        raise in_band_error(answer.error)
    return read_usage(answer.usage) if answer.usage is not None else None


class StreamTap:
    __slots__ = (
        "_bare", "_begun", "_finished", "_request_id", "_several", "_splitter", "complete", "error", "produced",
        "usage",
    )  # fmt: skip

    def __init__(self, peek: Peek, request_id: str) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0
        self._request_id = request_id
        self._splitter = Splitter()
        self._bare = not peek.include_usage
        """The client did not ask for usage: the chunk that holds nothing else is ours alone."""
        self._several = peek.n > 1
        """Only then must every event be read, to know which choices have begun."""
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def feed(self, data: bytes) -> bytes:
        try:
            data = self._splitter.feed(data)
        except EventTooLarge:
            return self.fail(UpstreamProtocol("The upstream sent an event without end."))
        if not data or self.error is not None:
            return b""
        count = data.count(b"data:")
        self.produced += count
        if (sound := unbroken(data)) is not data:
            return self._inspect(sound) + self.fail(UpstreamProtocol(NOT_JSON))
        at = data.find  # for bytes Python's `in` takes half as long again: it asks first whether it is given a number
        if self._several or at(b'"error"') >= 0 or at(b'"usage":{') >= 0 or at(b'"usage": {') >= 0:
            return self._inspect(data)
        if count == 1 and (at(b'"finish_reason":null') >= 0 or at(b'"finish_reason": null') >= 0):
            return data  # one more piece of the answer, as nearly all are
        if at(b"[DONE]") >= 0 or at(b'"finish_reason":"') >= 0 or at(b'"finish_reason": "') >= 0:
            return self._inspect(data)
        return data

    def _inspect(self, block: bytes) -> bytes:
        """Read the events of a block; leave out the bare usage chunk where it is ours."""
        mine: list[bytes] = []
        for _, payload in events(block):
            if payload == b"[DONE]":
                self.complete = True
                continue
            try:
                event = _decode_event(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # JSON of another shape: the client's own parser will say so
            if event.error:
                self.error = in_band_error(event.error)
            for position, choice in enumerate(event.choices or ()):
                self._choice(choice, position)
            if event.usage is not None:
                self.usage = read_usage(event.usage) or self.usage
                if self._bare and not event.choices:
                    mine.append(payload)
        for payload in mine:
            block = _without(block, payload)
        return block

    def _choice(self, choice: _Choice, position: int) -> None:
        index = choice.index if type(choice.index) is int else position
        self._begun.add(index)
        if choice.finish_reason is not None:
            self._finished.add(index)

    def eof(self) -> bytes:
        """The end. A stream without `[DONE]` is whole if every choice that began has its reason."""
        if self._over():
            return b""
        tail = self._splitter.eof()
        rest = self.feed(tail + b"\n\n") if _readable(tail) else b""
        if self._over():
            return rest
        if self._begun and self._begun == self._finished:
            self.complete = True
            return rest
        return self.fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def _over(self) -> bool:
        return self.complete or self.error is not None

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return stream_error(error, self._request_id)


def _readable(tail: bytes) -> bool:
    """Whether what is left at the end is a last event without its blank line, rather than half of one."""
    try:
        return all(payload == b"[DONE]" or _decode_event(payload) is not None for _, payload in events(tail))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _without(block: bytes, payload: bytes) -> bytes:
    """The block without the event of this payload."""
    at = block.find(payload)
    start = block.rfind(b"data:", 0, at)
    end = at + len(payload)
    while end < len(block) and block[end : end + 1] in (b"\r", b"\n"):
        end += 1
    return block[:start] + block[end:]
