"""The clients of streams: many connections in one loop, each counting its events and its longest wait."""

from __future__ import annotations

import asyncio
import time
from typing import Self, cast

from msgspec import Struct

from bench.families import FAMILIES, provider, question

RUN_TIME = 60.0
"""Seconds after which a round is given up."""


class Asked(Struct, frozen=True):
    """Where to ask, in the format of which family, as whom."""

    port: int
    family: str
    model: str
    secret: str = "none"
    prefix: str = ""
    """What the server has in front of the family's own path."""
    extra: tuple[str, ...] = ()
    """Header lines beside those that every client sends."""

    @property
    def headers(self) -> list[str]:
        """What an SDK sends beside the body."""
        bearer = f"authorization: Bearer {self.secret}"
        return ["content-type: application/json", bearer, "anthropic-version: 2023-06-01", *self.extra]

    @property
    def path(self) -> str:
        """Of a whole answer."""
        return self.prefix + FAMILIES[self.family].at(self.model, False)

    @property
    def mark(self) -> bytes:
        return FAMILIES[self.family].mark

    def body(self, size: int) -> bytes:
        """About `size` bytes that ask for a whole answer."""
        return question(self.family, self.model, size, 256, False)

    def post(self, chunks: int) -> bytes:
        """The whole HTTP request for a stream of so many chunks."""
        path = FAMILIES[self.family].at(self.model, True)
        return self.http(question(self.family, self.model, 1000, chunks, True), path)

    def http(self, body: bytes, path: str = "") -> bytes:
        lines = [f"POST {path or self.path} HTTP/1.1", f"host: 127.0.0.1:{self.port}", *self.headers]
        return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def asked(port: int, client: str, target: str = "", secret: str = "none", stream: bool = False) -> Asked:
    """`client`: the family spoken; `target`: the family behind the gateway, empty for a server of the client's own."""
    model = FAMILIES[target or client].model
    return Asked(port, client, f"{provider(target, stream)}/{model}" if target else model, secret)


class Reader(asyncio.Protocol):
    """One connection, one answer at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._mark = b"\n\n"
        self._done: asyncio.Future[None] | None = None
        self._last = b""
        self._at = 0.0
        self.events = self.reads = 0
        self.gap = 0.0
        """The longest wait between two reads of one answer, seconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, post: bytes, mark: bytes) -> asyncio.Future[None]:
        """Done when the answer has been read to its end. `mark`: what each event has once."""
        self._mark = mark
        self.events = self.reads = 0
        self.gap = self._at = 0.0
        self._last = b""
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(post)
        return self._done

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self._at:
            self.gap = max(self.gap, now - self._at)
        elif not data.startswith(b"HTTP/1.1 200"):
            self._fail(data[:300].decode("latin-1"))
            return
        self._at = now
        self.reads += 1
        self.events += (self._last + data).count(self._mark)
        self._last = b"" if data.endswith(self._mark) else data[1 - len(self._mark) :]
        if data.endswith(b"0\r\n\r\n") and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection closed after {self.events} events")

    def close(self) -> None:
        self._done = None
        self._transport.abort()

    def _fail(self, why: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError(why))


class Round(Struct, frozen=True):
    """What a fleet saw of one answer each."""

    events: int
    reads: int
    gaps: list[float]
    """The longest wait of each stream, seconds."""
    seconds: float
    load_cpu: float
    """CPU seconds of this process, the reading one."""


class Fleet:
    """`count` connections to one port, kept over several rounds."""

    def __init__(self, readers: list[Reader]) -> None:
        self._readers = readers

    @classmethod
    async def connect(cls, port: int, count: int) -> Self:
        loop = asyncio.get_running_loop()
        readers = []
        for _ in range(count):
            _, reader = await loop.create_connection(Reader, "127.0.0.1", port)
            readers.append(reader)
        return cls(readers)

    async def run(self, asked: Asked, chunks: int, spread: float = 0.2) -> Round:
        """One answer on every connection, the requests spread over `spread` seconds. Raises ConnectionError,
        TimeoutError."""
        post = asked.post(chunks)
        begun, cpu = time.perf_counter(), time.process_time()
        async with asyncio.timeout(RUN_TIME):
            waiting = []
            for reader in self._readers:
                waiting.append(reader.ask(post, asked.mark))
                await asyncio.sleep(spread / len(self._readers))
            await asyncio.gather(*waiting)
        return Round(
            events=sum(reader.events for reader in self._readers),
            reads=sum(reader.reads for reader in self._readers),
            gaps=[reader.gap for reader in self._readers],
            seconds=time.perf_counter() - begun,
            load_cpu=time.process_time() - cpu,
        )

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
