"""Server-sent events (WHATWG HTML, section 9.2), bytes to data and back.

The splitter cuts at blank lines and keeps what is left, so the borders of network chunks are invisible. It takes the
two line endings that servers send: LF, and CRLF (Google). A lone CR, which the standard allows too, nobody sends.
"""

from __future__ import annotations

import msgspec

_decode = msgspec.json.Decoder().decode

MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event. More than that without a blank line is not an event stream."""


NOT_JSON = "The upstream sent an event that is not JSON."


class EventTooLarge(ValueError):
    """No event border within `MAX_EVENT` bytes."""


class Splitter:
    """Pieces of a stream in, runs of whole events out. An event in many pieces is put together once, at its border:
    only what is new is searched."""

    __slots__ = ("_end", "_held", "_size")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        """What has come since the last border, in pieces."""
        self._size = 0
        self._end = b""
        """Its last bytes: a border may lie across two pieces."""

    def feed(self, data: bytes) -> bytes:
        """Everything up to the last event border seen so far. Raises EventTooLarge."""
        if not self._held and data.endswith(_BORDERS):
            return data
        seen = self._end + data if self._held else data
        cut = _border(seen) - (len(seen) - len(data))
        out = b""
        if cut > -len(self._end):
            out = b"".join([*self._held, data])
            cut += self._size
            data, out = out[cut:], out[:cut]
            self._held, self._size, seen = [], 0, data
        if data:
            self._held.append(data)
            self._size += len(data)
        self._end = seen[-_OVERLAP:]
        if self._size > MAX_EVENT:
            raise EventTooLarge
        return out

    def eof(self) -> bytes:
        """What is left when the stream ends: a last event without its blank line, or half of one."""
        tail = b"".join(self._held)
        self._held, self._size, self._end = [], 0, b""
        return tail


_BORDERS = (b"\n\n", b"\r\n\r\n")
_OVERLAP = len(b"\r\n\r\n") - 1


def _border(data: bytes) -> int:
    """Where the last event ends, 0 where none does."""
    lf, crlf = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    return max(lf + 2 if lf >= 0 else 0, crlf + 4 if crlf >= 0 else 0)


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


def unbroken(block: bytes) -> bytes:
    """The events ahead of the first one that is not JSON: nearly always the very block, which is seen without reading
    it."""
    if block.endswith(b"}\n\n") and block.find(b"\n\n") == len(block) - 2:
        return block  # one event, as nearly always
    if block.count(b"}\n\n") + block.count(b"}\r\n\r\n") >= block.count(b"data:"):
        return block
    for _, payload in events(block):
        try:
            if payload and payload != b"[DONE]":
                _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return block[: _border(block[: block.find(payload)])]
        except RecursionError:
            continue
    return block


def data(payload: bytes) -> bytes:
    """An unnamed event, as OpenAI sends them."""
    return b"data: " + payload + b"\n\n"


def event(name: bytes, payload: bytes) -> bytes:
    """A named event, as Anthropic sends them."""
    return b"event: " + name + b"\ndata: " + payload + b"\n\n"
