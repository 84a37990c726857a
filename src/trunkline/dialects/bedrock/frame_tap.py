"""What the taps of both of Bedrock's streams share: frames pass untouched, those that matter are looked into."""

from __future__ import annotations

from abc import ABC, abstractmethod

from trunkline.core.errors import GatewayError, UpstreamBroken, UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.bedrock.errors import in_band_error, stream_error
from trunkline.dialects.bedrock.eventstream import Cutter, Frame, FrameError, frames


class FrameTap(ABC):
    """Checksums are the client's to verify."""

    __slots__ = ("_bytes", "_cutter", "_stopped", "complete", "error", "produced", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0
        self._cutter = Cutter()
        self._bytes = 0
        """What has gone by, without what stands around the text."""
        self._stopped = False
        """All is said but for the usage, which some models leave out."""

    def feed(self, data: bytes) -> bytes:
        try:
            block = self._cutter.feed(data)
            if self._look(block):
                for frame in frames(block):
                    if frame.kind == "event":
                        self._note(frame)
                    else:
                        self.error = in_band_error(frame)
        except FrameError as error:
            if self.error is not None:
                return b""
            return self.fail(UpstreamProtocol(f"The upstream's event stream is damaged: {error}."))
        return block

    def eof(self) -> bytes:
        """A stream that breaks off before its end ends with a typed exception; half a frame is left out."""
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

    @abstractmethod
    def _look(self, block: bytes) -> bool:
        """Counts a run of whole frames; whether one of them may matter."""

    @abstractmethod
    def _note(self, frame: Frame) -> None:
        """An event of such a run."""
