"""One request and its answer on a client connection: ASGI's `receive` and `send`.

It stands in for uvicorn's own cycle, which costs as much as the rest of the edge: that one checks every header by two
regular expressions (ours are made here, and one look for line breaks is enough), makes an event to wait on that is
hardly ever waited on, and writes head and body apart: two system calls, and two segments that wake the client twice.
Here the head waits for the body's first bytes. Who wants it to go alone sends an empty body with `more_body`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from trunkline.core.call import Headers
from trunkline.core.errors import InternalError
from trunkline.edge.refusal import MISTAKE, last_word

log = logging.getLogger("trunkline.server")

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {
    code: f"HTTP/1.1 {code} {HTTPStatus(code).phrase if code in set(HTTPStatus) else 'Unknown'}".encode()
    for code in range(200, 600)
}
_FIELD = b": ".join
"""Of a name and its value."""
_LENGTH = b"\r\ncontent-length: "
_DISCONNECT = {"type": "http.disconnect"}


_MISTAKE = InternalError(MISTAKE)


class _Date:
    """The `date` header field (RFC 9110, section 6.6.1), made once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"date: {formatdate(second, usegmt=True)}".encode()
        return self._line


_date = _Date().line


class Exchange:
    """`protocol` is told by `on_response_complete` when the answer has gone out; `task` is what `run` runs in."""

    __slots__ = (
        "_body", "_chunked", "_ended", "_expects", "_framed", "_head", "_left", "_protocol", "_transport", "_waiter",
        "disconnected", "flow", "keep_alive", "response_complete", "response_started", "scope", "task",
    )  # fmt: skip

    def __init__(self, scope: Any, protocol: Any, flow: FlowControl, keep_alive: bool, expects: bool) -> None:
        self.scope = scope
        self.flow = flow
        self.keep_alive = keep_alive
        self.task: Any = None
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self._protocol = protocol
        self._transport: asyncio.Transport = protocol.transport
        self._expects = expects
        """The client waits to be asked for its body (RFC 9110, section 10.1.1)."""
        self._body = b""
        """What has arrived of the request's body and has not been received."""
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        """The answer's head, while it waits for the body."""
        self._chunked = False
        self._framed = False
        """The answer's end can be told otherwise than by the connection's, which is all that HTTP/1.0 has for a stream
        (RFC 9112, section 6.1)."""
        self._left = 0
        """Bytes that the answer's content-length still promises."""

    # ── The request ────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, body: bytes) -> None:
        """More of the request's body."""
        self._body = self._body + body if self._body else body
        if len(self._body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self._wake()

    def end(self) -> None:
        """The request is complete."""
        self._ended = True
        self._wake()

    def disconnect(self) -> None:
        """The client is gone."""
        self.disconnected = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> dict[str, Any]:
        if self._expects and not self.disconnected:
            self._expects = False
            self._transport.write(_CONTINUE)
        while not (self._body or self._ended or self.disconnected or self.response_complete):
            self.flow.resume_reading()
            self._waiter = self._protocol.loop.create_future()
            await self._waiter
        if self.disconnected or self.response_complete:
            return _DISCONNECT
        body, self._body = self._body, b""
        return {"type": "http.request", "body": body, "more_body": not self._ended}

    # ── The answer ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, app: Any) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:
            log.error("a mistake of the gateway's own", exc_info=error)
        finally:
            self._protocol.tasks.discard(self.task)
        if self.response_complete or self.disconnected:
            return
        if not self.response_started:
            self._transport.write(last_word(_MISTAKE, self.scope["headers"]))
        self._transport.close()  # an answer that cannot be completed must not look complete

    async def send(self, message: Any) -> None:
        if self.flow.write_paused:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"], message.get("lines", ()))
        else:
            self._continue(message["body"], message.get("more_body", False))

    def _start(self, status: int, headers: Headers, lines: Iterable[bytes]) -> None:
        """`lines`: header fields that are laid out already; see `edge.lines`."""
        self.response_started = True
        self._expects = False
        fields = [*map(_FIELD, headers)]
        said = b"".join(fields)
        if said.find(b"\n") >= 0 or said.find(b"\r") >= 0:
            raise ValueError("a header field holds a line break")
        head = b"\r\n".join((_STATUS_LINES[status], _date(), *lines, *fields))
        at = head.find(_LENGTH)
        if at >= 0:
            end = head.find(b"\r\n", at + 2)
            self._chunked, self._framed = False, True
            self._left = int(head[at + len(_LENGTH) : end if end >= 0 else None])
        else:
            self._chunked = self._framed = self.scope["http_version"] != "1.0"
        if not self.keep_alive:
            head += b"\r\nconnection: close"
        self._head = head + (b"\r\ntransfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n\r\n")

    def _continue(self, body: bytes, more: bool) -> None:
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            data = head
            self._left = 0
        elif self._chunked:
            data = b"%b%x\r\n%b\r\n" % (head, len(body), body) if body else head
            if not more:
                data += b"0\r\n\r\n"
        else:
            data = head + body if head else body
            if self._framed:
                self._left -= len(body)
        if data:
            self._transport.write(data)
        if not more:
            self._complete()

    def _complete(self) -> None:
        if self._left != 0:
            raise ValueError("the answer's length is not what its content-length says")
        self.response_complete = True
        self._wake()
        if not self.keep_alive:
            self._transport.close()
        self._protocol.on_response_complete()
