"""A response on its way: what has arrived, who waits for more, and how it ended.

One reader at a time, and no task of its own: the connection appends bytes and wakes the one future that waits, at most
once for each time that the socket was read. Bytes are decompressed when they are taken, not when they come, so that
a slow reader holds compressed ones.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from trunkline.core.call import Headers
from trunkline.edge.transport.base import BrokenOff, Oversized, TransportError, TransportSettings
from trunkline.edge.transport.coding import Decoder


class Wire(Protocol):
    """The connection, as its response sees it."""

    def abort(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class LeanResponse:
    """See `base.Response`. `headers` are as the upstream sent them and still name coding and length on the wire."""

    __slots__ = (
        "_chunks", "_decoder", "_error", "_held", "_settings", "_waiter", "_whole",
        "complete", "deadline", "head_only", "headers", "loop", "received", "status", "wire",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: TransportSettings, deadline: float | None) -> None:
        self.status = 0
        """0 until the head has arrived."""
        self.headers: Headers = []
        self.deadline = deadline
        self.head_only = False
        """The request was HEAD: no body follows, whatever the header fields say."""
        self.received = 0
        """Bytes of the body that have come, as on the wire."""
        self.complete = False
        """The last byte of the body is here (not necessarily taken)."""
        self.wire: Wire | None = None
        """None once the response has ended, either way: the connection is then no longer ours."""
        self.loop = loop
        self._settings = settings
        self._chunks: list[bytes] = []
        self._held = 0
        self._whole = False
        self._decoder: Decoder | None = None
        self._error: TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None

    # What the reader does.

    async def head(self) -> None:
        """Wait until the head has arrived. Raises TransportError."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def read(self) -> bytes:
        while True:
            data = self._take()
            if data:
                return data
            if self._error is not None:
                raise self._error
            if self.complete:
                if self._decoder is not None:
                    self._decoder.finish()
                return b""
            await self._wait()

    async def body(self) -> bytes:
        if not self.complete:
            self._whole = True
            if self.wire is not None:
                self.wire.resume()
            while not self.complete:
                if self._error is not None:
                    raise self._error
                await self._wait()
        return self._take_all()

    def close(self) -> None:
        wire = self.wire
        if wire is not None:
            self.fail(BrokenOff("the response was closed before its end", sent=True))
            wire.abort()

    # What the connection does.

    def begin(self, status: int, decoder: Decoder | None) -> None:
        """The head is here."""
        self.status = status
        self._decoder = decoder

    def append(self, data: bytes) -> None:
        self._chunks.append(data)
        size = len(data)
        self._held += size
        self.received += size

    def arrived(self) -> None:
        """The socket has been read: hand on what came, or tell the connection to wait until it has been taken."""
        if self._whole:
            if self._held > self._settings.max_body_size and self.wire is not None:
                self._chunks.clear()
                self._error = self._oversized()
                self.wire.abort()
            return
        if self._held > self._settings.read_buffer and self.wire is not None:
            self.wire.pause()
        self._wake()

    def finish(self) -> None:
        """The body has arrived to its end."""
        self.complete = True
        self.wire = None
        self._wake()

    def fail(self, error: TransportError) -> None:
        """The rest will not come. What has arrived can still be read; then the error is raised."""
        if self._error is None:
            self._error = error
        self.wire = None
        self._wake()

    # Between the two.

    def _take(self) -> bytes:
        chunks = self._chunks
        if self._decoder is not None:
            data = self._decoder.decode(b"".join(chunks), self._settings.read_buffer)
        elif not chunks:
            return b""
        else:
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if self._held > self._settings.read_buffer and self.wire is not None:
            self.wire.resume()
        self._held = 0
        return data

    def _take_all(self) -> bytes:
        limit = self._settings.max_body_size
        data = b"".join(self._chunks)
        self._chunks.clear()
        if self._decoder is not None:
            data = self._decoder.decode(data, limit + 1)
        if len(data) > limit:
            raise self._oversized()
        if self._decoder is not None:
            self._decoder.finish()
        return data

    def _oversized(self) -> Oversized:
        return Oversized(f"the body is larger than max_body_size ({self._settings.max_body_size})", "max_body_size")

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self) -> None:
        waiter = self._waiter = self.loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            # Nobody will ask again: the upstream should stop working at once.
            self._waiter = None
            self.close()
            raise
