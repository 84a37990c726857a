"""The translated path: upstream bytes to events to the client's bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from msgspec import structs

from trunkline.core.errors import GatewayError
from trunkline.core.events import ArgumentsDelta, Event, Failed, ReasoningDelta, TextDelta
from trunkline.core.usage import Usage
from trunkline.dialects.base import Reader, Writer
from trunkline.dialects.plain import Plain as PlainAnswer
from trunkline.policy.estimate import BYTES_PER_TOKEN

_WORDS: dict[type, Callable[[Any], str]] = {
    TextDelta: attrgetter("text"),
    ReasoningDelta: attrgetter("text"),
    ArgumentsDelta: attrgetter("json"),
}
"""The events that bring the model's words, and where they hold them."""


class Translation:
    """A Flow over a reader and a writer."""

    __slots__ = ("_characters", "_reader", "_usage", "_writer", "complete", "error")

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._characters = 0
        self._usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None

    @property
    def usage(self) -> Usage | None:
        """Asked for at the end. Where the client has gone before it, the reader is asked for what it knows."""
        if not self.complete and self._usage is None:
            self._usage = next((event for event in self._reader.eof() if isinstance(event, Usage)), None)
        if self._usage is not None and self._usage.estimated:
            return structs.replace(self._usage, output=max(self._usage.output, self.produced))
        return self._usage

    @property
    def produced(self) -> int:
        return -(-self._characters // BYTES_PER_TOKEN)

    @property
    def lost(self) -> list[str]:
        """What the answer held that the client's dialect cannot say."""
        return self._writer.lost

    def feed(self, data: bytes) -> bytes:
        return self._write(self._reader.feed(data))

    def eof(self) -> bytes:
        """Says the end once: of an answer that came whole the server hears that it is over again."""
        if self.complete:
            return b""
        head = self._write(self._reader.eof())
        if self.error is not None:
            return head
        self.complete = True
        return head + self._writer.eof()

    def fail(self, error: GatewayError) -> bytes:
        """What breaks off behind the end of the answer takes nothing from it."""
        rest = list(self._reader.eof())
        whole = not any(isinstance(event, Failed) for event in rest)
        out = self._write(event for event in rest if not isinstance(event, Failed))
        if whole:
            self.complete = True
            return out + self._writer.eof()
        self.error = error
        return out + self._writer.feed(Failed(error))

    def _write(self, events: Iterable[Event]) -> bytes:
        if self.error is not None:
            return b""
        out = b""
        write = self._writer.feed
        look = self._look
        for event in events:
            look(event)
            out += write(event)
        return out

    def _look(self, event: Event) -> None:
        if (words := _WORDS.get(type(event))) is not None:
            self._characters += len(words(event))
        elif type(event) is Usage:
            self._usage = event
        elif type(event) is Failed:
            self.error = event.error


class Told:
    """The Flow of a whole answer that was translated in one step (`dialects.plain`): it is over."""

    __slots__ = ("complete", "error", "produced", "usage")

    def __init__(self, answer: PlainAnswer) -> None:
        self.usage = answer.usage
        self.complete = True
        self.error: GatewayError | None = None
        self.produced = -(-len(answer.text) // BYTES_PER_TOKEN)

    def feed(self, data: bytes) -> bytes:
        return b""

    def eof(self) -> bytes:
        return b""

    def fail(self, error: GatewayError) -> bytes:
        return b""


class Plain:
    """A Flow for a small answer that is neither stream nor message: it passes as it is."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0

    def feed(self, data: bytes) -> bytes:
        self.complete = True
        return data

    def eof(self) -> bytes:
        return b""

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return b""
