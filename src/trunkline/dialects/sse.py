"""Server-sent events (WHATWG HTML, section 9.2), bytes to data and back.

The splitter cuts at blank lines and keeps what is left, so the borders of network chunks are invisible. It takes the
two line endings that servers send: LF, and CRLF (Google). A lone CR, which the standard allows too, nobody sends.
"""

from __future__ import annotations

MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event. More than that without a blank line is not an event stream."""


class EventTooLarge(ValueError):
    """No event border within `MAX_EVENT` bytes."""


class Splitter:
    """Pieces of a stream in, runs of whole events out."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """Everything up to the last event border seen so far. Raises EventTooLarge."""
        if self._tail:
            data = self._tail + data
        elif data.endswith(b"\n\n"):
            return data
        lf, crlf = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
        cut = max(lf + 2 if lf >= 0 else 0, crlf + 4 if crlf >= 0 else 0)
        self._tail = data[cut:]
        if len(self._tail) > MAX_EVENT:
            raise EventTooLarge
        return data[:cut]

    def eof(self) -> bytes:
        """What is left when the stream ends: a last event without its blank line, or half of one."""
        tail, self._tail = self._tail, b""
        return tail


def events(block: bytes) -> list[tuple[bytes, bytes]]:
    """(event name, data) of each event in a run of whole events. Comments and `id`, `retry` fields are passed over."""
    out: list[tuple[bytes, bytes]] = []
    name, payload = b"", None
    for line in block.splitlines():
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            payload = value if payload is None else payload + b"\n" + value
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif not line:
            if payload is not None:
                out.append((name, payload))
            name, payload = b"", None
    if payload is not None:
        out.append((name, payload))
    return out


def data(payload: bytes) -> bytes:
    """An unnamed event, as OpenAI sends them."""
    return b"data: " + payload + b"\n\n"


def event(name: bytes, payload: bytes) -> bytes:
    """A named event, as Anthropic sends them."""
    return b"event: " + name + b"\ndata: " + payload + b"\n\n"
