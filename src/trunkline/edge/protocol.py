"""uvicorn's HTTP protocol with the bounds that it lacks, and an end to work that nobody waits for.

uvicorn bounds neither how long a client may take for its request nor how large the head may be: a slow client that
dribbles bytes holds a connection for ever (Slowloris). Here every connection says when its present wait began, and one
timer for all of them closes the overdue. A client that goes away cancels the task that works for it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from trunkline.edge.settings import ServerSettings

SWEEP = 0.5
"""Seconds between looks at the connections: how late a time-out may strike."""


def _answer(status: bytes, message: bytes) -> bytes:
    body = b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":null}}' % message
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, len(body)) + body


_HEAD_TOO_LARGE = _answer(b"431 Request Header Fields Too Large", b"The request's head is too large.")
_TOO_SLOW = _answer(b"408 Request Timeout", b"The request did not arrive in time.")
_TOO_MANY = _answer(b"503 Service Unavailable", b"Too many connections.")
_NOT_HTTP = _answer(b"400 Bad Request", b"This is not a valid HTTP/1.1 request.")


def protocol_class(settings: ServerSettings) -> type[HttpToolsProtocol]:
    """The protocol with these bounds, for uvicorn's `http` option, which takes a class."""
    return type("BoundedProtocol", (_Bounded,), {"bounds": settings})


class _Bounded(HttpToolsProtocol):
    bounds: ServerSettings
    sweeper: asyncio.TimerHandle | None = None
    """One for all connections of the class."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = 0
        """Bytes of the head so far; -1 once it is complete."""
        self._waiting_since: float | None = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        if len(self.connections) > self.bounds.max_connections:
            transport.write(_TOO_MANY)
            transport.close()
        cls = type(self)
        if cls.sweeper is None:
            cls.sweeper = self.loop.call_later(SWEEP, cls._sweep, self.connections, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._task is not None and not self._task.done():
            self._task.cancel()

    @classmethod
    def _sweep(cls, connections: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        cls.sweeper = loop.call_later(SWEEP, cls._sweep, connections, loop) if connections else None
        now = time.monotonic()
        for connection in list(connections):
            connection._cut_if_late(now)

    def _cut_if_late(self, now: float) -> None:
        if self._waiting_since is None or self.transport.is_closing():
            return
        waited = now - self._waiting_since
        if self._head >= 0:
            if self._head == 0:  # idle between requests: uvicorn's keep-alive timer, or a client that says nothing
                late = waited > self.bounds.keep_alive
            else:
                late = waited > self.bounds.header_timeout
        else:
            late = waited > self.bounds.body_timeout
        if late:
            if self._head != 0 and (self.cycle is None or not self.cycle.response_started):
                self.transport.write(_TOO_SLOW)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._head >= 0:
            if self._head == 0:
                self._waiting_since = time.monotonic()
            self._head += len(data)
            if self._head > self.bounds.max_header_size and not self._has_head(data):
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()
                return
        elif self._waiting_since is not None:
            self._waiting_since = time.monotonic()
        super().data_received(data)

    def _has_head(self, data: bytes) -> bool:
        """Whether this piece ends the head within the bound: the rest of it is body."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._head - len(data) + end <= self.bounds.max_header_size

    def on_headers_complete(self) -> None:
        self._head = -1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._waiting_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._head = 0
        self._waiting_since = time.monotonic()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_NOT_HTTP)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
