"""What ASGI cannot say: reset this connection, and tell me the moment when the client has gone.

uvicorn's HTTP protocol, with one object per connection handed to the app through the scope's extensions. A pause on it
ends early when the client leaves, so an abandoned stream costs nothing further and its time of leaving is exact.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trunkline.sim.websocket import ResponsesSocket

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

EXTENSION = "trunkline.wire"
"""Key of the scope's extension that holds the connection's `Wire`."""


class Wire:
    """One connection as the simulator sees it."""

    def __init__(self) -> None:
        self.lost = False
        self.on_lost: Callable[[], None] | None = None
        """Called once, when the connection ends while a request of it is in work."""
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None

    def opened(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def closed(self) -> None:
        self.lost = True
        _wake(self._waiter)
        if self.on_lost is not None:
            self.on_lost()
            self.on_lost = None

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a client that has gone."""
        if self.lost:
            return
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        handle = loop.call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            handle.cancel()
            self._waiter = None

    def reset(self) -> None:
        """End the connection with a TCP RST: the linger time of zero is what makes it one."""
        if self._transport is None or self.lost:
            return
        raw: socket.socket | None = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """End the connection in an orderly way once all that was written has left."""
        if self._transport is not None:
            self._transport.close()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class WireProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a `Wire` in every request's scope."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wire = Wire()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wire.opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wire.closed()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope["extensions"] = {EXTENSION: self._wire}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)

    def _should_upgrade_to_ws(self) -> bool:
        return self.url.partition(b"?")[0].endswith(b"/responses")

    def handle_websocket_upgrade(self) -> None:
        """From now on the connection belongs to a `ResponsesSocket`, and a task answers its messages."""
        headers = [header for header in self.scope["headers"] if header[0] != b"content-length"]
        socket = ResponsesSocket(self.app, self.url, headers, {EXTENSION: self._wire})
        self.connections.discard(self)
        self.connections.add(socket)  # type: ignore[arg-type]
        self.transport.set_protocol(socket)
        socket.connection_made(self.transport)
        task = self.loop.create_task(socket.serve())
        self.tasks.add(task)

        def lost() -> None:
            self._wire.closed()
            self.connections.discard(socket)
            self.tasks.discard(task)
            task.cancel()

        socket.lost = lost
