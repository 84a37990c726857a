"""Answers of invoked models: the maker's own JSON, in a stream one piece of it a frame, in base64.

Claude's are those of Anthropic's API: its dialect reads and writes them, and here they are only put into frames and
taken out. Nova's are Converse's, each event an object of one field. The last piece of a stream counts the tokens.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from trunkline.core.errors import UpstreamBroken, UpstreamError, UpstreamProtocol
from trunkline.core.events import Event, Failed
from trunkline.core.usage import Usage
from trunkline.dialects import sse
from trunkline.dialects.base import Dialect, Envelope, Reader, Writer
from trunkline.dialects.bedrock.answer_reader import STRANGE, AnswerReader, Events
from trunkline.dialects.bedrock.answer_writer import StreamWriter
from trunkline.dialects.bedrock.errors import in_band_error, stream_error
from trunkline.dialects.bedrock.eventstream import Cutter, FrameError, event, frames
from trunkline.dialects.bedrock.usage import write_usage

METRICS = "amazon-bedrock-invocationMetrics"

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_STRANGER = "The model's answer is of a format that is not known here; ask it by Converse."
_LAST = (b'{"type":"message_stop"', b'{"metadata":')
"""How the last piece of a stream begins."""


def chunk(piece: bytes) -> bytes:
    """A piece of an answer, framed."""
    return event("chunk", b'{"bytes":"' + base64.b64encode(piece) + b'"}')


def piece_of(payload: bytes) -> bytes:
    """What a frame's payload holds. Raises one of `STRANGE`."""
    return base64.b64decode(_decode(payload)["bytes"])


class WholeReader:
    """Tells by the answer whose it is."""

    def __init__(self, inner: Dialect) -> None:
        self._inner = inner
        self._body = bytearray()

    def feed(self, data: bytes) -> Iterable[Event]:
        self._body += data
        return ()

    def eof(self) -> Iterable[Event]:
        body = bytes(self._body)
        try:
            answer = _decode(body)
        except STRANGE:
            return [Failed(UpstreamBroken("The upstream's answer is not whole: it does not end as JSON."))]
        if answer.get("type") in ("message", "error"):  # a tuple: what is no string may have no hash
            reader: Reader = self._inner.reader(False)
        elif "output" in answer:
            reader = AnswerReader(False)
        else:
            return [Failed(UpstreamProtocol(_STRANGER))]
        return [*reader.feed(body), *reader.eof()]


class StreamReader:
    def __init__(self, inner: Dialect) -> None:
        self._cutter = Cutter()
        self._claude = inner.reader(True)
        self._nova: Events | None = None
        """Once the stream has turned out to be Nova's."""
        self._ended = False

    def feed(self, data: bytes) -> Iterable[Event]:
        out: list[Event] = []
        if self._ended:
            return out
        try:
            for frame in frames(self._cutter.feed(data)):
                if frame.kind != "event":
                    return out + self._fail(in_band_error(frame))
                if frame.name == "chunk":
                    out += self._piece(piece_of(frame.payload))
        except FrameError as error:
            return out + self._fail(UpstreamProtocol(f"The upstream's event stream is damaged: {error}."))
        except STRANGE:
            return out + self._fail(UpstreamProtocol(_STRANGER))
        return out

    def eof(self) -> Iterable[Event]:
        out: list[Event] = []
        if self._ended or (self._nova is not None and self._nova.finish(out)):
            return out
        if self._nova is not None:
            return self._fail(UpstreamBroken("The upstream's answer ended before it was complete."))
        return self._claude.eof()

    def _piece(self, piece: bytes) -> Iterable[Event]:
        wire = _decode(piece)
        kind = wire.get("type")
        if isinstance(kind, str):
            return self._claude.feed(sse.event(kind.encode(), piece))
        self._nova = self._nova or Events()
        out: list[Event] = []
        wire.pop(METRICS, None)
        for name, inner in wire.items():
            self._nova.take(name, inner, out)
        return out

    def _fail(self, error: UpstreamError) -> list[Event]:
        self._ended = True
        return [Failed(error)]


class InvokedWriter:
    """The stream of another writer, cut into its pieces and framed."""

    def __init__(self, envelope: Envelope, inner: Dialect, nova: bool) -> None:
        self._writer: Writer = StreamWriter(envelope) if nova else inner.writer(envelope)
        self._pieces = _converse_pieces if nova else _claude_pieces
        self._usage: Usage | None = None

    @property
    def lost(self) -> list[str]:
        return self._writer.lost

    @lost.setter
    def lost(self, value: list[str]) -> None:
        self._writer.lost = value

    def feed(self, event: Event) -> bytes:
        if type(event) is Usage:
            self._usage = event
        elif type(event) is Failed:
            self._writer.feed(event)  # so that it knows that all is said
            return stream_error(event.error)
        return self._framed(self._writer.feed(event))

    def eof(self) -> bytes:
        return self._framed(self._writer.eof())

    def _framed(self, written: bytes) -> bytes:
        if not written:
            return b""
        pieces = self._pieces(written)
        if pieces is None:
            return stream_error(UpstreamBroken("The upstream's answer ended before it was complete."))
        return b"".join(chunk(self._counted(piece) if piece.startswith(_LAST) else piece) for piece in pieces)

    def _counted(self, piece: bytes) -> bytes:
        counts = write_usage(self._usage or Usage())
        metrics = {
            "inputTokenCount": counts["inputTokens"],
            "outputTokenCount": counts["outputTokens"],
            "invocationLatency": 0,
            "firstByteLatency": 0,
        }
        if "cacheReadInputTokens" in counts:
            metrics["cacheReadInputTokenCount"] = counts["cacheReadInputTokens"]
            metrics["cacheWriteInputTokenCount"] = counts["cacheWriteInputTokens"]
        return piece[:-1] + b"," + _encode({METRICS: metrics})[1:]


def _claude_pieces(written: bytes) -> list[bytes] | None:
    """None where the writer ends with an error."""
    found = sse.events(written)
    return None if any(name == b"error" for name, _ in found) else [payload for _, payload in found]


def _converse_pieces(written: bytes) -> list[bytes] | None:
    found = frames(written)
    if any(frame.kind != "event" for frame in found):
        return None
    return [b'{"%s":%s}' % (frame.name.encode(), frame.payload) for frame in found]
