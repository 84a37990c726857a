"""Providers that do what a test says, over real sockets: one answer a request, in order, the last one repeated."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Writes an answer's bytes. The connection is kept, unless the answer closes it."""


class Upstream:
    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.arrived = asyncio.Event()
        """A request has come in whole."""
        self.gone = asyncio.Event()
        self.gone_at = 0.0
        """When the gateway was seen to close a connection, monotonic clock."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            first: bytes | None = b""
            while first is not None:
                first = await self._one(first, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            self._left()
        finally:
            writer.transport.abort()

    async def _one(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Answer a request that begins with `first`: the first byte of the next one, None where none comes."""
        try:
            head = first + await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            self._left()
            return None
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.asked.append(Asked(start.split(" ")[1], headers, body))
        self.arrived.set()
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        answering = asyncio.ensure_future(answer(writer))
        following = asyncio.ensure_future(reader.read(1))  # the gateway does not pipeline: before our end, it left
        try:
            await asyncio.wait((answering, following), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                answering.result()
                if writer.is_closing():
                    return None
            if next_byte := await following:
                await answering
                return next_byte
            self._left()
            return None
        finally:
            answering.cancel()
            following.cancel()

    def _left(self) -> None:
        if not self.gone.is_set():
            self.gone_at = time.monotonic()
            self.gone.set()


def whole(body: bytes | dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-type": "application/json", "content-length": str(len(content))} | (headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + content)
        await writer.drain()
        if fields.get("connection") == "close":
            writer.close()

    return answer


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def stream(*events: bytes | asyncio.Event | None, end: bool = True) -> Answer:
    """A stream of server-sent events; it waits where an `asyncio.Event` stands, and for ever at None. `end` False: cut
    at the end."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for event in events:
            if isinstance(event, asyncio.Event):
                await writer.drain()
                await event.wait()
            elif event is None:
                await silence(writer)
            else:
                writer.write(chunk(event))
        if end:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if not end:
            writer.close()

    return answer


async def silence(writer: asyncio.StreamWriter) -> None:
    """Nothing more, ever."""
    await writer.drain()
    await asyncio.Event().wait()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """The connection closed instead of an answer."""
    writer.close()
