"""Remembered answers, with a database behind: written to a file at once, moved by the shipper's thread.

Files first, then the database: so an answer is found from the moment that its last byte leaves, by every process of the
machine, and nobody waits for the database to remember. To look into it somebody must wait: a bounded time, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from trunkline.core.stores import Kept
from trunkline.state.location import StateUnavailable
from trunkline.state.responses_spool import Spool

if TYPE_CHECKING:
    from trunkline.state.database import Database
    from trunkline.state.responses import ResponseTable

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 3.0
"""Seconds that a call waits for the database."""
OPENING = 10.0
"""Seconds that it waits for the database to be opened first, after the start."""
ELSEWHERE = 0.5
"""Seconds after which another machine's answer is in the database, if it is working: twice the shipper's poll."""
MAX_WAITING = 1024 * 1024 * 1024
"""Bytes of answers that may wait for the database."""
BATCH = 8 * 1024 * 1024
"""Bytes of one transaction, roughly."""
THREADS = 4
"""Calls that look into the database at once."""
ADOPTING = 5.0
"""Seconds between looks for what dead processes left behind."""
EXPIRING = 60.0
"""Seconds between looks for what has expired."""

_INTERRUPTED = {"code": "server_error", "message": "The gateway ended before this response was complete."}


class Opened(Protocol):
    """Who opens the database: the shipper."""

    @property
    def opened(self) -> threading.Event: ...
    @property
    def database(self) -> Database | None: ...


class DurableResponses:
    """Implements `core.stores.Responses`. `clock`: seconds since the epoch. `ship` is a job for the shipper."""

    def __init__(self, directory: Path, opened: Opened, clock: Callable[[], float]) -> None:
        self._spool = Spool(directory)
        self._opened = opened
        self._clock = clock
        self._waiting = 0
        self._lost = 0
        self._threads = ThreadPoolExecutor(THREADS, "trunkline-responses")
        self._adopting = self._expiring = 0.0
        """When to look next, monotonic clock."""

    # ── For calls ──────────────────────────────────────────────────────────────────────────────────────────────────

    def keep(self, kept: Kept) -> None:
        try:
            if self._waiting + kept.size > MAX_WAITING:
                raise OSError(f"{MAX_WAITING} bytes wait for the database already")
            self._waiting += self._spool.put(kept)
        except OSError as error:
            self._lost += 1
            if self._lost & (self._lost - 1) == 0:  # at 1, 2, 4, 8 …: a full disk must not fill the log as well
                log.error("responses that could not be remembered so far: %d; the last: %s", self._lost, error)

    async def find(self, key: str, id: str) -> Kept | None:
        kept = self._spooled(key, id)
        if kept is None:
            kept = await self._in_thread(lambda: self._table().find(key, id))
        database = self._opened.database
        if kept is None and database is not None and database.kind == "postgresql":
            await asyncio.sleep(ELSEWHERE)
            kept = self._spooled(key, id) or await self._in_thread(lambda: self._table().find(key, id))
        return kept if kept is not None and kept.expires > self._clock() else None

    async def forget(self, key: str, id: str) -> None:
        await self._in_thread(lambda: self._forget(key, id))

    def interrupt(self, key: str, id: str) -> bool:
        return self._spool.ask_to_cancel(key, id)

    def interrupted(self, key: str, id: str) -> bool:
        return self._spool.asked_to_cancel(key, id)

    def _spooled(self, key: str, id: str) -> Kept | None:
        try:
            return self._spool.find(key, id)
        except OSError as error:
            raise StateUnavailable(f"state.directory: {error}") from error

    async def _in_thread(self, action: Callable[[], T]) -> T:
        from sqlalchemy.exc import SQLAlchemyError

        patience = PATIENCE if self._opened.opened.is_set() else OPENING
        waiting = asyncio.get_running_loop().run_in_executor(self._threads, action)
        try:
            return await asyncio.wait_for(waiting, patience)
        except TimeoutError:
            raise StateUnavailable(f"the database did not answer within {patience:g} seconds") from None
        except SQLAlchemyError as error:
            raise StateUnavailable(f"the database cannot be used: {type(error).__name__}") from error

    def _table(self) -> ResponseTable:
        """In a thread: it may wait for the database to be opened."""
        from trunkline.state.responses import ResponseTable

        self._opened.opened.wait(OPENING)
        database = self._opened.database
        if database is None:
            raise StateUnavailable("the database is not open")
        return ResponseTable(database)

    def _forget(self, key: str, id: str) -> None:
        """The file before the row: see `_save`. The shipper may hold the lock for a moment."""
        table, deadline = self._table(), time.monotonic() + PATIENCE
        while True:
            try:
                self._spool.remove(key, id)
                table.delete(key, id)
                return
            except StateUnavailable:
                if time.monotonic() >= deadline:
                    raise

    # ── For the shipper ────────────────────────────────────────────────────────────────────────────────────────────

    def ship(self, database: Database) -> None:
        """Move what waits into the database, and what has expired out of it. Raises `OSError`, `StateUnavailable`,
        `SQLAlchemyError`."""
        from trunkline.state.responses import ResponseTable

        table, now = ResponseTable(database), time.monotonic()
        if now >= self._adopting:
            self._adopting = now + ADOPTING
            for kept in self._spool.adopt():
                self._spool.put(_interrupted(kept) if kept.running else kept)
        batch: list[tuple[Path, Kept]] = []
        for path in self._spool.waiting():
            if (read := self._spool.read(path)) is not None:
                batch.append((path, read))
            if sum(each.size for _, each in batch) >= BATCH:
                self._save(table, batch)
                batch = []
        self._save(table, batch)
        self._waiting = self._spool.size()
        if now >= self._expiring:
            table.expire(self._clock())
            self._expiring = now + EXPIRING

    def _save(self, table: ResponseTable, batch: list[tuple[Path, Kept]]) -> None:
        """A row before its file is gone; where somebody has deleted the file meanwhile, the row goes too."""
        if not batch:
            return
        paths = {(kept.key, kept.id): path for path, kept in batch}
        table.save([kept for _, kept in batch], lambda kept: paths[kept.key, kept.id].exists())
        for path, kept in batch:
            if not self._spool.shipped(path):
                table.delete(kept.key, kept.id)

    def close(self) -> None:
        """Nothing is remembered or asked afterwards; what still waits, the next start ships."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._spool.close()


def _interrupted(kept: Kept) -> Kept:
    """An answer whose process died."""
    response = msgspec.json.decode(kept.response) | {"status": "failed", "error": _INTERRUPTED}
    return msgspec.structs.replace(kept, response=msgspec.json.encode(response), running=False)
