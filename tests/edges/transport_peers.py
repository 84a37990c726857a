"""Scripted upstreams for the transport tests: raw sockets that say exactly what a test wants them to say, and when.

A script is a list of steps, one script a connection, in the order of connecting. What a peer says is also read by h11,
a second opinion on what a client should have understood.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import h11

from trunkline.edge.transport.base import Origin

Step = Callable[["Line"], Awaitable[None]]
Script = list[Step]


@dataclass
class Seen:
    """A request as h11 understood it."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass
class Line:
    """One accepted connection."""

    peer: Peer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    parser: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER))
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """The client has closed its side, or we ours."""
    sent: int = 0

    async def write(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            raise ConnectionResetError("the client went")
        self.writer.write(data)
        await self.writer.drain()


class Peer:
    """A server on an ephemeral port. `requests` and `lines` grow as clients come."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.requests: list[Seen] = []
        self.lines: list[Line] = []
        self._scripts = list(scripts)
        self._tls = tls
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self.errors: list[BaseException] = []

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.origin = Origin("https" if self._tls else "http", self._host, self.port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for line in self.lines:
            line.writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.errors:
            raise self.errors[0]

    async def stop_listening(self) -> None:
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        line = Line(self, reader, writer)
        self.lines.append(line)
        script = self._scripts[min(len(self.lines), len(self._scripts)) - 1]
        try:
            for step in script:
                await step(line)
            while await reader.read(65_536):
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            line.gone.set()
            writer.transport.abort()


async def expect(line: Line) -> None:
    """Read one whole request."""
    parser = line.parser
    if parser.our_state is h11.MUST_CLOSE or parser.their_state is h11.DONE:
        line.parser = parser = h11.Connection(h11.SERVER)
    head: h11.Request | None = None
    body = b""
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            data = await line.reader.read(65_536)
            if not data:
                raise ConnectionResetError("the client went before its request was whole")
            parser.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            raise ConnectionResetError("the client went")
    assert head is not None
    line.peer.requests.append(Seen(head.method, head.target, list(head.headers), body))


async def expect_head(line: Line) -> None:
    """Read the request's head, and leave its body unread."""
    await line.reader.readuntil(b"\r\n\r\n")


def send(data: bytes) -> Step:
    async def step(line: Line) -> None:
        await line.write(data)

    return step


def pieces(data: bytes, size: int = 1) -> Step:
    """Send in pieces, giving the client a turn of the loop after each."""

    async def step(line: Line) -> None:
        for start in range(0, len(data), size):
            await line.write(data[start : start + size])
            for _ in range(3):
                await asyncio.sleep(0)

    return step


def flood(total: int) -> Step:
    """Offer many bytes; `line.sent` counts what the socket took."""

    async def step(line: Line) -> None:
        chunk = b"x" * 65_536
        while line.sent < total:
            await line.write(chunk)
            line.sent += len(chunk)

    return step


def wait(event: asyncio.Event) -> Step:
    async def step(line: Line) -> None:
        await event.wait()

    return step


async def close(line: Line) -> None:
    """Close in good order."""
    line.writer.close()
    line.gone.set()


async def reset(line: Line) -> None:
    """Close with a TCP reset."""
    sock = line.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.writer.transport.abort()
    line.gone.set()


@dataclass
class Opinion:
    """A response as h11 understood it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def h11_opinion(data: bytes, *, method: bytes = b"POST", closed: bool = False) -> Opinion:
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    parser.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"h"), (b"content-length", b"0")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    if closed:
        parser.receive_data(b"")
    status, headers, body = 0, [], b""
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Response):
            status, headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return Opinion(status, headers, body)
        elif not isinstance(event, h11.InformationalResponse):
            raise AssertionError(f"h11 finds the response incomplete: {event}")
