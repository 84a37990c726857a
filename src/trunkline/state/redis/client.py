"""What this process knows of Redis: a connection while there is one, a breaker, and a guard that looks after both.

Nobody but the guard ever waits for Redis to come back. It searches, greets, loads the scripts, and says once a second
that this process is alive; from the answers it knows how many others are, and whether Redis has lost its data since
(then it has another name). While the breaker is open whoever would decide by Redis decides alone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any

from msgspec import Struct

from trunkline.core.redis_url import RedisLocation
from trunkline.core.stores import StoreError, StoreUnavailable
from trunkline.policy.outage import RedisSettings, StoreBreaker
from trunkline.state.redis.connection import Connection, Receiver, RedisError, RedisLate, RedisLost, pack
from trunkline.state.redis.finding import Finder
from trunkline.state.redis.prepared import Frame, Preparations, framed
from trunkline.state.redis.scripts import read_scripts

log = logging.getLogger(__name__)

BEAT = 1.0
"""Seconds between signs of life."""
LOOK = 0.1
"""The same while the breaker is open."""
DEAD_AFTER = 5.0
"""Seconds of silence after which a process counts as dead."""
SILENCE = 1.0
"""Seconds without an answer after which a connection is given up."""
RETRIES = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Seconds between searches; the last one again and again."""
MISPLACED = ("MOVED", "ASK", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "LOADING", "NOREPLICAS", "NOAUTH")
"""Errors of a server that is no longer, or not yet, the one to ask."""


class Counts(Struct):
    """Since the start."""

    decided: int = 0
    late: int = 0
    """Decisions that did not come within the deadline."""
    outages: int = 0
    """How often the breaker opened."""


