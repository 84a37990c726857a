"""A client's WebSocket: each of its messages is a call that passes every stage, as if it had come over HTTP.

The connection remembers its own answers, for its next messages alone, also where nothing shall be stored. Time is kept
by the sweeper of all connections (see `protocol`): pings in silence, an end to what is idle or old, and an end when the
gateway stops. Nothing is read ahead without bound: what waits is counted, and what is too much is refused in words.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.core.errors import BadRequest, ClientGone, Overloaded
from trunkline.edge.limits import LARGE
from trunkline.edge.websocket_frames import (
    CLOSE,
    GOING_AWAY,
    MISTAKE,
    PING,
    POLICY,
    PONG,
    TEXT,
    Broken,
    Frames,
    accepted,
    close_frame,
    frame,
)
from trunkline.edge.websocket_memory import Own
from trunkline.edge.websocket_turn import Asked, Turn, error_event, headers, read

log = logging.getLogger("trunkline.server")

MAX_WAITING = 16
"""Messages of one connection that may be unanswered at once."""
CLOSING_TIME = 2.0
"""Seconds that a client gets to answer a close."""

Ask = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application, for one call."""

_GONE = ClientGone("The client closed the connection before the answer was complete.")
_OLD = Overloaded(
    "This connection has been open for server.websocket_lifetime: open a new one.",
    code="websocket_connection_limit_reached",
)
_MANY = Overloaded(
    f"{MAX_WAITING} messages, or server.max_body_size bytes of them, wait for their answers on this connection.",
    code="too_many_messages",
)


def handshake(scope: Any) -> bytes:
    """The answer that makes a request's connection a WebSocket (RFC 6455, section 4.2.2). Raises BadRequest."""
    fields = dict(scope["headers"])
    answer = accepted(fields.get(b"sec-websocket-key", b""))
    if fields.get(b"sec-websocket-version") != b"13" or answer is None:
        raise BadRequest(
            "A WebSocket needs `sec-websocket-version: 13` and a `sec-websocket-key` of 16 bytes in base64.",
            code="invalid_websocket",
        )
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: " + answer + b"\r\n\r\n"
    )


