"""A gateway to test: in the test's own event loop, or as the program that people start.

Both listen on a free loopback port and keep their state in the directory that the test gives them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.talking import ask
from trunkline.app import Gateway
from trunkline.config import load
from trunkline.config.source import FileSource
from trunkline.core.call import Entry
from trunkline.edge.listener import Listener, bind

PATIENCE = 20.0
"""Seconds after which what should come has not come."""


def write_config(directory: Path, sections: dict[str, Any]) -> Path:
    """A configuration file over these defaults: open, on a free port, all state below `directory`."""
    defaults = {
        "listen": "127.0.0.1:0",
        "auth": "open",
        "state": {"durable": f"sqlite:///{directory}/trunkline.db", "directory": str(directory / "state")},
        "log": {"format": "json"},
    }
    path = directory / "trunkline.yaml"
    path.write_text(json.dumps(defaults | sections))  # JSON is YAML
    return path


class Running:
    """A gateway in this event loop."""

    def __init__(self, gateway: Gateway, port: int, directory: Path) -> None:
        self.gateway = gateway
        self.port = port
        self.directory = directory
        self.listener: Listener

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def entries(self) -> list[Entry]:
        """The ledger entries that the journal holds: all of them, unless the shipper was begun."""
        return journalled(self.directory)

    async def entry(self, count: int = 1) -> Entry:
        """The last of exactly `count` entries, once they are all there."""
        await until(lambda: len(self.entries()) >= count, f"{count} ledger entries")
        assert len(self.entries()) == count
        return self.entries()[-1]


def journalled(directory: Path) -> list[Entry]:
    """What the journals below a state directory hold, in the order of the calls' ends."""
    decode = msgspec.json.Decoder(Entry).decode
    lines = [
        line
        for path in sorted((directory / "state" / "journal").glob("*"))
        for line in path.read_bytes().split(b"\n")
        if line.startswith(b"{")
    ]
    return [decode(line) for line in lines]


@asynccontextmanager
async def running(directory: Path, sections: dict[str, Any], *, begin: bool = False) -> AsyncIterator[Running]:
    """`begin` opens the database and the price list; without it the journal keeps every entry."""
    path = write_config(directory, sections)
    gateway = await Gateway.start(load(path, environ={}), FileSource(path))
    listening = bind("127.0.0.1", 0)
    run = Running(gateway, listening.getsockname()[1], directory)
    run.listener = listener = Listener(gateway.edge, gateway.config.server)
    listener.config.load()
    listener.lifespan = listener.config.lifespan_class(listener.config)
    await listener.startup(sockets=[listening])  # without the main loop, whose ticks take a tenth of a second each
    if begin:
        gateway.begin()
    try:
        yield run
    finally:
        for server in listener.servers:
            server.close()
        for connection in list(listener.server_state.connections):
            connection.transport.abort()
        if listener.server_state.tasks:
            await asyncio.wait(list(listener.server_state.tasks), timeout=PATIENCE)
        await gateway.aclose()


async def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until `condition()` is true; fail, saying `what` was waited for, when patience ends."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while not condition():
        assert loop.time() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


class Child:
    """`trunkline serve` as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.port = 0
        self.said: list[str] = []
        """What it has written on standard error, line by line."""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode())

    async def answers(self) -> None:
        """Wait until it has said where it listens, and does."""
        await until(lambda: self._find_port() or self.process.returncode is not None, "the gateway says its address")
        assert self.port, "".join(self.said)
        assert (await ask(self.port, "/healthz")).status == 200

    def _find_port(self) -> bool:
        found = re.search(r"127\.0\.0\.1:(\d+)", "".join(self.said))
        self.port = int(found[1]) if found else 0
        return bool(found)

    async def ended(self, patience: float = PATIENCE) -> int:
        """Wait for its end: the exit status."""
        status = await asyncio.wait_for(self.process.wait(), patience)
        await self._reading
        return status

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def child(directory: Path, sections: dict[str, Any] | None, *options: str) -> AsyncIterator[Child]:
    """Started and listening. `sections` None: without a configuration. Killed at the end, should it still run."""
    command = [sys.executable, "-m", "trunkline", "serve", *options]
    if sections is not None:
        command += ["--config", str(write_config(directory, sections))]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=directory, env=_environment(), stderr=asyncio.subprocess.PIPE
    )
    run = Child(process, directory)
    try:
        await run.answers()
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await run.ended()


def _environment() -> dict[str, str]:
    """Ours without what would configure a gateway."""
    configures = re.compile("OPENAI|ANTHROPIC|TRUNKLINE|GEMINI|GOOGLE|AWS_|AZURE|_API_KEY|HF_TOKEN")
    return {name: value for name, value in os.environ.items() if not configures.search(name)}


def shipped(directory: Path) -> list[Entry]:
    """The entries that have reached the SQLite file of a gateway in this directory."""
    from trunkline.state.database import Database
    from trunkline.state.ledger import Ledger
    from trunkline.state.location import locate

    database = Database(locate(f"sqlite:///{directory}/trunkline.db"))
    try:
        with database.read() as connection:
            ids = [row[0] for row in connection.exec_driver_sql("SELECT id FROM ledger ORDER BY at")]
        ledger = Ledger(database)
        return [entry for each in ids if (entry := ledger.find(each)) is not None]
    finally:
        database.close()
