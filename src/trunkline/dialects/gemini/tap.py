"""The identity path: bytes pass untouched, usage and the end are read on the way.

AI Studio repeats the counts in every chunk, so a chunk is parsed only where it can matter: where it has a finish
reason, a verdict, or an error, found by byte patterns. Text inside JSON cannot contain those, as a quote inside a
string is written `\\"`. For an answer that breaks off, the last counts are looked up then.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.call import Peek
from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.gemini.errors import in_band_error, write_error
from trunkline.dialects.gemini.framing import Cutter, framed
from trunkline.dialects.gemini.usage import counted, cut_short, merge_usage, read_usage
from trunkline.dialects.gemini.vocabulary import ARRAY
from trunkline.dialects.sse import NOT_JSON, EventTooLarge, unbroken
from trunkline.policy.estimate import BYTES_PER_TOKEN

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_MARKS = (b'"finishReason"', b'"blockReason"', b'"error"')
_OVERHEAD = 400
"""Bytes of a chunk around its text."""


def read_whole(body: bytes) -> Usage | None:
    """The usage of a whole answer. Raises UpstreamError where the body is none."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's answer is not the JSON of a generateContent answer.") from error
    if answer.get("error"):
        raise in_band_error(answer)
    usage = merge_usage({}, answer.get("usageMetadata"))
    return read_usage(usage) if counted(usage) else None


class StreamTap:
    __slots__ = (
        "_array", "_begun", "_bytes", "_cutter", "_finished", "_latest", "_over", "_request_id", "_sent", "_several",
        "_usage", "error", "produced",
    )  # fmt: skip

    def __init__(self, peek: Peek, request_id: str) -> None:
        self.error: GatewayError | None = None
        self.produced = 0
        self._request_id = request_id
        self._cutter = Cutter()
        self._array = peek.framing == ARRAY
        self._several = peek.n > 1
        """Only then must every chunk be read, to know which candidates have begun."""
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._usage: dict[str, Any] = {}
        self._latest = b""
        """The last run of chunks, whose counts nobody has read."""
        self._bytes = 0
        self._sent = False
        self._over = False
        """Every candidate has ended."""

    @property
    def complete(self) -> bool:
        return self._over and self._cutter.closed

    @property
    def usage(self) -> Usage | None:
        if not self._over and self._latest:
            self._read(self._latest)
        if not counted(self._usage):
            return None
        usage = read_usage(self._usage)
        return usage if self._over else cut_short(usage, self.produced)

    def feed(self, data: bytes) -> bytes:
        if self.error is not None:
            return b""
        try:
            block = self._cutter.feed(data)
        except EventTooLarge:
            return self.fail(UpstreamProtocol("The upstream sent an event without end."))
        if not block:
            return b""
        if not self._array and (sound := unbroken(block)) is not block:
            self._read(sound)
            self._sent = self._sent or bool(sound)
            return sound + self.fail(UpstreamProtocol(NOT_JSON))
        self._sent = True
        self._bytes += max(0, len(block) - _OVERHEAD)
        self.produced = self._bytes // BYTES_PER_TOKEN
        if self._several or any(mark in block for mark in _MARKS):
            self._read(block)
            self._latest = b""
        else:
            self._latest = block
        return block

    def eof(self) -> bytes:
        """A stream without finish reasons ends with a typed error; half an event is left out."""
        tail = self._cutter.eof()
        if tail and not self._over:
            self._read(tail)
        if self._over or self.error is not None:
            return tail
        return self.fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return framed(write_error(error, self._request_id), self._array, not self._sent) + (
            b"]" if self._array else b""
        )

    def _read(self, block: bytes) -> None:
        try:
            for payload in self._cutter.payloads(block):
                self._note(_decode(payload))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # passed on as it is: the client's own parser will say what it thinks

    def _note(self, chunk: dict[str, Any]) -> None:
        if chunk.get("error"):
            self.error = in_band_error(chunk)
            return
        self._usage = merge_usage(self._usage, chunk.get("usageMetadata"))
        feedback, candidates = chunk.get("promptFeedback"), chunk.get("candidates")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._over = True
        for position, candidate in enumerate(candidates if isinstance(candidates, list) else ()):
            if not isinstance(candidate, dict):
                continue
            index = candidate.get("index")
            number = index if type(index) is int else position
            self._begun.add(number)
            if candidate.get("finishReason") is not None:
                self._finished.add(number)
        if self._finished and self._begun == self._finished:
            self._over = True