class ClientSocket(asyncio.Protocol):
    """A connection after its handshake. `protocol`: the HTTP connection that it was; `ask` answers one call;
    `draining`: whether the gateway stops."""

    def __init__(self, protocol: Any, scope: Any, ask: Ask, draining: Callable[[], bool]) -> None:
        self.transport: asyncio.Transport = protocol.transport
        self._bounds = protocol.bounds
        self._connections: set[Any] = protocol.connections
        self._tasks_of_all: set[asyncio.Task[None]] = protocol.tasks
        self._loop: asyncio.AbstractEventLoop = protocol.loop
        self._ask = ask
        self._draining = draining
        self._own = Own(protocol.memory)
        self._scope = scope | {"method": "POST", "headers": headers(scope["headers"]), "memory": self._own}
        del self._scope["websocket"]  # it refers to the HTTP connection that this was
        self._frames = Frames(self._bounds.max_body_size)
        self._lanes: dict[str | None, asyncio.Task[None]] = {}
        """The last message of each lane, where it is unanswered."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Lock()
        """Messages are read in the order in which they came."""
        self._waiting = 0
        """Bytes of the messages that are unanswered."""
        self._writable: asyncio.Future[None] | None = None
        """Set while the client does not read fast enough."""
        self._born = self._spoken = self._idle = time.monotonic()
        """When it began, when we spoke last, and since when there is nothing to answer."""
        self._closed_at: float | None = None
        self._left = False
        self._deaf = False
        """The client has broken the rules: what else it sends cannot be told apart."""

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            for kind, payload in self._frames.feed(data):
                self._take(kind, payload)
        except Broken as broken:
            self._deaf = True
            self._close(broken.code, broken.reason)
            if self.transport.can_write_eof():
                self.transport.write_eof()  # closed when the client has closed, so that it gets to read why

    def _take(self, kind: int, payload: bytes) -> None:
        if self.transport.is_closing():
            return
        if kind == CLOSE:
            if self._closed_at is None:
                self.transport.write(frame(CLOSE, payload[:2]))
                self._closed_at = time.monotonic()  # from when on what it does not read is waited for
            self.transport.close()
            self._leave()
        elif self._closed_at is not None:
            return  # nothing is answered behind a close
        elif kind == PING:
            if self._writable is None:
                self.transport.write(frame(PONG, payload))
        elif kind == TEXT:
            self._message(payload)

    def _message(self, message: bytes) -> None:
        size = len(message)
        if self._tasks and (len(self._tasks) >= MAX_WAITING or self._waiting + size > self._bounds.max_body_size):
            if self._writable is None:
                self._say(error_event(_MANY))
            else:
                self._close(POLICY, "messages without end, and answers are not read")
            return
        self._waiting += size
        task = self._loop.create_task(self._answer(message))
        self._tasks.add(task)
        self._tasks_of_all.add(task)
        task.add_done_callback(lambda task: self._answered(task, size))

    def eof_received(self) -> None:
        """The client is gone: half a connection is of no use."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._own.clear()
        self._leave()
        self.resume_writing()

    def _leave(self) -> None:
        """End what is in work, once: an answer to that may take another moment."""
        if not self._left:
            self._left = True
            for task in self._tasks:
                task.cancel(_GONE)

    # ── A message ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _answer(self, message: bytes) -> None:
        task = asyncio.current_task()
        assert task is not None
        async with self._reading:
            asked = await asyncio.to_thread(read, message) if len(message) > LARGE else read(message)
            before = None if asked.at_once else self._lanes.get(asked.lane)
            if not asked.at_once:
                self._lanes[asked.lane] = task
        try:
            if before is not None:
                await asyncio.wait([before])
            if self._closed_at is None and not self.transport.is_closing():
                await self._play(asked)
        finally:
            if self._lanes.get(asked.lane) is task:
                del self._lanes[asked.lane]

    async def _play(self, asked: Asked) -> None:
        if asked.told:
            await self._write(asked.told)
            return
        turn = Turn(asked, self._write)
        await self._ask(self._scope, turn.receive, turn.send)
        if not turn.complete:
            self._close(MISTAKE, "the answer broke off")

    def _answered(self, task: asyncio.Task[None], size: int) -> None:
        self._tasks.discard(task)
        self._tasks_of_all.discard(task)
        self._waiting -= size
        if not task.cancelled() and (mistake := task.exception()) is not None:
            log.error("a mistake of the gateway's own", exc_info=mistake)
            self._close(MISTAKE, "the gateway made a mistake")
        self._idle = time.monotonic()
        if self._draining() and not self._tasks:
            self._close(GOING_AWAY, "the gateway stops")

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _write(self, event: bytes) -> None:
        """One message, once the client has taken most of those before it."""
        while self._writable is not None:
            await asyncio.shield(self._writable)
        self._say(event)

    def _say(self, event: bytes) -> None:
        if self._closed_at is None and not self.transport.is_closing():
            self._spoken = time.monotonic()
            self.transport.write(frame(TEXT, event))

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    # ── Time, and the end ──────────────────────────────────────────────────────────────────────────────────────────

    def _cut_if_late(self, now: float) -> None:
        """What the sweeper of all connections asks for."""
        if self._closed_at is not None:
            if now - self._closed_at > CLOSING_TIME:
                self.transport.abort()
        elif not self._tasks and self._draining():
            self._close(GOING_AWAY, "the gateway stops")
        elif not self._tasks and now - self._born > self._bounds.websocket_lifetime:
            self._say(error_event(_OLD))
            self._close(GOING_AWAY, "the connection is old")
        elif not self._tasks and now - self._idle > self._bounds.websocket_idle:
            self._close(GOING_AWAY, "the connection is idle")
        elif now - self._spoken > self._bounds.ping_interval and self._writable is None:
            self._spoken = now
            self.transport.write(frame(PING, b""))

    def shutdown(self) -> None:
        """What uvicorn asks of every connection once the drain is over. Calls that are cut then say so first."""
        if not self._tasks:
            self._close(GOING_AWAY, "the gateway stops")

    def _close(self, code: int, reason: str) -> None:
        """Say why, and give the client time to agree. What is unanswered is given up."""
        if self._closed_at is None and not self.transport.is_closing():
            self._closed_at = time.monotonic()
            self.transport.write(close_frame(code, reason))
            self._leave()
