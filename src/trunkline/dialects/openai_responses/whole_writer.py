"""Events written as a whole answer: the object that a stream would end with."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.errors import UpstreamBroken
from trunkline.core.events import Event, Failed, Started
from trunkline.dialects.base import Envelope
from trunkline.dialects.openai_responses.answer_writer import StreamWriter

Json = dict[str, Any]
_encode = msgspec.json.Encoder().encode


class _Unheard(StreamWriter):
    """A stream whose events nobody reads: only what it ends with is made."""

    def _event(self, kind: str, **fields: Any) -> bytes:
        return b""

    def _start(self, event: Started) -> bytes:
        if not self._started:
            self._started = True
            self._output.start(event)
        return b""

    def _deltas(self, kind: str, place: Json, end: bytes = b"") -> None:
        pass

    def _more(self, text: str) -> bytes:
        self._texts.append(text)
        return b""


class WholeWriter:
    """As `dialects.base.Writer`."""

    def __init__(self, envelope: Envelope) -> None:
        self._stream = _Unheard(envelope)
        self.lost = self._stream.lost

    def feed(self, event: Event) -> bytes:
        """Nothing yet: a whole answer comes out of `eof`. Raises the error of a `Failed`: nothing has been sent."""
        if isinstance(event, Failed):
            raise event.error
        self._stream.feed(event)
        return b""

    def eof(self) -> bytes:
        """Raises UpstreamBroken where the answer has no end."""
        self._stream.eof()
        if self._stream.response is None:
            raise UpstreamBroken("The upstream's answer ended before it was complete.")
        return _encode(self._stream.response)
