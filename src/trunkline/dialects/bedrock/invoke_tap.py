"""The identity path of invoked models: bytes pass, whatever they are; the tokens are counted at the end.

The service adds its count to the last piece of every stream, in base64 like the rest. Where in a piece it stands
decides which of three texts it becomes: those are looked for, and nothing is decoded until one is found.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.bedrock.answer_reader import STRANGE
from trunkline.dialects.bedrock.errors import in_band_error, stream_error
from trunkline.dialects.bedrock.eventstream import Cutter, FrameError, frames
from trunkline.dialects.bedrock.invoke_answers import METRICS, piece_of
from trunkline.dialects.bedrock.usage import invocation_usage, read_usage
from trunkline.policy.estimate import BYTES_PER_TOKEN

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_CHUNK = b":event-type\x07\x00\x05chunk"
_OVERHEAD = 250
"""Bytes of a frame around its text: head, headers, and the JSON of a delta in base64, with its padding."""


def _encoded(word: bytes) -> tuple[bytes, ...]:
    """The word in base64, as it looks behind 0, 1 or 2 odd bytes: without the letters that its neighbours share."""
    out = []
    for before in range(3):
        whole = base64.b64encode(b"x" * before + word)
        first = 0 if before == 0 else 4
        out.append(whole[first : len(whole) // 4 * 4 - 4])
    return tuple(out)


_COUNTED = _encoded(METRICS.encode())


def read_whole(body: bytes) -> Usage | None:
    """The usage in a whole answer of Nova's; header fields tell it for the others. Raises UpstreamError."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's answer is not a JSON object.") from error
    usage = answer.get("usage")
    return read_usage(usage) if isinstance(usage, dict) and "inputTokens" in usage else None


class StreamTap:
    __slots__ = ("_bytes", "_cutter", "complete", "error", "produced", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0
        self._cutter = Cutter()
        self._bytes = 0

    def feed(self, data: bytes) -> bytes:
        try:
            block = self._cutter.feed(data)
            self._bytes += len(block) - _OVERHEAD * block.count(_CHUNK)
            self.produced = max(0, self._bytes) * 3 // 4 // BYTES_PER_TOKEN
            if b"xception" in block or b":error-code" in block or any(word in block for word in _COUNTED):
                self._read(block)
        except FrameError as error:
            if self.error is not None:
                return b""
            return self.fail(UpstreamProtocol(f"The upstream's event stream is damaged: {error}."))
        return block

    def eof(self) -> bytes:
        """A stream that ends without a count ends with a typed exception; half a frame is left out."""
        self._cutter.eof()
        if self.complete or self.error is not None:
            return b""
        return self.fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return stream_error(error)

    def _read(self, block: bytes) -> None:
        for frame in frames(block):
            if frame.kind != "event":
                self.error = in_band_error(frame)
                continue
            try:
                metrics = _decode(piece_of(frame.payload)).get(METRICS)
            except STRANGE:
                continue  # passed on as it is: the client's own parser will say what it thinks
            if isinstance(metrics, dict):
                self.complete = True
                self.usage = invocation_usage(metrics)
