"""Work that may wait for the database, in threads of its own: few, and given up after a while.

Not in asyncio's own pool: a database that has stopped answering would fill that, and calls read large bodies there. And
no thread of it keeps the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from trunkline.core.errors import Overloaded

T = TypeVar("T")

MOST = 4
"""At once; each that is stuck counts until it comes back."""
PATIENCE = 10.0
"""Seconds."""


class Threads:
    def __init__(self) -> None:
        self._free = threading.Semaphore(MOST)

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns or raises. Raises Overloaded where it takes too long, or others do."""
        if not self._free.acquire(blocking=False):
            raise Overloaded("The database has not answered others either. Try again later.", retry_after=5.0)
        future: Future[T] = Future()
        threading.Thread(target=self._do, args=(work, future), name="trunkline-admin", daemon=True).start()
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise Overloaded("The database does not answer.", retry_after=5.0) from error

    def _do(self, work: Callable[[], T], future: Future[T]) -> None:
        """The thread's boundary: what goes wrong is told to whoever waits."""
        if not future.set_running_or_notify_cancel():
            self._free.release()
            return
        try:
            result = work()
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            self._free.release()
