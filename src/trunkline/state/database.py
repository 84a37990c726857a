"""One engine for both databases, with every wait bounded.

SQLite: WAL, so that reports do not block the writer nor the writer reports; `synchronous=NORMAL`, because the journal
is kept until the rows are committed and SQLite's WAL is consistent after a crash; writers begin with `BEGIN IMMEDIATE`,
because a transaction that reads first and writes later can fail without waiting (https://www.sqlite.org/rescode.html,
SQLITE_BUSY_SNAPSHOT).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from trunkline.state.location import SETTING, Location, StateError, StateUnavailable

CONNECT_TIMEOUT = 5
"""Seconds to reach a PostgreSQL server."""
STATEMENT_TIMEOUT = 30_000
"""Milliseconds that PostgreSQL may work on one statement."""
SILENCE_TIMEOUT = 10_000
"""Milliseconds after which an unacknowledged PostgreSQL connection counts as dead."""
LONGEST = 60.0
"""Seconds that a transaction in PostgreSQL may take in all. A server that has stopped, while its machine goes on to
acknowledge what is sent to it, would be waited for for ever, also when another one has taken its place long since."""


class Database:
    """Connections to one database. `busy_timeout`: seconds to wait for a lock that another holds.

    Opening it touches no server; the first use does. Raises `StateError` where the SQLite file cannot be made.
    """

    def __init__(self, location: Location, busy_timeout: float = 5.0) -> None:
        self.location = location
        self.engine = _ENGINES[location.engine](location, busy_timeout)
        self._wires: weakref.WeakSet[Any] = weakref.WeakSet()
        """PostgreSQL's connections, of the driver."""
        if location.engine == "postgresql":
            event.listen(self.engine, "connect", lambda connection, _: self._wires.add(connection))

    @property
    def kind(self) -> str:
        return self.location.engine

    def insert(self, table: sa.Table) -> Any:
        """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
        return _INSERTS[self.kind](table)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads. Raises `StateUnavailable`, and `SQLAlchemyError` for other failures."""
        with self._available(), self._bounded(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, bounded: bool = True) -> Iterator[sa.Connection]:
        """A transaction that writes: committed at the end, undone if an exception leaves it. Raises as `read` does.
        `bounded` False: it may take as long as it likes."""
        bound = self._bounded() if bounded else nullcontext()
        with self._available(), bound, self.engine.execution_options(immediate=True).begin() as connection:
            yield connection

    @contextmanager
    def _available(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            shown = self.location.shown
            raise StateUnavailable(f"{SETTING}: {shown} cannot be used: {self.describe(error)}") from error

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Whoever is inside for too long finds the connection cut."""
        if self.kind != "postgresql":
            yield
            return
        timer = threading.Timer(LONGEST, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        """End all connections from outside of their threads, which wait in them: each is to the same server."""
        for connection in [*self._wires]:
            if not connection.closed:
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as wire:
                    wire.shutdown(socket.SHUT_RDWR)

    def describe(self, error: BaseException) -> str:
        """An error in one line, without passwords or values of parameters."""
        cause = getattr(error, "orig", None) or error
        lines = str(cause).strip().splitlines() or [""]
        return self.location.scrub(f"{type(cause).__name__}: {lines[0]}"[:500])

    def close(self) -> None:
        self.engine.dispose()


def _sqlite(location: Location, busy_timeout: float) -> sa.Engine:
    assert location.path is not None
    _private_file(location.path)
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(location.path)),
        connect_args={"timeout": busy_timeout},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: object) -> None:
        # The driver's own transaction control would leave DDL outside of transactions.
        connection.isolation_level = None
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _private_file(path: Path) -> None:
    """Make the file, readable by its owner alone, before SQLite would make it readable by all."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StateError(
            f"{SETTING}: the file {path} cannot be opened ({error.strerror}); create its directory or choose another"
        ) from error


def _postgresql(location: Location, busy_timeout: float) -> sa.Engine:
    try:
        url = sa.make_url(location.url).set(drivername="postgresql+psycopg")
        defaults = {"connect_timeout": CONNECT_TIMEOUT, "tcp_user_timeout": SILENCE_TIMEOUT}
        settings = {name: value for name, value in defaults.items() if name not in url.query}
        engine = sa.create_engine(url, connect_args=settings, pool_pre_ping=True, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise StateError(f"{SETTING}: PostgreSQL needs its driver; install trunkline[postgres]") from error
    except (SQLAlchemyError, ValueError) as error:
        raise StateError(f"{SETTING}: {location.scrub(str(error))}") from error

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT}")
            cursor.execute(f"SET lock_timeout = {int(busy_timeout * 1000)}")
        connection.commit()

    return engine


_ENGINES = {"sqlite": _sqlite, "postgresql": _postgresql}
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
