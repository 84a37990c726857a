"""Keeping silent streams alive.

One task for all streams looks round a few times per interval; a stream's own chunks cost one clock reading each. A ping
goes only where nothing has been written for the whole interval, never beside a write, and always between events: flows
give out whole events.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

LOOKS_PER_INTERVAL = 15


class Streaming:
    """A stream on its way to a client."""

    __slots__ = ("_ping", "_send", "last", "over", "writing")

    def __init__(self, send: Callable[[Any], Awaitable[None]], ping: bytes) -> None:
        self._send = send
        self._ping = ping
        self.last = time.monotonic()
        self.writing = False
        self.over = False

    async def write(self, data: bytes, more: bool) -> None:
        self.writing = True
        self.over = not more
        await self._send({"type": "http.response.body", "body": data, "more_body": more})
        self.writing = False
        self.last = time.monotonic()

    async def ping(self) -> None:
        """Unless something was written between the decision to ping and now."""
        if not self.writing and not self.over:
            await self.write(self._ping, True)


class Pinger:
    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._streams: set[Streaming] = set()
        self._pings: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, streaming: Streaming) -> None:
        self._streams.add(streaming)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def discard(self, streaming: Streaming) -> None:
        self._streams.discard(streaming)

    async def _run(self) -> None:
        """Ends when there is no stream left to look after."""
        loop = asyncio.get_running_loop()
        while self._streams:
            await asyncio.sleep(self._interval / LOOKS_PER_INTERVAL)
            silent_since = time.monotonic() - self._interval
            for streaming in self._streams:
                if streaming.last <= silent_since and not streaming.writing:
                    task = loop.create_task(streaming.ping())
                    self._pings.add(task)
                    task.add_done_callback(self._pings.discard)
        self._task = None
