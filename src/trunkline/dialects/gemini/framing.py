"""The two ways in which Google sends a stream: server-sent events, and one JSON array.

Which one it is the first byte tells. Either is cut at the borders of its events, so that pieces of any size come to the
same; an event of the array is one of its elements, with the comma before it.
"""

from __future__ import annotations

import re

import msgspec

from trunkline.dialects.sse import MAX_EVENT, EventTooLarge, Splitter, events

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'"|\\.', re.DOTALL)
_SPACE = b" \t\r\n"
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


class ArraySplitter:
    """Pieces of an array in, runs of whole elements out. `closed`: its last bracket has come."""

    __slots__ = ("_at", "_depth", "_held", "_quoted", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._held = bytearray()
        self._at = 0
        """Up to here it has been looked at."""
        self._depth = 0
        self._quoted = False

    def feed(self, data: bytes) -> bytes:
        """Everything up to the end of the last whole element. Raises EventTooLarge."""
        self._held += data
        cut = self._scan()
        out = bytes(self._held[:cut])
        if cut:
            del self._held[:cut]
            self._at -= cut
        if len(self._held) > MAX_EVENT:
            raise EventTooLarge
        return out

    def eof(self) -> bytes:
        tail = bytes(self._held)
        self._held.clear()
        self._at = 0
        return tail

    def _scan(self) -> int:
        """Where the last whole element ends, 0 where none does."""
        held, cut = self._held, 0
        while (found := (_INSIDE if self._quoted else _OUTSIDE).search(held, self._at)) is not None:
            self._at = found.end()
            match held[found.start()]:
                case 0x22:  # a quote
                    self._quoted = not self._quoted
                case 0x7B | 0x5B:
                    self._depth += 1
                case 0x7D | 0x5D:
                    self._depth -= 1
                    if self._depth <= 1:
                        cut = self._at
                        self.closed = self.closed or self._depth <= 0
        torn = self._quoted and held.endswith(b"\\") and self._at < len(held)
        self._at = len(held) - 1 if torn else len(held)  # half an escape is looked at again
        return cut


class Cutter:
    """Pieces of a stream in either framing. `array` is known once something has come."""

    __slots__ = ("_array", "_sse")

    def __init__(self) -> None:
        self._sse: Splitter | None = None
        self._array: ArraySplitter | None = None

    @property
    def array(self) -> bool:
        return self._array is not None

    @property
    def closed(self) -> bool:
        """Whether an array is complete; events have no end of their own."""
        return self._array is None or self._array.closed

    def feed(self, data: bytes) -> bytes:
        """Everything up to the last border. Raises EventTooLarge."""
        if self._sse is not None:
            return self._sse.feed(data)
        if self._array is None:
            begun = data.lstrip(_SPACE)
            if not begun:
                return b""  # white space before the stream says nothing
            if not begun.startswith(b"["):
                self._sse = Splitter()
                return self._sse.feed(data)
            self._array = ArraySplitter()
        return self._array.feed(data)

    def eof(self) -> bytes:
        """What is left when the stream ends."""
        if self._array is not None:
            return self._array.eof()
        return self._sse.eof() if self._sse is not None else b""

    def payloads(self, block: bytes) -> list[bytes]:
        """The JSON of each event in a run of whole events. Raises msgspec.DecodeError where an array is torn."""
        if self._array is None:
            return [payload for _, payload in events(block)]
        inner = block.strip(_SPACE + b"[],")
        return [bytes(element) for element in _elements(b"[" + inner + b"]")] if inner else []


def framed(payload: bytes, array: bool, first: bool) -> bytes:
    """An event of ours."""
    if array:
        return (b"[" if first else b",\r\n") + payload
    return b"data: " + payload + b"\r\n\r\n"
