"""Real databases for the tests: a fresh SQLite file, a fresh PostgreSQL database on a server of the tests' own.

A test file may name the event loops that its tests run on in `LOOPS`; the gateway itself runs on uvloop.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.state.redis_server import RedisServer
from trunkline.core.call import Attempt, Entry
from trunkline.core.usage import Usage
from trunkline.state.database import Database
from trunkline.state.location import locate
from trunkline.state.migrations import migrate

PATIENCE = 20.0
"""Seconds after which a condition that should come true is a failure."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Function
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return getattr(item.module, "LOOPS", {"asyncio": asyncio.new_event_loop})


class PostgresServer:
    """A PostgreSQL of our own, on a UNIX socket, that can be stopped and started. Never as root: it refuses to."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self.binaries = binaries
        self.directory = directory
        self.data = directory / "data"
        self._as = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None
        if self._as:
            os.chown(directory, 65534, 65534)

    def initialise(self) -> None:
        command = [self.binaries / "initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-N", "-E", "utf8"]
        subprocess.run([*command, "--locale=C"], cwd=self.directory, check=True, capture_output=True, **self._as)

    def start(self) -> None:
        options = ["-k", self.directory, "-c", "listen_addresses=", "-F", "-c", "max_connections=40"]
        log = (self.directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, *options],
                cwd=self.directory,
                stdout=log,
                stderr=log,
                **self._as,
            )
        ready = [self.binaries / "pg_isready", "-q", "-h", self.directory, "-U", "postgres"]
        eventually(lambda: subprocess.run(ready, check=False).returncode == 0)

    def stop(self) -> None:
        """At once, connections cut: what clients see when a server dies."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: immediate shutdown
            self._process.wait(PATIENCE)
            self._process = None

    def new_database(self) -> str:
        """The URL of the one database, emptied: a tenth of the time and disk of making another."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.url

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.directory}"


def _postgres_binaries() -> Path:
    spec = importlib.util.find_spec("pgserver")
    if spec is None or spec.origin is None:
        pytest.skip("PostgreSQL is not tested: the package pgserver is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    binaries = _postgres_binaries()
    directory = Path(tempfile.mkdtemp(prefix="trunkline-pg-"))
    server = PostgresServer(binaries, directory)
    try:
        server.initialise()
        server.start()
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(directory, ignore_errors=True)
        pytest.skip(f"PostgreSQL is not tested: it cannot be started here ({error}); as root it runs as user 65534")
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """An empty database with our schema."""
    database = Database(locate(url))
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may kill and pause."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    if server.running:
        server.resume()
    server.stop()


def eventually(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for something that another thread or process brings about; fail if it does not."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "this did not come true in time"
        time.sleep(0.01)


def entry(id: str, **changes: object) -> Entry:
    """A ledger entry with every field set."""
    fields: dict[str, object] = {
        "at": 1_770_000_000.25,
        "surface": "/v1/chat/completions",
        "status": 200,
        "key": "key_1",
        "tags": ("team-a", "prod"),
        "model": "smart",
        "target": "openai/gpt-6.2-sol",
        "price_model": "openai:gpt-6.2-sol",
        "stream": True,
        "attempts": [Attempt("claude/x", 0.001, 0.2, 529, "overloaded"), Attempt("openai/gpt-6.2-sol", 0.3, 1.5, 200)],
        "first_byte": 0.5,
        "duration": 1.75,
        "usage": Usage(input=1000, cache_read=100, cache_write=50, cache_write_1h=25, output=200, reasoning=80),
        "cost": 123_456_789,
        "price_date": "2026-02-01",
        "bytes_in": 5900,
        "bytes_out": 12_000,
        "lost": ("$.logit_bias",),
        "request": '{"a": "b"}',
        "response": "ünïcode \N{GRINNING FACE}",
        "team": "research",
        "priority": "batch",
        "waited": 0.125,
    }
    return Entry(id=id, **(fields | changes))  # type: ignore[arg-type]
