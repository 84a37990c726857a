"""Where streams come from: a server that writes one event at a time, each in a write of its own, at a steady pace.

    python -m bench.source PORT INTERVAL [PORT INTERVAL ...]

A request's `max_tokens` says how many chunks its answer has; the path says in which dialect. All streams of a port
share one wheel of time slots, one turn an interval, so that a thousand streams cost one timer and their chunks spread
evenly instead of falling together. A late slot delays those behind it rather than sending two chunks of one stream at
once: what arrives together would be read together, and a chunk would look cheaper than it is.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import cast

import uvloop

from bench.families import FAMILIES, script

SLOT = 0.001
"""Seconds between two slots of the wheel."""
MAX_BUFFERED = 1_000_000
"""Bytes that a reader may lag behind before it is cut off."""
SCRIPTS: dict[bytes, Callable[[int], list[bytes]]] = {
    family.at(family.model, True).encode(): script(name) for name, family in FAMILIES.items()
}
_LIMIT = re.compile(rb'"max_?(?:completion_|output_|Output)?[tT]okens":\s*(\d+)')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_HEADS = {
    family.at(family.model, True).encode(): b"HTTP/1.1 200 OK\r\ncontent-type: "
    + family.dialect.stream_type("")
    + b"\r\ntransfer-encoding: chunked\r\n\r\n"
    for family in FAMILIES.values()
}
_END = b"0\r\n\r\n"


@lru_cache(maxsize=64)
def framed(path: bytes, chunks: int) -> tuple[bytes, ...]:
    """The writes of an answer: events as HTTP chunks; the body's end travels with the last one."""
    events = [b"%x\r\n%b\r\n" % (len(event), event) for event in SCRIPTS[path](chunks)]
    events[-1] += _END
    return tuple(events)


class Wheel:
    """Writes the next event of every stream once an interval."""

    def __init__(self, interval: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots: list[dict[Client, Iterator[bytes]]] = [{} for _ in range(max(1, round(interval / SLOT)))]
        self._entry = self._turn = 0
        self._next = self._loop.time()
        self._tick()

    def add(self, client: Client, events: Iterator[bytes]) -> None:
        self._entry = (self._entry + 1) % len(self._slots)
        self._slots[self._entry][client] = events

    def _tick(self) -> None:
        self._turn = (self._turn + 1) % len(self._slots)
        slot = self._slots[self._turn]
        ended = [client for client, events in slot.items() if not client.write(next(events, None))]
        for client in ended:
            del slot[client]
        self._next = max(self._next + SLOT, self._loop.time())
        self._loop.call_at(self._next, self._tick)


class Client(asyncio.Protocol):
    """One connection: a request in, a stream out, then the next request."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._transport: asyncio.Transport
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, gap, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not gap or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        limit = _LIMIT.search(body)
        path = head.split(b" ", 2)[1]
        if limit is None or path not in SCRIPTS:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            return
        self._transport.write(_HEADS[path])
        self._wheel.add(self, iter(framed(path, int(limit[1]))))

    def write(self, data: bytes | None) -> bool:
        """Whether the stream goes on."""
        if data is None or self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size() > MAX_BUFFERED:
            self._transport.abort()
            return False
        self._transport.write(data)
        return True


async def serve(wheels: list[tuple[int, float]]) -> None:
    """Listen until stopped by a signal."""
    loop = asyncio.get_running_loop()
    for port, interval in wheels:
        wheel = Wheel(interval)
        await loop.create_server(lambda wheel=wheel: Client(wheel), "127.0.0.1", port, backlog=2048)  # type: ignore[misc]
    await asyncio.Event().wait()


if __name__ == "__main__":
    pairs = list(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    uvloop.run(serve([(int(port), float(interval)) for port, interval in pairs]))
