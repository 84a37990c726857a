"""An HTTP/1.1 client for tests that must see and decide every byte: one connection, requests and answers by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 10.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[bytes]:
        """The server-sent events of the body."""
        return [event for event in self.body.split(b"\n\n") if event]


@dataclass
class Line:
    """One connection. Every wait is bounded."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: Answer = field(default_factory=lambda: Answer(0, {}))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_head(self) -> Answer:
        """The next response's head."""
        async with asyncio.timeout(PATIENCE):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        self.head = Answer(int(first.split(" ")[1]), headers)
        return self.head

    async def read_chunk(self) -> bytes:
        """The next chunk of a chunked body, b"" at its end. Raises IncompleteReadError where the body is cut."""
        async with asyncio.timeout(PATIENCE):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def read_body(self) -> bytes:
        if "content-length" in self.head.headers:
            async with asyncio.timeout(PATIENCE):
                return await self.reader.readexactly(int(self.head.headers["content-length"]))
        pieces = []
        while chunk := await self.read_chunk():
            pieces.append(chunk)
        return b"".join(pieces)

    async def answer(self) -> Answer:
        """A whole response, head and body."""
        head = await self.read_head()
        head.body = await self.read_body()
        return head

    async def rest(self) -> bytes:
        """All that comes until the other side closes, or resets, the connection."""
        received = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while data := await self.reader.read(65_536):
                    received += data
        except ConnectionResetError:
            pass
        return received

    def abort(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def request(path: str, body: Any = None, headers: dict[str, str] | None = None, method: str = "POST") -> bytes:
    """The bytes of a request; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {"host": "gateway"} | ({"content-length": str(len(content))} if body is not None else {}) | (headers or {})
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def ask(
    port: int, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str | None = None
) -> Answer:
    """One request on a connection of its own: GET without a body, POST with one, unless `method` says otherwise."""
    async with connected(port) as line:
        await line.send(request(path, body, headers, method or ("GET" if body is None else "POST")))
        return await line.answer()
