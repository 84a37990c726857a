"""PostgreSQL paused, killed and flapping under calls: no call notices, and the ledger is whole when it is back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import OPENAI
from tests.edges.upstreams import Upstream, whole
from tests.running import Running, running, until
from tests.state.conftest import PostgresServer
from tests.talking import Answer, ask
from trunkline.state.database import Database
from trunkline.state.ledger import Ledger
from trunkline.state.location import locate

ADMIN = "an-admin-key-of-some-length"
AS_ADMIN = {"authorization": f"Bearer {ADMIN}"}
SLOWEST = 1.0
"""Seconds that a call may take here while the database is away: far less than anything that waits for it."""


def processes_of(server: PostgresServer) -> list[int]:
    """The server's own process, then those of its connections."""
    first = int((server.data / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return [first, *map(int, children)]


@contextmanager
def paused(server: PostgresServer) -> Iterator[None]:
    """It holds its connections and answers nothing."""
    stopped = processes_of(server)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(server: PostgresServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def flapping(server: PostgresServer) -> Iterator[None]:
    for _ in range(2):
        with killed(server):
            pass
    with paused(server):
        yield


@asynccontextmanager
async def gateway(url: str, directory: Path) -> AsyncIterator[tuple[Running, str]]:
    """One that asks for keys, with its database open, and a key."""
    async with Upstream(whole(OPENAI.answer)) as up:
        sections: dict[str, Any] = {
            "auth": "required",
            "admin_key": ADMIN,
            "providers": {"up": OPENAI.provider(up.url)},
            "state": {"durable": url, "directory": str(directory / "state")},
        }
        async with running(directory, sections, begin=True) as run:
            await until(lambda: run.gateway.status()["ready"], "the keys are loaded")
            made = await ask(run.port, "/admin/v1/keys", {"name": "a"}, AS_ADMIN)
            secret = made.json["secret"]
            await until(lambda: run.gateway.stores.ring.find(secret.encode()) is not None, "the key is known")
            yield run, secret


async def calls(run: Running, secret: str, count: int) -> list[tuple[int, float]]:
    """Status and seconds of each, four at a time."""

    async def one() -> tuple[int, float]:
        began = time.monotonic()
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), {"authorization": f"Bearer {secret}"})
        return answer.status, time.monotonic() - began

    found: list[tuple[int, float]] = []
    for _ in range(count // 4):
        found += await asyncio.gather(*(one() for _ in range(4)))
    return found


def counted(url: str) -> int:
    database = Database(locate(url))
    try:
        return Ledger(database).usage()[0].calls
    finally:
        database.close()


@pytest.mark.parametrize("fault", [paused, killed, flapping])
async def test_calls_go_on_and_the_ledger_is_whole_afterwards(
    fault: Callable[[PostgresServer], Any], postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database()
    async with gateway(url, tmp_path) as (run, secret):
        found = await calls(run, secret, 20)
        with fault(postgres):
            await asyncio.sleep(0.3)  # the shipper meets it
            found += await calls(run, secret, 40)
        found += await calls(run, secret, 20)
        await until(lambda: run.gateway.status()["state"]["journal"]["entries"] == 0, "all is shipped")
        await until(lambda: not run.gateway.status()["degraded"], "it says that it is well")
    assert {status for status, _ in found} == {200}
    assert max(seconds for _, seconds in found) < SLOWEST
    assert counted(url) == 80


async def test_a_paused_database_is_seen_and_the_admin_api_does_not_wait_for_it(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.state.shipper.SILENT", 0.2)
    monkeypatch.setattr("trunkline.edge.admin.threads.PATIENCE", 0.3)
    async with gateway(postgres.new_database(), tmp_path) as (run, secret):

        async def look() -> Answer:
            return await ask(run.port, "/admin/v1/keys", headers=AS_ADMIN)

        with paused(postgres):
            answers = await asyncio.gather(*(look() for _ in range(12)))
            assert {answer.status for answer in answers} == {503}
            large = OPENAI.ask("up/m") | {"user": "x" * 2_000_000}  # read in a thread of the pool for everything
            answer = await ask(run.port, OPENAI.path, large, {"authorization": f"Bearer {secret}"})
            assert answer.status == 200
            await until(lambda: run.gateway.status()["degraded"], "it says that something is wrong")
            errors = run.gateway.status()["state"]["errors"]
        assert any("has not answered for" in why for why in errors.values())
        await until(lambda: not run.gateway.status()["degraded"], "it is well again")
        assert (await look()).status == 200


async def test_a_server_that_holds_its_connections_for_ever_is_let_go(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine goes on to acknowledge what is sent: nothing but our own clock tells. Another may be in its place."""
    url = postgres.new_database()
    async with gateway(url, tmp_path) as (run, secret):
        monkeypatch.setattr("trunkline.state.database.LONGEST", 0.3)

        def errors() -> str:
            return " ".join(run.gateway.status()["state"]["errors"].values())

        with paused(postgres):
            await calls(run, secret, 4)
            await until(lambda: "cannot be used" in errors(), "the connection is given up")
        monkeypatch.undo()
        await calls(run, secret, 4)
        await until(lambda: run.gateway.status()["state"]["journal"]["entries"] == 0, "all is shipped")
    assert counted(url) == 8


async def test_without_its_database_at_the_start_it_waits_for_keys(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.new_database()
    async with gateway(url, tmp_path) as (_, secret):
        pass
    async with Upstream(whole(OPENAI.answer)) as up:
        sections = {
            "auth": "required",
            "providers": {"up": OPENAI.provider(up.url)},
            "state": {"durable": url, "directory": str(tmp_path / "state")},
        }
        with killed(postgres):
            waiting = running(tmp_path, sections, begin=True)
            run = await waiting.__aenter__()
            ready = await ask(run.port, "/readyz")
        try:
            assert ready.status == 503
            await until(lambda: run.gateway.status()["ready"], "the database is found")
            assert await calls(run, secret, 4)
        finally:
            await waiting.__aexit__(None, None, None)
