"""uvicorn's HTTP protocol with the bounds that it lacks, and an end to work that nobody waits for.

uvicorn bounds neither how long a client may take for its request nor how large the head may be: a slow client that
dribbles bytes holds a connection for ever (Slowloris). Here every connection says when its present wait began, and one
timer for all of them closes the overdue. A client that goes away cancels the task that works for it.

uvicorn writes an answer's head by itself, and uvloop writes at once: head and body would be two system calls, and two
segments that wake the client twice. Here the head waits for the body's first bytes (see `_Joined`).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from trunkline.core.errors import ClientGone, GatewayError, RequestTimeout
from trunkline.edge.settings import ServerSettings

SWEEP = 0.5
"""Seconds between looks at the connections: how late a time-out may strike."""
MAX_UNWANTED = 1024 * 1024
"""Bytes of a request body that are still taken, and thrown away, once the request is refused: closing at once could
destroy the answer on its way."""


def _answer(status: bytes, message: bytes) -> bytes:
    body = b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":null}}' % message
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, len(body)) + body


_HEAD_TOO_LARGE = _answer(b"431 Request Header Fields Too Large", b"The request's head is too large.")
_TOO_SLOW = _answer(b"408 Request Timeout", b"The request did not arrive in time.")
_TOO_MANY = _answer(b"503 Service Unavailable", b"Too many connections.")
_CONTINUE = b"HTTP/1.1 100 "
"""How the interim answer begins that asks for a body: it comes before the head, and at once."""
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
        """Bytes of the present head so far; -1 while a body arrives."""
        self._tail = b""
        """The head's last bytes, in which its end may have begun."""
        self._waiting_since: float | None = time.monotonic()
        """Since when the client is expected to say something; None while it waits for us."""
        self._unwanted = 0
        """Bytes of a body that came after its answer."""
        self._joined: _Joined
        """What the answer under way is written to."""
        self._task: asyncio.Task[None] | None = None
        self._why: GatewayError = ClientGone("The client closed the connection before the answer was complete.")
        if len(self.connections) > self.bounds.max_connections:
            self._end(_TOO_MANY)
        cls = type(self)
        if cls.sweeper is None:
            cls.sweeper = self.loop.call_later(SWEEP, cls._sweep, self.connections, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._task is not None and not self._task.done():
            self._task.cancel(self._why)

    # ── Time ───────────────────────────────────────────────────────────────────────────────────────────────────────

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
        if self._head == 0:  # idle between requests: uvicorn's keep-alive timer, or a client that says nothing
            if waited > self.bounds.keep_alive:
                self.transport.close()
        elif self._head > 0:
            if waited > self.bounds.header_timeout and not self._busy():
                self._end(_TOO_SLOW)
        elif waited > self.bounds.body_timeout:
            self._why = RequestTimeout("The request's body did not arrive in time.")
            self._end(_TOO_SLOW)

    def _busy(self) -> bool:
        """Whether a request is being answered, or waits for its turn."""
        return self.cycle is not None and not self.cycle.response_complete

    def _end(self, answer: bytes) -> None:
        """Close, with a last word where it cannot be taken for a part of an answer that has begun."""
        if not self._busy() or not (self.cycle.response_started or self.pipeline):
            self.transport.write(answer)
        self.transport.close()

    # ── Size ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._head >= 0:
            if self._head == 0:
                self._waiting_since = time.monotonic()
            self._head += len(data)
            if self._head > self.bounds.max_header_size and not self._has_head(data):
                self._end(_HEAD_TOO_LARGE)
                return
            self._tail = data[-3:] if len(data) > 2 else (self._tail + data)[-3:]
        elif self._busy():
            self._waiting_since = time.monotonic()
        else:
            self._unwanted += len(data)
            if self._unwanted > MAX_UNWANTED:
                self.transport.close()
                return
        super().data_received(data)

    def _has_head(self, data: bytes) -> bool:
        """Whether this piece ends the head within the bound: the rest of it is body."""
        end = (self._tail + data).find(b"\r\n\r\n") - len(self._tail)
        return end >= -len(self._tail) and self._head - len(data) + end <= self.bounds.max_header_size

    # ── Parser and answer ──────────────────────────────────────────────────────────────────────────────────────────

    def on_headers_complete(self) -> None:
        self._head = -1
        self._tail = b""
        self._unwanted = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head = 0
        self._waiting_since = None if self._busy() else time.monotonic()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._joined.flush()  # the answer to a HEAD request has no body that would have taken it along
        super().on_response_complete()
        if not self._busy() and self._head <= 0:
            self._waiting_since = time.monotonic()

    def send_400_response(self, msg: str) -> None:
        self._end(_NOT_HTTP)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.transport = self._joined = _Joined(cycle.transport)  # type: ignore[assignment]
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)


class _Joined:
    """The transport as one answer sees it. Whoever has no body to send yet, and wants the head to go, writes b""."""

    __slots__ = ("_head", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        """None until it is written, empty once it has left."""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif self._head is None and not data.startswith(_CONTINUE):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()
