"""Another configuration while calls go on: read, compared, taken up whole or refused whole."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from trunkline.config.changes import Change, change, version
from trunkline.config.effective import masked
from trunkline.config.problems import ConfigError
from trunkline.config.schema import Config
from trunkline.config.source import Source

log = logging.getLogger("trunkline.reload")


class Refusal(Struct, frozen=True):
    """A configuration that was not taken up."""

    at: float
    """Seconds since the epoch."""
    problems: tuple[str, ...]


class Reloader:
    """What is in force, and how it changes. `apply` takes up a configuration, or raises and leaves all as it is."""

    def __init__(self, config: Config, source: Source, apply: Callable[[Config], Awaitable[None]]) -> None:
        self.config = config
        self.version = version(config)
        self.since = time.time()
        self.refused: Refusal | None = None
        """What the source says at the moment, where that cannot be used."""
        self.waiting: tuple[str, ...] = ()
        """Sections of the source that differ from what is in force until the next start."""
        self.others: Callable[[], None] = lambda: None
        """Tells the other workers to read again."""
        self.taken = self.refusals = 0
        self._source = source
        self._apply = apply
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def soon(self, why: str) -> None:
        """Read again, behind the caller's back; what comes of it is logged and shown."""
        task = asyncio.get_running_loop().create_task(self._quietly(why))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def reload(self, why: str) -> Change:
        """Read again and take up what is new. Raises ConfigError: all is as it was."""
        async with self._lock:
            try:
                wanted = await asyncio.to_thread(self._source.load)
                found = change(self.config, wanted)
                if found.applied:
                    await self._apply(found.config)
            except ConfigError as error:
                self.refuse(error)
                raise
            await asyncio.to_thread(self._source.taken)
            self._took(found, why)
            return found

    def refuse(self, error: ConfigError) -> None:
        """Note that the source cannot be used."""
        problems = tuple(str(problem) for problem in error.problems)
        if self.refused is None or self.refused.problems != problems:
            log.error("the new configuration is refused, the old one stays:\n%s", error)
        self.refused = Refusal(time.time(), problems)
        self.refusals += 1

    def shown(self) -> dict[str, Any]:
        """What is in force, credentials masked, and what was refused."""
        told = {"process": os.getpid(), "waiting_for_restart": self.waiting, "config": masked(self.config)}
        return {**self.status(), **told}

    def status(self) -> dict[str, Any]:
        """Which configuration is in force, and since when."""
        error = None if self.refused is None else "\n".join(self.refused.problems)
        told = {"version": self.version, "since": self.since, "error": error}
        return told if self.refused is None else {**told, "refused_at": self.refused.at}

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _quietly(self, why: str) -> None:
        try:
            await self.reload(why)
        except ConfigError:
            return  # said by `refuse`

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (mistake := task.exception()) is not None:
            log.error("a mistake of the gateway's own: the old configuration stays", exc_info=mistake)

    def _took(self, found: Change, why: str) -> None:
        self.refused = None
        if found.waiting and found.waiting != self.waiting:
            log.warning("these sections change with the next start only: %s", ", ".join(found.waiting))
        self.waiting = found.waiting
        if not found.applied:
            return
        self.config, self.version, self.since = found.config, version(found.config), time.time()
        self.taken += 1
        log.info("%s: version %s is in force; changed: %s", why, self.version, ", ".join(found.applied))
