"""The identity path: bytes pass untouched, usage and the end are read on the way.

Nearly all frames are deltas, and those are only counted. The few that matter are found by their names among the bytes;
a text that holds such a name costs a look at its frame's headers, no more. Checksums are the client's to verify.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.bedrock.errors import in_band_error, stream_error
from trunkline.dialects.bedrock.eventstream import Cutter, Frame, FrameError, frames
from trunkline.dialects.bedrock.usage import read_usage
from trunkline.policy.estimate import BYTES_PER_TOKEN

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_DELTA = b":event-type\x07\x00\x11contentBlockDelta"
_OVERHEAD = 185
"""Bytes of a delta's frame around its text: head, headers, field names, padding of 32 on average."""


def read_whole(body: bytes) -> Usage | None:
    """The usage of a whole answer. Raises UpstreamError where the body is none."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's answer is not the JSON of a Converse answer.") from error
    usage = answer.get("usage")
    return read_usage(usage) if isinstance(usage, dict) and usage else None


class StreamTap:
    __slots__ = ("_bytes", "_cutter", "_stopped", "complete", "error", "produced", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0
        self._cutter = Cutter()
        self._stopped = False
        """`messageStop` has come: what is left is the usage, which some models leave out."""
        self._bytes = 0

    def feed(self, data: bytes) -> bytes:
        try:
            block = self._cutter.feed(data)
            self._count(block)
            if b"metadata" in block or b"messageStop" in block or b"xception" in block or b":error-code" in block:
                for frame in frames(block):
                    self._note(frame)
        except FrameError as error:
            if self.error is not None:
                return b""
            return self.fail(UpstreamProtocol(f"The upstream's event stream is damaged: {error}."))
        return block

    def eof(self) -> bytes:
        """A stream that ends without `messageStop` ends with a typed exception; half a frame is left out."""
        self._cutter.eof()
        if self.complete or self.error is not None:
            return b""
        if self._stopped:
            self.complete = True
            return b""
        return self.fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return stream_error(error)

    def _count(self, block: bytes) -> None:
        self._bytes += len(block) - _OVERHEAD * block.count(_DELTA)
        self.produced = max(0, self._bytes) // BYTES_PER_TOKEN

    def _note(self, frame: Frame) -> None:
        if frame.kind != "event":
            self.error = in_band_error(frame)
        elif frame.name == "messageStop":
            self._stopped = True
        elif frame.name == "metadata":
            self.complete = True
            try:
                usage = _decode(frame.payload).get("usage")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return  # passed on as it is: the client's own parser will say what it thinks
            if isinstance(usage, dict):
                self.usage = read_usage(usage)
