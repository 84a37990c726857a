"""Notices that a file has changed, however that is done: written in place, replaced by another, or reached through a
link that points elsewhere now (as Kubernetes swaps a ConfigMap).

It looks once a second, in a thread: the file may be on a disk that makes one wait. A kernel's notifications would be
lost with every swap of a directory, and are not to be had on network file systems.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("trunkline.reload")

LOOK_EVERY = 1.0
"""Seconds between two looks."""

Mark = tuple[int, int, int, int]


class Watch:
    """`changed` is called in the watch's own thread, once for each new content that has stayed the same for two looks:
    one that is still being written does not count."""

    def __init__(self, path: Path, changed: Callable[[], None], every: float = LOOK_EVERY) -> None:
        self._path = path
        self._changed = changed
        self._every = every
        self._mark = self._look()
        self._content = self._read()
        self._unsettled = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trunkline-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more. Returns once the thread has ended."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self._once()

    def _once(self) -> None:
        mark = self._look()
        if mark != self._mark:
            self._mark, self._unsettled = mark, True
        elif self._unsettled and mark is not None:
            self._unsettled = False
            content = self._read()
            if content is not None and content != self._content:
                self._content = content
                self._changed()

    def _look(self) -> Mark | None:
        """What tells one state of the file from another; None while there is none: it may be about to be replaced."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev

    def _read(self) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "blake2b").digest()
        except OSError as error:
            log.debug("%s cannot be read at the moment: %s", self._path, error.strerror)
            return None
