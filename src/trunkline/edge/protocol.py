"""uvicorn's HTTP protocol with the bounds that it lacks, and an end to work that nobody waits for.

uvicorn bounds neither how long a client may take for its request nor how large the head may be: a slow client that
dribbles bytes holds a connection for ever (Slowloris). Here every connection says when its present wait began, and one
timer for all of them closes the overdue. A client that goes away cancels the task that works for it.

What uvicorn does anew for every request (a cycle, a timer, a URL parser) is done more cheaply here: see `exchange`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trunkline.core.errors import BadRequest, ClientGone, GatewayError, HeadTooLarge, Overloaded, RequestTimeout
from trunkline.edge.exchange import Exchange
from trunkline.edge.refusal import last_word
from trunkline.edge.settings import ServerSettings
from trunkline.edge.websocket import Ask, ClientSocket, handshake
from trunkline.edge.websocket_memory import Room

SWEEP = 0.5
"""Seconds between looks at the connections: how late a time-out may strike."""
MAX_UNWANTED = 1024 * 1024
"""Bytes of a request body that are still taken, and thrown away, once the request is refused: closing at once could
destroy the answer on its way."""

_HEAD_TOO_LARGE = HeadTooLarge("The request's head is too large.")
_TOO_SLOW = RequestTimeout("The request did not arrive in time.")
_TOO_MANY = Overloaded("Too many connections.", retry_after=1.0, code="too_many_connections")
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_NOT_HTTP = BadRequest("This is not a valid HTTP/1.1 request.", code="invalid_http")


def protocol_class(settings: ServerSettings) -> type[HttpToolsProtocol]:
    """The protocol with these bounds, for uvicorn's `http` option, which takes a class."""
    return type("BoundedProtocol", (_Bounded,), {"bounds": settings, "memory": Room(settings.websocket_memory)})


class _Bounded(HttpToolsProtocol):
    bounds: ServerSettings
    memory: Room
    """For all WebSockets of the class."""
    sweeper: asyncio.TimerHandle | None = None
    """One for all connections of the class."""
    cycle: Exchange  # type: ignore[assignment]
    """The request under way, or the last one; None before the first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.headers = []
        self._longest = self.bounds.max_header_size
        self._head = 0
        """Bytes of the present head so far; -1 while a body arrives."""
        self._tail = b""
        """The head's last bytes, in which its end may have begun."""
        self._waiting_since: float | None = time.monotonic()
        """Since when the client is expected to say something; None while it waits for us."""
        self._unwanted = 0
        """Bytes of a body that came after its answer."""
        self._turns: deque[Exchange] = deque()
        """Pipelined requests that wait for the one before them to be answered."""
        self._running: Exchange | None = None
        """The one being answered, or answered last."""
        self._task: asyncio.Task[None] | None = None
        self._why: GatewayError = ClientGone("The client closed the connection before the answer was complete.")
        if len(self.connections) > self.bounds.max_connections:
            self._end(_TOO_MANY)
        cls = type(self)
        if cls.sweeper is None:
            cls.sweeper = self.loop.call_later(SWEEP, cls._sweep, self.connections, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        if self._running is not None:
            self._running.disconnect()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        del self.parser  # the two refer to each other
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
        if self._head == 0:  # idle between requests, or a client that says nothing
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

    def _end(self, error: GatewayError) -> None:
        """Close, with a last word where it cannot be taken for a part of an answer that has begun."""
        if not self._busy() or not (self.cycle.response_started or self._turns):
            self.transport.write(last_word(error, self.headers))
        self.transport.close()

    # ── Size ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._head >= 0:
            if self._head == 0:
                self._waiting_since = time.monotonic()
            self._head += len(data)
            if self._head > self._longest and not self._has_head(data):
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
        HttpToolsProtocol.data_received(self, data)

    def _has_head(self, data: bytes) -> bool:
        """Whether this piece ends the head within the bound: the rest of it is body."""
        end = (self._tail + data).find(b"\r\n\r\n") - len(self._tail)
        return end >= -len(self._tail) and self._head - len(data) + end <= self._longest

    # ── Parser and answer ──────────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self._head = -1
        self._tail = b""
        self._unwanted = 0
        version = self.parser.get_http_version()
        keep_alive = version != "1.0" and self.parser.should_keep_alive()
        scope = self._scope(version)
        waiting = self._busy()
        if not waiting and self.parser.should_upgrade() and self._get_upgrade() == b"websocket":
            scope["websocket"] = self._switch
        exchange = Exchange(scope, self, self.flow, keep_alive, self.expect_100_continue)
        self.cycle = exchange
        if not waiting:
            self._answer(exchange)
        else:  # pipelined: its turn comes when the one before it is answered
            self.flow.pause_reading()
            self._turns.append(exchange)

    def _scope(self, version: str) -> dict[str, Any]:
        """What ASGI says of a request (specification 2.3)."""
        url = self.url
        if url.startswith(b"/"):
            raw_path, _, query = url.partition(b"?")
        else:  # absolute form, as proxies are asked
            parsed = httptools.parse_url(url)
            raw_path, query = parsed.path or b"/", parsed.query or b""
        path = raw_path.decode("latin-1")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": self.parser.get_method().decode("latin-1"),
            "scheme": self.scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
        }

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self.cycle.feed(body)

    def on_message_complete(self) -> None:
        self._head = 0
        self._waiting_since = None if self._busy() else time.monotonic()
        if not self.cycle.response_complete:
            self.cycle.end()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._turns:
            self._answer(self._turns.popleft())
        elif self._head <= 0:
            self._waiting_since = time.monotonic()

    def _switch(self, ask: Ask, draining: Callable[[], bool]) -> None:
        """From here on the connection is a WebSocket, whose messages `ask` is called with. Raises BadRequest."""
        answer = handshake(self.cycle.scope)
        self.cycle.response_complete = True
        socket = ClientSocket(self, self.cycle.scope, ask, draining)
        self.connections.discard(self)
        self.connections.add(socket)  # type: ignore[arg-type]
        del self.parser  # the two refer to each other
        self.transport.write(answer)
        self.transport.set_protocol(socket)
        self.flow.resume_reading()

    def _unsupported_upgrade_warning(self) -> None:
        """A request for another protocol is answered as if it had not asked (RFC 9110, section 7.8): that is nothing
        for the log."""

    def send_400_response(self, msg: str) -> None:
        self._end(_NOT_HTTP)

    def _answer(self, exchange: Exchange) -> None:
        self._running = exchange
        # The loop's own `create_task` makes up a name, which takes a third of it.
        self._task = exchange.task = task = asyncio.Task(exchange.run(self.app), loop=self.loop, name="request")
        self.tasks.add(task)
