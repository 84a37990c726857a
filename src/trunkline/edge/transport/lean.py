"""The lean transport: HTTP/1.1 on the server's own parser, because the upstream edge is most of what a gateway does.

What keeps it cheap: no task and no timer per request, one future per wait, one write per request, one wake-up per read
of the socket. Time limits are floats that one coarse sweep compares, so they hold to within `_SWEEP` seconds.
It speaks to origins directly; where a proxy stands between, choose `general`.
"""

from __future__ import annotations

import asyncio
import ssl

from trunkline.core.call import Headers
from trunkline.edge.transport.base import ConnectFailed, Origin, TimedOut, TransportError, TransportSettings
from trunkline.edge.transport.connection import Connection, Stale
from trunkline.edge.transport.head import request_head
from trunkline.edge.transport.pool import Pool
from trunkline.edge.transport.response import LeanResponse
from trunkline.edge.transport.tls import client_context

_SWEEP = 0.25
"""Seconds between two looks at the time limits, while any connection is open."""

_CLOSING = 1.0
"""Seconds that `aclose` waits for connections to be gone."""


class LeanTransport:
    """See `base.Transport`. Belongs to the event loop of its first `send`."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pools: dict[Origin, Pool] = {}
        self._context: ssl.SSLContext | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self._opened = self._reused = self._failed = 0

    async def send(
        self, origin: Origin, method: bytes, path: bytes, headers: Headers, body: bytes, deadline: float | None = None
    ) -> LeanResponse:
        head = request_head(origin, method, path, headers, len(body))
        loop = self._loop or self._bind()
        pool = self._pools.get(origin) or self._pool(loop, origin)
        if deadline is not None and deadline <= loop.time():
            raise TimedOut("the deadline had passed before the request was sent", sent=False)
        try:
            connection = pool.take()
            if connection is None:
                connection = await pool.acquire(deadline)
            else:
                self._reused += 1
            response = LeanResponse(loop, self._settings, deadline)
            response.head_only = method == b"HEAD"
            connection.start(response, head, body)
            try:
                await response.head()
            except Stale:
                response = await self._again(pool, response, head, body)
        except TransportError:
            self._failed += 1
            raise
        return response

    def stats(self) -> dict[str, int]:
        pools = self._pools.values()
        return {
            "open": sum(len(pool.connections) for pool in pools),
            "idle": sum(pool.idle for pool in pools),
            "opened": self._opened,
            "reused": self._reused,
            "failed": self._failed,
            "waiting": sum(pool.waiting for pool in pools),
        }

    async def aclose(self) -> None:
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        gone = [connection.gone for pool in self._pools.values() for connection in pool.connections]
        for pool in self._pools.values():
            pool.close()
        if gone:
            await asyncio.wait(gone, timeout=_CLOSING)

    async def _again(self, pool: Pool, stale: LeanResponse, head: bytes, body: bytes) -> LeanResponse:
        """Repeat a request whose reused connection was closed before any byte of a response, once, on another."""
        connection = await pool.acquire(stale.deadline)
        response = LeanResponse(stale.loop, self._settings, stale.deadline)
        response.head_only = stale.head_only
        connection.start(response, head, body)
        await response.head()
        return response

    async def _dial(self, origin: Origin, deadline: float | None) -> Connection:
        loop, settings = self._loop or self._bind(), self._settings
        if self._closed:
            raise ConnectFailed("the transport is closed", sent=False)
        limit = loop.time() + settings.connect_timeout
        late = deadline is not None and deadline < limit
        where = f"{origin.host}:{origin.port}"
        try:
            async with asyncio.timeout_at(deadline if late else limit):
                _, connection = await loop.create_connection(
                    lambda: Connection(settings, loop), origin.host, origin.port, ssl=self._tls(origin)
                )
        except TimeoutError as error:
            if late:
                raise TimedOut(f"{where}: the deadline passed while connecting", sent=False) from error
            raise ConnectFailed(f"{where}: no connection within {settings.connect_timeout} s", sent=False) from error
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"{where}: {error}", sent=False) from error
        self._opened += 1
        if self._sweeper is None:
            self._sweeper = loop.call_later(_SWEEP, self._sweep)
        return connection

    def _tls(self, origin: Origin) -> ssl.SSLContext | None:
        if origin.scheme != "https":
            return None
        if self._context is None:
            self._context = client_context(self._settings.ca_file)
        return self._context

    def _sweep(self) -> None:
        loop = self._loop or self._bind()
        now = loop.time()
        connections = [connection for pool in self._pools.values() for connection in pool.connections]
        for connection in connections:
            connection.sweep(now)
        self._sweeper = loop.call_later(_SWEEP, self._sweep) if connections else None

    def _bind(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _pool(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> Pool:
        pool = self._pools[origin] = Pool(loop, self._settings, lambda deadline: self._dial(origin, deadline))
        return pool
