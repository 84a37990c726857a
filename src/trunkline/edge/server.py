"""The client edge, a plain ASGI application: bytes to a Call, a Reply to bytes.

A stream's end is announced (`Reply.finish`) before the bytes that complete it are sent, so that the ledger has the
entry before the client can have the answer. A client that leaves cancels this application's task (see `protocol`), and
with it the upstream request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from trunkline.core.call import NOWHERE, Addressed, Call, Headers, Priority
from trunkline.core.errors import (
    ClientGone,
    Forbidden,
    GatewayError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    ShuttingDown,
    known,
    why_cancelled,
)
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.core.usage import NANO
from trunkline.edge.heads import read_head
from trunkline.edge.limit_fields import limit_fields
from trunkline.edge.limits import LARGE, read_body
from trunkline.edge.lines import Lines, printable
from trunkline.edge.nearby import MAX_LENGTH, nearest
from trunkline.edge.pages import Identify, peer
from trunkline.edge.peeking import peek
from trunkline.edge.pings import Pinger, Streaming
from trunkline.edge.refusal import MISTAKE, family, identified, refuse
from trunkline.edge.settings import ServerSettings
from trunkline.edge.surfaces import Surface, find, fixed

log = logging.getLogger("trunkline.server")

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
Page = Callable[[Any, Receive, Send], Awaitable[None]]
"""An endpoint that is no call: models, health, metrics, admin."""

DRAINING_RETRY_AFTER = 5.0


class Edge:
    """`handle` is the pipeline; `pages` maps paths to other endpoints, those that end in a slash (`/admin/`) with all
    that is below; `identify` finds the key that a request presents; `admit` gives a call its priority, or raises;
    `behind` tells how many calls go on whose answer has gone out."""

    def __init__(
        self,
        handle: Handler,
        settings: ServerSettings,
        pages: dict[str, Page],
        identify: Identify,
        admit: Callable[[Call, Priority | None], None],
        behind: Callable[[], int] = lambda: 0,
    ) -> None:
        self._handle = handle
        self._settings = settings
        self._pages = pages
        self._below = {path: page for path, page in pages.items() if path.endswith("/")}
        self._identify = identify
        self._admit = admit
        self._behind = behind
        self._ids = os.urandom(6).hex()
        self._count = 0
        self.pinger = Pinger(settings.ping_interval)
        self.draining = False
        self.in_flight = 0

    @property
    def busy(self) -> int:
        """Calls that a stop waits for."""
        return self.in_flight + self._behind()

    def __call__(self, scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        surface = fixed(scope["path"])
        if surface is None:
            return self._other(scope, receive, send)
        if surface.socket and "websocket" in scope:
            return self._connect(surface, scope, send)
        return self._call(surface, scope, receive, send)

    async def _other(self, scope: Any, receive: Receive, send: Send) -> None:
        """A path that names a model, or an endpoint that is no call."""
        path = scope["path"]
        found = find(path, scope["method"], scope["query_string"]) if path not in self._pages else None
        if found is None:
            await self._page(scope, receive, send)
        else:
            await self._call(found[0], scope, receive, send, found[1])

    async def _page(self, scope: Any, receive: Receive, send: Send) -> None:
        """An endpoint that is no call. Pages raise GatewayErrors before they begin to answer."""
        path = scope["path"]
        request_id = self._next_id()
        page = self._pages.get(path) or next(
            (page for start, page in self._below.items() if path.startswith(start)), None
        )
        try:
            if page is None:
                near = nearest(path, self._pages)
                hint = f"Did you mean {near}?" if near else "See docs/endpoints.md for what there is."
                raise NotFound(f"There is nothing at {path[:MAX_LENGTH]}. {hint}")
            await page(scope, receive, send)
            return
        except GatewayError as raised:
            error = raised
        except Exception:
            log.exception("%s: a mistake of the gateway's own", path, extra={"request_id": request_id})
            error = InternalError(MISTAKE)
        dialect = family(scope["headers"])
        await refuse(send, error, dialect, identified(request_id, dialect), request_id)

    async def _connect(self, surface: Surface, scope: Any, send: Send) -> None:
        """A WebSocket, for those who have a key: each of its messages is a call of its own, and checked again."""
        try:
            if self.draining:
                raise _stopping()
            _check_origin(scope["headers"])
            await self._identify(scope["headers"], scope["query_string"], peer(scope))
            scope["websocket"](partial(self._call, surface), lambda: self.draining)
        except GatewayError as error:
            request_id = self._next_id()
            lines = [*identified(request_id, surface.dialect), b"sec-websocket-version: 13"]
            await refuse(send, error, surface.dialect, lines, request_id)

    def _next_id(self) -> str:
        self._count += 1
        return f"req_{self._ids}{self._count:08x}"

    async def _call(
        self, surface: Surface, scope: Any, receive: Receive, send: Send, addressed: Addressed = NOWHERE
    ) -> None:
        call = Call(self._next_id(), surface, scope["headers"], time.time(), time.monotonic())
        call.query = scope["query_string"]
        call.client = peer(scope)
        call.addressed = addressed
        call.memory = scope.get("memory")
        self.in_flight += 1
        try:
            reply = None
            try:
                if scope["method"] != surface.method:
                    raise MethodNotAllowed(f"{surface.path} takes {surface.method} only.", surface.method)
                call.load = partial(self._load, receive)
                reply = await self._handle(call)
                if reply.body is not None:
                    await self._whole(call, reply, reply.body, send)
                else:
                    await self._begin(call, reply, send)
            except GatewayError as error:
                await self._refuse(call, error, send)
            except asyncio.CancelledError as cancelled:
                await self._cancelled(call, reply, why_cancelled(cancelled), send)
            except Exception:
                log.exception("a mistake of the gateway's own", extra={"request_id": call.id})
                mistake = InternalError(MISTAKE)
                if reply is not None:
                    reply.finish(mistake)
                    raise  # the answer has begun: what is left is to cut it
                await self._refuse(call, mistake, send)
            finally:
                if reply is not None:
                    reply.close()
        finally:
            self.in_flight -= 1

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _load(self, receive: Receive, call: Call) -> None:
        """Read what the request says of the call, headers and body. Raises ClientError, ShuttingDown,
        Overloaded."""
        if self.draining:
            raise _stopping()
        declared, limit, asked = read_head(call)
        self._admit(call, asked)
        longest = self._settings.request_timeout
        call.deadline = call.started + (longest if limit is None else min(limit, longest))
        call.body = await read_body(receive, declared, self._settings.max_body_size, call.deadline)
        if len(call.body) > LARGE:
            await asyncio.to_thread(self._examine, call)
        else:
            self._examine(call)

    def _examine(self, call: Call) -> None:
        """Raises BadRequest."""
        call.peek = peek(call, self._settings.max_json_depth)

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self, call: Call, reply: Reply, send: Send) -> None:
        """The answer is a stream."""
        call.first_byte = time.monotonic() - call.started
        await send(_start(call, reply))
        if not reply.head:
            await send({"type": "http.response.body", "body": b"", "more_body": True})  # the head goes out alone
        streaming = Streaming(send, b"" if reply.raw else call.surface.dialect.ping)
        self.pinger.add(streaming)
        try:
            await self._stream(call, reply, streaming)
        finally:
            self.pinger.discard(streaming)

    async def _whole(self, call: Call, reply: Reply, body: bytes, send: Send) -> None:
        call.first_byte = time.monotonic() - call.started
        call.bytes_out = len(body)
        reply.finish()
        await send(_start(call, reply, (b"content-length", b"%d" % len(body))))
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, call: Call, reply: Reply, streaming: Streaming) -> None:
        flow, source, out = reply.flow, reply.source, reply.head
        assert source is not None
        more = True
        while True:
            more = more and flow.error is None  # nothing follows an error, whatever the upstream does
            if out or not more:
                call.bytes_out += len(out)
                if flow.complete or not more:
                    reply.finish()
                await streaming.write(out, more)
            if not more:
                return
            try:
                data = await source.read()
                more = bool(data)
                out = flow.feed(data) if more else flow.eof()
            except (GatewayError, asyncio.CancelledError) as raised:
                error = known(raised)
                if isinstance(error, ClientGone):
                    raise
                if reply.raw and not flow.complete:
                    reply.finish(error)
                    return  # such an answer can only say that it broke off by being cut
                more, out = False, b"" if flow.complete else flow.fail(error)

    async def _cancelled(self, call: Call, reply: Reply | None, why: GatewayError, send: Send) -> None:
        """Nobody waits for this call any more, or nobody may: in that case the client is told, if it still can be."""
        if reply is not None:
            reply.finish(why)
        elif not isinstance(why, ClientGone):
            await self._refuse(call, why, send)

    async def _refuse(self, call: Call, error: GatewayError, send: Send) -> None:
        spoken = call.api.dialect if call.api is not None else None
        await refuse(send, error, call.surface.dialect, _facts(call), call.id, spoken)


def _stopping() -> ShuttingDown:
    return ShuttingDown("This gateway is shutting down.", retry_after=DRAINING_RETRY_AFTER)


def _check_origin(headers: Headers) -> None:
    """Browsers let any page open a WebSocket to any server, and say whose page it is: one from elsewhere may not use a
    gateway that asks for no keys (RFC 6455, section 10.2). Raises Forbidden."""
    fields = dict(headers)
    origin = fields.get(b"origin")
    if origin is not None and origin.partition(b"://")[2].lower() != fields.get(b"host", b"").lower():
        raise Forbidden("A WebSocket must not be opened by a page of another site (its `origin` is not this host).")


def _start(call: Call, reply: Reply, *more: tuple[bytes, bytes]) -> dict[str, Any]:
    """The answer's head."""
    headers = [(b"content-type", reply.content_type), *reply.headers, *more]
    return {"type": "http.response.start", "status": reply.status, "lines": _facts(call), "headers": headers}


def _facts(call: Call) -> Lines:
    """Its id, and what became of the call, as far as it got."""
    facts = identified(call.id, call.surface.dialect)
    if call.target is not None:
        told = printable(call.target.name), len(call.attempts)
        facts.append(b"x-trunkline-target: %b\r\nx-trunkline-attempts: %d" % told)
    if call.grant is not None:
        limit_fields(facts, call.grant.grant, call.surface.dialect)
    if call.cost is not None:
        facts.append(b"x-trunkline-cost-usd: %d.%09d" % divmod(call.cost, NANO))
    if call.lost:
        facts.append(b"x-trunkline-lost: " + printable(", ".join(call.lost)))
    return facts
