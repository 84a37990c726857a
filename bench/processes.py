"""Processes that the benchmark starts: pinned to a core, waited for, and stopped by their own id."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.machine import cpu_seconds, rss_mib

START_TIME = 60.0
"""Seconds until a server must listen: the slowest peer takes half of it."""
STOP_TIME = 15.0


class StartFailed(Exception):
    """A process ended, or never listened. The message holds the end of what it wrote."""


class Process:
    """A running program; a context manager that stops it. Its output goes to `log`."""

    def __init__(
        self,
        command: Sequence[str],
        cores: set[int],
        log: Path,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self._log = log
        self._name = Path(command[0]).name
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
            )
        self.pid = self._popen.pid
        # Before it has started a thread or a child of its own, which inherit the core.
        os.sched_setaffinity(self.pid, cores)

    def wait_for(self, port: int) -> None:
        """Return once the port takes connections. Raises StartFailed."""
        deadline = time.monotonic() + START_TIME
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise StartFailed(f"{self._name} did not listen within {START_TIME:.0f} s:\n{self._tail()}")

    def check(self) -> None:
        """Raises StartFailed where the process has ended."""
        if self._popen.poll() is not None:
            raise StartFailed(f"{self._name} ended with status {self._popen.returncode}:\n{self._tail()}")

    def said(self, pattern: str) -> str:
        """The first group of the pattern, once the output matches it. Raises StartFailed."""
        deadline = time.monotonic() + START_TIME
        while time.monotonic() < deadline:
            if found := re.search(pattern, self._log.read_text("utf-8", "replace")):
                return found[1]
            self.check()
            time.sleep(0.05)
        raise StartFailed(f"{self._name} did not say {pattern}:\n{self._tail()}")

    @property
    def cpu(self) -> float:
        """CPU seconds used so far."""
        return cpu_seconds(self.pid)

    @property
    def rss(self) -> float:
        """Resident memory, MiB."""
        return rss_mib(self.pid)

    def stop(self) -> None:
        if self._popen.poll() is not None:
            return
        self._popen.terminate()
        try:
            self._popen.wait(STOP_TIME)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _tail(self) -> str:
        return self._log.read_text("utf-8", "replace")[-2000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
