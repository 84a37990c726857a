"""How much the process has to do: looked at ten times a second, so that a call has nothing to look at but the verdict.

How late a timer fires is how long all other work waits for its turn: the event loop's own queue, seen from outside.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

from trunkline.policy.shedding import Shedding, SheddingSettings

log = logging.getLogger("trunkline.server")

EVERY = 0.1
"""Seconds between looks."""
MEMORY_EVERY = 10
"""Of so many looks, one is at the memory too."""
SHARE = 0.9
"""Of the memory that a container may have, what its processes may hold."""

_HELD = Path("/proc/self/statm")
_BOUNDS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of a container: control groups of version 2, and of version 1."""
_NO_BOUND = 1 << 60
"""Version 1 says a number like this where there is none."""


class Pressure:
    """`workers`: how many processes share the machine's memory."""

    def __init__(self, settings: SheddingSettings, workers: int = 1) -> None:
        self._workers = workers
        self.shedding = Shedding(settings.lag, self._most(settings))
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0

    def take(self, settings: SheddingSettings) -> None:
        """Go by these from now on."""
        self.shedding.bound(settings.lag, self._most(settings))

    def begin(self) -> None:
        """Look from now on, in the running event loop."""
        self._wait(asyncio.get_running_loop())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due = time.monotonic() + EVERY
        self._timer = loop.call_later(EVERY, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        shedding = self.shedding
        memory = shedding.memory if self._looks % MEMORY_EVERY else held()
        self._looks += 1
        if shedding.observe(max(0.0, time.monotonic() - due), memory):
            self._tell()
        self._wait(loop)

    def _tell(self) -> None:
        shedding = self.shedding
        facts = {"lag": round(shedding.lag, 3), "memory": shedding.memory}
        if shedding.refused:
            names = ", ".join(sorted(shedding.refused))
            log.warning("too much to do: calls of these priorities are refused: %s", names, extra=facts)
        else:
            log.warning("calls of all priorities are taken again", extra=facts)

    def _most(self, settings: SheddingSettings) -> int:
        if settings.memory is not None:
            return settings.memory
        return int(_contained() * SHARE) // self._workers


def held() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    try:
        return int(_HELD.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _contained() -> int:
    """Bytes that this process's container may hold; 0 without a bound."""
    for path in _BOUNDS:
        try:
            bound = int(path.read_bytes())
        except (OSError, ValueError):  # there is no such file, or it says `max`
            continue
        return bound if bound < _NO_BOUND else 0
    return 0