class RedisClient:
    """`salt` tells processes apart; `floor` is the least number of processes to assume."""

    def __init__(self, location: RedisLocation, settings: RedisSettings, floor: int = 1) -> None:
        self.location = location
        self.settings = settings
        self.salt = secrets.token_hex(6)
        self.counts = Counts()
        self.processes = self._floor = settings.processes or floor
        """How many share the limits, as last known."""
        self.name = b""
        """Of the data in Redis: when it began."""
        self.returning: list[Callable[[], Awaitable[None]]] = []
        """Asked in turn before Redis is used again, to put it in order."""
        self.tending: list[Callable[[], Awaitable[None]]] = []
        """Asked again and again while it is in use."""
        self.leaving: list[Callable[[], None]] = []
        """Told when Redis is used no longer."""
        self.emptied: Callable[[float], None] = lambda since: None
        """Told where this process was the first to find Redis without our data, and since when (seconds since the
        epoch)."""
        self.heard: dict[bytes, Callable[[bytes], None]] = {}
        """By channel: who takes what is published there."""
        self._tag = f"{{{settings.prefix}}}:"
        self._common = [self.key(name) for name in ("leases", "held", "ended")]
        self.prepared = Preparations(self.counter, self.frame).of
        self.scripts = read_scripts()
        self._breaker = StoreBreaker()
        self._finder = Finder(location, self._made, self.key("name").decode())
        self._connection: Connection | None = None
        self._guard: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._tried = asyncio.Event()
        self._waited = 0.0
        self._fault = "not asked yet"
        self.up = False
        """Whether to ask it."""

    def key(self, name: str) -> bytes:
        """The name of a key; all of ours share a slot of a cluster."""
        return (self._tag + name).encode()

    def counter(self, name: str) -> bytes:
        """The key of a counter."""
        return self.key(f"c:{name}")

    # ── Asking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def packed(self, script: str, keys: Sequence[bytes], args: Sequence[Any]) -> bytes:
        """The command that runs a script."""
        return pack(self._command(script, keys, args))

    def frame(self, script: str, keys: Sequence[bytes], given: int, facts: Sequence[Any]) -> Frame:
        """The same, of whose arguments `given` follow later; then come these facts."""
        return framed(self._command(script, keys, ()), given, facts)

    async def decide(self, command: bytes) -> Any:
        """Have a packed command answered within the deadline. Raises StoreError: then nobody knows whether it was
        done."""
        connection = self._connection
        if connection is None or not self.up:
            raise RedisLost("Redis: not in use")
        try:
            answer = await connection.decide(command)
        except RedisLate:
            self.counts.late += 1
            if self._breaker.failed(monotonic()):
                self._left("it answers too late")
            raise
        except RedisError as error:
            self._wrong(connection, error)
            raise
        self._breaker.succeeded()
        self.counts.decided += 1
        return answer

    def post(self, command: bytes, receiver: Receiver) -> None:
        """Have a packed command done some time soon, after all that was asked before."""
        if self._connection is None:
            receiver.set_exception(RedisLost("Redis: not connected"))
        else:
            self._connection.post(command, receiver, lazily=True)

    def run(self, script: str, keys: Sequence[bytes], args: Sequence[Any], lazily: bool = False) -> asyncio.Future[Any]:
        """Run a script some time soon, after all that was asked before. Whoever does not want the answer says so by
        `unheeded`."""
        return self.send(*self._command(script, keys, args), lazily=lazily)

    def send(self, *command: Any, lazily: bool = False) -> asyncio.Future[Any]:
        """Any command, some time soon."""
        if self._connection is None:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            future.set_exception(RedisLost("Redis: not connected"))
            return future
        return self._connection.send(*command, lazily=lazily)

    def _command(self, script: str, keys: Sequence[bytes], args: Sequence[Any]) -> tuple[Any, ...]:
        return ("EVALSHA", self.scripts[script].sha, len(keys) + 3, *self._common, *keys, *args)

    def _wrong(self, connection: Connection, error: RedisError) -> None:
        """An error as an answer: of a server that we should leave, of one that has forgotten our scripts, or of one
        that cannot do what we ask, in which case asking on and on would help nobody."""
        word = str(error).partition(" ")[0]
        log.warning("Redis: %s", error)
        if word in MISPLACED:
            connection.abort()
        elif word == "NOSCRIPT":
            for script in self.scripts.values():
                unheeded(connection.send("SCRIPT", "LOAD", script.text))
        elif self._breaker.failed(monotonic()):
            self._left(str(error))

    # ── Looking after it ───────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, patience: float) -> None:
        """Begin, and wait so many seconds at most for the first search to end."""
        self._guard = asyncio.create_task(self._guarding(), name="trunkline-redis")
        try:
            async with asyncio.timeout(patience):
                await self._tried.wait()
        except TimeoutError:
            log.warning("Redis %s: no answer yet; until there is one each process decides alone", self.location.shown)

    async def aclose(self) -> None:
        """Say goodbye, so that the others need not wait for our silence."""
        if self._guard is not None:
            self._guard.cancel()
            await asyncio.wait([self._guard])
        if self._connection is not None:
            try:
                async with asyncio.timeout(SILENCE):
                    await self.send("ZREM", self.key("living"), self.salt)
            except (StoreError, TimeoutError):
                pass
            if self._connection is not None:
                self._connection.abort()
        self.up = False

    def status(self) -> dict[str, Any]:
        """For people."""
        connection = self._connection
        return {
            "up": self.up,
            "error": None if self.up else self._fault,
            "processes": self.processes,
            "round_trip_ms": round(connection.round_trip * 1000, 3) if connection is not None else None,
            "late": self.counts.late,
            "outages": self.counts.outages,
        }

    @property
    def waited(self) -> float:
        """Seconds that all commands together have waited for their answers."""
        return self._waited + (self._connection.waited if self._connection is not None else 0.0)

    async def _guarding(self) -> None:
        failures = 0
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                await self._beat()
                failures, pause = 0, BEAT if self.up else LOOK
            except Exception as error:  # noqa: BLE001 - the task's boundary: a guard that dies leaves everybody alone
                self._failed(error)
                pause = RETRIES[min(failures, len(RETRIES) - 1)] if self._connection is None else LOOK
                failures += 1
            self._tried.set()
            self._wake.clear()
            try:
                # Not `wait_for`, which in Python 3.11 swallows a cancellation that comes at the same time.
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _connect(self) -> None:
        connection = await self._finder.find()
        try:
            for script in self.scripts.values():
                async with asyncio.timeout(SILENCE):
                    await connection.send("SCRIPT", "LOAD", script.text)
            if self.heard:
                connection.listen(self.heard)
        except BaseException:
            connection.abort()
            raise
        self._connection = connection

    async def _beat(self) -> None:
        """Show that we live, and see whether Redis does."""
        connection = self._connection
        assert connection is not None
        if connection.silent_for > SILENCE:
            connection.abort()
            raise RedisLost(f"no answer for {SILENCE:g} s")
        asked = monotonic()
        facts = [self.salt, int(DEAD_AFTER * 1000)]
        beat = self.run("beat", [self.key("living"), self.key("name")], facts)
        async with asyncio.timeout(SILENCE):
            living, name, new = await beat
        in_time = monotonic() - asked < self.settings.deadline
        self.processes = max(living, self._floor)
        if self.name not in (b"", name):
            log.warning("Redis has lost its data, or is another one: what is going on is told to it anew")
            self._left("it has lost its data")
        self.name = name
        if new:
            self.emptied(int(name) / 1000)
        if self._breaker.open and self._breaker.proved(monotonic(), in_time):
            for put_in_order in self.returning:
                await put_in_order()
            if connection is self._connection:
                self._breaker.close(monotonic())
                self.up = True
                log.info("Redis %s: in use by %d processes", self.location.shown, self.processes)
        elif self.up and not in_time and self._breaker.failed(monotonic()):
            self._left("it answers too late")
        elif self.up:
            for tend in self.tending:
                await tend()

    def _made(self) -> Connection:
        return Connection(self.settings.deadline, self._pushed, self._ended)

    def _pushed(self, message: Sequence[Any]) -> None:
        if len(message) == 3 and message[0] == b"message" and message[1] in self.heard:
            self.heard[message[1]](message[2])

    def _ended(self, connection: Connection) -> None:
        """Also of connections that came no further than the greeting."""
        if connection is self._connection:
            self._connection = None
            self._waited += connection.waited
            self._left("the connection ended")
            self._wake.set()

    def _failed(self, error: Exception) -> None:
        """Of the guard's own questions. A connection that does not answer, or answers what makes no sense, is given
        up."""
        if not isinstance(error, StoreError | OSError | TimeoutError):
            log.error("Redis %s: this should not happen", self.location.shown, exc_info=error)
        connection = self._connection
        if connection is not None and isinstance(error, RedisError):
            self._wrong(connection, error)
        elif connection is not None and not isinstance(error, StoreError):
            connection.abort()
        self._fault = str(error) or f"no answer for {SILENCE:g} s"
        self._breaker.proved(monotonic(), in_time=False)
        self._left(self._fault)

    def _left(self, why: str) -> None:
        """From now on it is not asked."""
        self._breaker.trip(monotonic())
        if not self.up:
            return
        self.up = False
        self._fault = why
        self.counts.outages += 1
        log.warning("Redis %s: %s; each process decides alone", self.location.shown, why)
        for leave in self.leaving:
            leave()
        self._wake.set()


def unheeded(future: asyncio.Future[Any]) -> None:
    """Nobody waits for this answer; an error in it is no surprise to the event loop."""
    future.add_done_callback(_looked_at)


def _looked_at(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None and not isinstance(error, StoreUnavailable):
        log.warning("Redis: %s", error)
