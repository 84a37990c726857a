"""How every answer reader takes bytes: a stream by whole events, whatever its pieces; a whole answer at its end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from trunkline.core.errors import UpstreamError, UpstreamProtocol
from trunkline.core.events import Event
from trunkline.dialects.sse import EventTooLarge, Splitter


class PieceReader(ABC):
    """`_splitter` cuts a stream; None where the answer is whole, which gathers in `_body`. `_ended`: all is said."""

    def __init__(self, stream: bool) -> None:
        self._splitter = Splitter() if stream else None
        self._body = bytearray()
        self._ended = False

    def feed(self, data: bytes) -> Iterable[Event]:
        if self._splitter is None:
            self._body += data
            return ()
        try:
            block = self._splitter.feed(data)
        except EventTooLarge:
            return self._fail(UpstreamProtocol("The upstream sent an event without end."))
        return self._events(block) if block else ()

    @abstractmethod
    def _events(self, block: bytes, torn: bool = False) -> list[Event]:
        """A run of whole events. `torn`: the stream ended inside this block, so that it may be half an event."""

    @abstractmethod
    def _fail(self, error: UpstreamError) -> list[Event]:
        """The end, if it has not come yet."""
