"""The translated path of an answer that may go on from another upstream: one writer, and readers one after the other.

The client's stream is the gateway's own from its first byte, also where client and upstream speak one dialect: ids,
numbers and the end are told once, whoever speaks at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trunkline.core.errors import GatewayError
from trunkline.core.events import Event, Failed, PartStarted
from trunkline.core.usage import Usage
from trunkline.dialects.base import Reader, Writer
from trunkline.edge.flows import Translation
from trunkline.policy.continuation import Recovery, Said
from trunkline.policy.splice import Splice


def led(recovery: Recovery, reader: Reader, writer: Callable[[], Writer]) -> Resumable:
    """The flow of an attempt's answer: of its own, or that of the answer which it goes on with."""
    flow = recovery.flow
    if isinstance(flow, Resumable):
        flow.resume(reader, recovery.words, recovery.spent)
    else:
        recovery.flow = flow = Resumable(reader, writer())
    return flow


class Resumable(Translation):
    """A `policy.continuation.Resumable`. A part is begun towards the client only once something of it has come, so
    that one which broke off before leaves no trace."""

    __slots__ = ("_begun", "_counted", "_splice", "said")

    def __init__(self, reader: Reader, writer: Writer) -> None:
        super().__init__(reader, writer)
        self.said = Said()
        self._splice: Splice | None = None
        self._begun: PartStarted | None = None
        self._counted: Usage | None = None
        """To be told at the end: what broke off has not reached it."""

    def resume(self, reader: Reader, words: str, spent: Usage | None) -> None:
        """Another upstream answers from here on. `words` and `spent`: see `policy.continuation.Recovery`."""
        self._reader = reader
        self._splice = Splice(self.said, words, spent)
        self._begun = self._counted = self._usage = self.error = None
        self._characters = 0

    def eof(self) -> bytes:
        if self.complete:
            return b""
        out = self._write(self._reader.eof())
        if self.error is not None:
            return out
        out += self._sent(self._counted)
        self.complete = True
        return out + self._writer.eof()

    def fail(self, error: GatewayError) -> bytes:
        """Nobody goes on with it: the client is told."""
        self.error = error
        return self._writer.feed(Failed(error))

    def _write(self, events: Iterable[Event]) -> bytes:
        out = b""
        for event in events:
            if self.error is not None:
                break
            self._look(event)
            if self._begun is not None and type(event) is not Failed:
                begun, self._begun = self._begun, None
                out += self._sent(begun)
            for each in (event,) if self._splice is None else self._splice.follow(event):
                out += self._led(each)
        return out

    def _led(self, event: Event) -> bytes:
        """What is not to be sent at once is kept: the beginning of a part, what was counted, an error."""
        match event:
            case Failed():
                return b""
            case PartStarted():
                self._begun = event
                return b""
            case Usage():
                self._counted = event
                return b""
        return self._sent(event)

    def _sent(self, event: Event | None) -> bytes:
        if event is None:
            return b""
        self.said.note(event)
        return self._writer.feed(event)
