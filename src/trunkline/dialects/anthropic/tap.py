"""The identity path: bytes pass untouched, usage and the end are read on the way.

Nearly all events are deltas, and those are not even parsed: the few that matter are found by a byte pattern that text
inside JSON cannot contain, because a quote inside a string is written `\\"`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.anthropic.errors import in_band_error, stream_error
from trunkline.dialects.anthropic.usage import cut_short, merge_usage, read_usage
from trunkline.dialects.sse import NOT_JSON, EventTooLarge, Splitter, events, unbroken
from trunkline.policy.estimate import BYTES_PER_TOKEN

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_OVERHEAD = 120
"""Bytes of a delta event around its text."""


def read_whole(body: bytes) -> Usage | None:
    """The usage of a whole answer. Raises UpstreamError where the body is none."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's answer is not the JSON of a Messages answer.") from error
    if answer.get("type") == "error":
        raise in_band_error(answer)
    usage = merge_usage({}, answer.get("usage"))
    return read_usage(usage) if usage else None


class StreamTap:
    __slots__ = ("_bytes", "_counted", "_request_id", "_splitter", "_usage", "complete", "error", "produced")

    def __init__(self, request_id: str) -> None:
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0
        self._request_id = request_id
        self._splitter = Splitter()
        self._usage: dict[str, Any] = {}
        self._counted = False
        """`message_delta` has come: the output has been counted, not only begun."""
        self._bytes = 0
        """Of text, roughly: what is left of the deltas without their frames."""

    @property
    def usage(self) -> Usage | None:
        if not self._usage:
            return None
        usage = read_usage(self._usage)
        return usage if self._counted else cut_short(usage, self.produced)

    def feed(self, data: bytes) -> bytes:
        try:
            block = self._splitter.feed(data)
        except EventTooLarge:
            if self.error is not None:
                return b""
            return self.fail(UpstreamProtocol("The upstream sent an event without end."))
        if (sound := unbroken(block)) is not block and self.error is None:
            self._read(sound)
            return sound + self.fail(UpstreamProtocol(NOT_JSON))
        if block.find(b'_tool_result"') < 0:  # what a server's tool found is not the model's output
            self._bytes += len(block) - _OVERHEAD * block.count(b"\n\n")
            self.produced = max(0, self._bytes) // BYTES_PER_TOKEN
        if block.find(b'"message_') >= 0 or block.find(b'"error"') >= 0:
            self._read(block)
        return block

    def eof(self) -> bytes:
        """A stream that ends without `message_stop` ends with a typed error; half an event is left out."""
        tail = self._splitter.eof()
        if tail and not self.complete:
            self._read(tail)
        if self.complete or self.error is not None:
            return tail
        return self.fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return stream_error(error, self._request_id)

    def _read(self, block: bytes) -> None:
        for _, payload in events(block):
            try:
                event = _decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # passed on as it is: the client's own parser will say what it thinks
            self._note(event)

    def _note(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "message_start":
                message = event.get("message")
                self._usage = merge_usage(self._usage, message.get("usage") if isinstance(message, dict) else None)
            case "message_delta":
                usage = event.get("usage")
                self._usage = merge_usage(self._usage, usage)
                self._counted = self._counted or (isinstance(usage, dict) and usage.get("output_tokens") is not None)
            case "message_stop":
                self.complete = True
            case "error":
                self.error = in_band_error(event)
