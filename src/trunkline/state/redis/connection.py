"""One connection to Redis: commands of one turn of the event loop leave in one write, replies resolve in order.

Ours, because this is the gateway's hot path: two commands for each call. At 2,000 calls a second such a pair costs
28 µs of CPU here, 110 µs by redis-py's asyncio client and 84 µs by its pipelines (measured 2026, Python 3.11, uvloop,
hiredis in all three). The protocol is RESP3 (HELLO 3), so what is published arrives on the same connection.

A *decision* has a deadline. All decisions have the same one, so that the oldest is the first to be late, and one timer
is enough. Whoever is told that his is late may undo it with another command: Redis does them in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol, cast

import hiredis

from trunkline.core.stores import StoreError, StoreUnavailable

MAX_PENDING = 20_000
"""Commands without an answer; a connection with more is not one that should get another."""
MAX_UNSENT = 8 * 1024 * 1024
"""Bytes that the server has not taken."""
LAZINESS = 0.002
"""Seconds. A write costs more than all else here (34 µs on loopback), and a settlement is in no hurry."""
SLACK = 0.002
"""Seconds by which the timer may be late before that is our own delay, and no fault of Redis."""


class RedisError(StoreError):
    """Redis answered with an error."""


class RedisLost(StoreUnavailable):
    """The connection ended, or takes no more commands."""


class RedisLate(StoreUnavailable):
    """The answer did not come within the deadline."""


pack: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command


class Receiver(Protocol):
    """Who gets an answer. An `asyncio.Future` is one; whoever only looks out for errors needs none."""

    def done(self) -> bool:
        """Whether it wants the answer no longer."""
        ...

    def set_result(self, answer: Any, /) -> None: ...

    def set_exception(self, error: StoreError, /) -> None: ...


class Connection(asyncio.Protocol):
    """`deadline`: seconds for a decision. `pushed` takes what Redis sends unasked, `ended` is called once."""

    def __init__(self, deadline: float, pushed: Callable[[Any], None], ended: Callable[[Connection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._pushed = pushed
        self._ended = ended
        self._reader = hiredis.Reader(replyError=RedisError, protocolError=RedisLost)
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._leaving = False
        self._later: asyncio.TimerHandle | None = None
        self._pending: deque[tuple[Receiver, float]] = deque()
        self._asked: list[asyncio.Future[Any]] = []
        """Decisions that are not sent yet: their time begins when they are, for what passes before is our own."""
        self._deciding: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._behind = False
        self.round_trip = 0.0
        """Seconds from command to answer, lately: a moving average."""
        self.waited = 0.0
        """Seconds that all answered commands have waited."""

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def silent_for(self) -> float:
        """Seconds for which the oldest command has had no answer."""
        return monotonic() - self._pending[0][1] if self._pending else 0.0

    def send(self, *command: Any, lazily: bool = False) -> asyncio.Future[Any]:
        """The answer, or `RedisError`, or `RedisLost`. Never awaits; cancelling the future leaves the command sent.
        `lazily`: it may wait a moment for others to leave with."""
        future = self._loop.create_future()
        self.post(pack(command), future, lazily)
        return future

    def post(self, command: bytes, receiver: Receiver, lazily: bool = False) -> None:
        """The same for a command that is packed already; its answer goes to this receiver."""
        transport = self._transport
        if transport is None or len(self._pending) >= MAX_PENDING or transport.is_closing():
            receiver.set_exception(RedisLost("Redis: the connection takes no more commands"))
            return
        self._write(command, LAZINESS if lazily else 0.0)
        self._pending.append((receiver, monotonic()))

    def listen(self, channels: Iterable[bytes]) -> None:
        """SUBSCRIBE, which RESP3 confirms by pushes, and not by an answer."""
        self._write(pack(("SUBSCRIBE", *channels)), 0.0)

    def decide(self, command: bytes) -> asyncio.Future[Any]:
        """The answer to a packed command within the deadline, or `RedisLate`."""
        future = self._loop.create_future()
        self.post(command, future)
        if not future.done():
            self._asked.append(future)
        return future

    def abort(self) -> None:
        """End it at once; whatever waits for an answer gets `RedisLost`."""
        if self._transport is not None:
            self._transport.abort()

    # ── asyncio.Protocol ───────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        reader, pending, now = self._reader, self._pending, monotonic()
        passed = 0.0
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                if isinstance(reply, hiredis.PushNotification):
                    self._pushed(reply)
                    continue
                receiver, sent = pending.popleft()
                passed = now - sent
                self.waited += passed
                if receiver.done():
                    continue
                if isinstance(reply, RedisError):
                    receiver.set_exception(reply)
                else:
                    receiver.set_result(reply)
        except (RedisLost, IndexError):  # bytes that are no answer, or an answer to nothing
            self.abort()
            return
        if passed:
            self.round_trip += (passed - self.round_trip) / 8

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        for timer in (self._timer, self._later):
            if timer is not None:
                timer.cancel()
        self._asked.clear()
        self._deciding.clear()
        self._outgoing.clear()
        while self._pending:
            receiver, _ = self._pending.popleft()
            if not receiver.done():
                receiver.set_exception(RedisLost("Redis: the connection ended"))
        self._ended(self)

    # ── Within ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _write(self, command: bytes, within: float) -> None:
        """Have it leave within so many seconds; 0: with this turn of the event loop."""
        self._outgoing.append(command)
        if within == 0.0 and not self._leaving:
            self._leaving = True
            self._loop.call_soon(self._flush)
        elif within and not self._leaving and self._later is None:
            self._later = self._loop.call_later(within, self._flush)

    def _flush(self) -> None:
        transport, outgoing = self._transport, self._outgoing
        self._leaving = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if transport is None or transport.is_closing() or not outgoing:
            return
        transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))
        outgoing.clear()
        if self._asked:
            due = monotonic() + self._deadline
            self._deciding.extend([(due, future) for future in self._asked])
            self._asked.clear()
            if self._timer is None:
                self._timer = self._loop.call_later(self._deadline, self._expire)
        if transport.get_write_buffer_size() > MAX_UNSENT:
            transport.abort()

    def _expire(self) -> None:
        """Tell those whose time is over. Where this runs late itself, answers may lie unread: they are read first."""
        deciding, now = self._deciding, monotonic()
        while deciding and deciding[0][1].done():
            deciding.popleft()
        if not deciding:
            self._timer = None
            return
        if now - deciding[0][0] > SLACK and not self._behind:
            self._behind = True
            self._timer = self._loop.call_later(0.001, self._expire)
            return
        self._behind = False
        while deciding and (deciding[0][0] <= now or deciding[0][1].done()):
            _, future = deciding.popleft()
            if not future.done():
                future.set_exception(RedisLate("Redis: no answer within the deadline"))
        self._timer = self._loop.call_later(deciding[0][0] - now, self._expire) if deciding else None
