"""Connections to one origin: few, used again, and handed on in the order of asking.

The connection that came back last goes out first, so that a quiet pool shrinks by itself. A *slot* is the right to have
one connection; it belongs to a dial under way or to an open connection, and goes to the longest waiter when that ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from trunkline.edge.transport.base import ConnectFailed, TransportSettings
from trunkline.edge.transport.connection import Connection

Dial = Callable[[float | None], Awaitable[Connection]]
"""Opens a connection, given a deadline in loop time. Raises TransportError."""


class Pool:
    __slots__ = ("_dial", "_idle", "_loop", "_settings", "_slots", "_waiters", "connections")

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: TransportSettings, dial: Dial) -> None:
        self.connections: set[Connection] = set()
        self._loop = loop
        self._settings = settings
        self._dial = dial
        self._idle: deque[Connection] = deque()
        self._slots = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def take(self) -> Connection | None:
        """An idle connection, if there is one."""
        return self._idle.pop() if self._idle else None

    async def acquire(self, deadline: float | None) -> Connection:
        """A connection that is not from the idle ones: dialled, or handed on by a call that has just ended.

        Waits for a slot until the deadline, or for `connect_timeout` without one. Raises ConnectFailed, TimedOut.
        """
        if self._slots >= self._settings.max_connections and self._idle:
            self._idle[0].abort()  # gives its slot up
        while self._slots >= self._settings.max_connections:
            handed = await self._wait(deadline)
            if handed is None:
                self._slots -= 1  # the slot passed to us is the one we take below
                break
            if not handed.closed:
                return handed
        return await self._open(deadline)

    def close(self) -> None:
        """Abort every connection and turn away all that wait."""
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(ConnectFailed("the transport was closed", sent=False))
        for connection in list(self.connections):
            connection.abort()

    async def _open(self, deadline: float | None) -> Connection:
        self._slots += 1
        try:
            connection = await self._dial(deadline)
        except BaseException:
            self._pass_slot()
            raise
        if connection.closed:
            self._pass_slot()
            raise ConnectFailed("the connection was closed as soon as it was open", sent=False)
        self.connections.add(connection)
        connection.adopt(self._freed, self._lost)
        return connection

    async def _wait(self, deadline: float | None) -> Connection | None:
        """A connection handed on, or None with a slot."""
        limit = self._loop.time() + self._settings.connect_timeout if deadline is None else deadline
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(limit):
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            self._decline(waiter)
            if isinstance(error, TimeoutError):
                full = f"all {self._settings.max_connections} connections (max_connections) stayed busy"
                raise ConnectFailed(full, sent=False) from None
            raise

    def _decline(self, waiter: asyncio.Future[Connection | None]) -> None:
        """A waiter has given up: what it was handed in the same moment goes to the next."""
        if not waiter.done() or waiter.cancelled():
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        elif waiter.exception() is None:
            handed = waiter.result()
            if handed is None:
                self._pass_slot()
            elif not handed.closed:
                self._freed(handed)

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _freed(self, connection: Connection) -> None:
        waiter = self._next_waiter()
        if waiter is None:
            self._idle.append(connection)
        else:
            waiter.set_result(connection)

    def _lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._pass_slot()

    def _pass_slot(self) -> None:
        waiter = self._next_waiter()
        if waiter is None:
            self._slots -= 1
        else:
            waiter.set_result(None)
