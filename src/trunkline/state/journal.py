"""The journal: where an entry is safe before the last byte of its answer leaves. `append` costs a copy in memory.

What has been copied into a segment is in the kernel's page cache: it survives `kill -9`, not a power cut, unless
`fsync` is set. The shipper's thread moves entries from here to the database. When the disk refuses, entries wait in a
bounded queue in memory, in order, and are written when it accepts again; what the queue cannot hold is counted and
logged.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from trunkline.core.call import Entry
from trunkline.state import segments
from trunkline.state.location import StateError
from trunkline.state.segments import Segment

log = logging.getLogger(__name__)

MAX_NAME = 200
"""Characters of a name in an entry that had to be cut down."""
MAX_ENTRY = 64 * 1024 * 1024
"""The most that `entry_bytes` may be: what a reader of the journal must be ready for."""
RETRY = 0.25
"""Seconds between attempts on a disk that refuses."""


class JournalSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The journal's bounds, and how careful it is. Sizes in bytes."""

    segment_bytes: int = 16 * 1024 * 1024
    entry_bytes: Annotated[int, msgspec.Meta(ge=1024, le=MAX_ENTRY)] = 4 * 1024 * 1024
    """A larger entry is kept without its bodies and message."""
    directory_bytes: int = 4 * 1024 * 1024 * 1024
    """The most that the directory may hold, of all processes together, to within a segment each. What comes then is
    treated as if the disk were full."""
    queue_entries: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    """What may wait in memory while the disk refuses."""
    fsync: bool = False
    """Wait for the disk itself with every entry: survives a power cut, costs milliseconds a call."""


class Forgetful:
    """The journal of a gateway without a database (`state.durable: null`): nothing is kept."""

    def append(self, entry: Entry) -> None:
        pass


class FileJournal:
    """`core.stores.Journal` in a directory, which several processes may share. Raises `StateError` where it cannot."""

    def __init__(self, directory: Path, settings: JournalSettings | None = None) -> None:
        self.directory = directory
        self.settings = settings or JournalSettings()
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()
        # Held for a copy in memory; the shipper's thread takes it to swap segments.
        self._lock = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._retry_at = 0.0
        self._closed: dict[Path, tuple[int, float]] = {}
        """Segments of ours that are not shipped yet: their entries and the monotonic time of the first."""
        self._lost = 0
        self._error: str | None = None
        try:
            self._active = segments.create(directory)
        except OSError as error:
            raise StateError(
                f"state.directory: the journal cannot write to {directory} ({error.strerror}); "
                "make it writable or choose another directory"
            ) from error

    def append(self, entry: Entry) -> None:
        """Keep an entry. Never raises, never waits for the database."""
        with self._lock:
            line = self._encode(entry)
            if line is None:
                return
            if self._queue:
                self._enqueue(bytes(line))
                if time.monotonic() >= self._retry_at:
                    self._drain()
                return
            try:
                self._write(line)
            except OSError as error:
                self._refused(error)
                self._enqueue(bytes(line))

    def maintain(self) -> None:
        """Write what is queued, and start anew where the file was deleted behind our back. The shipper calls this."""
        with self._lock:
            try:
                if self._active.unlinked():
                    log.error("the journal %s was deleted while in use; starting another", self._active.path)
                    self._rotate()
            except OSError as error:
                self._refused(error)
            if self._queue:
                self._drain()

    def rotate(self) -> None:
        """Give up the segment being written, so that it can be shipped. Does nothing where it is empty.

        Raises `OSError` where a new one cannot be made: the old one stays in use.
        """
        if self._active.size:
            # Made before the lock is taken: a call that ends now waits for an assignment, not for the file system.
            fresh = segments.create(self.directory)
            with self._lock:
                old = self._swap(fresh)
            old.release()

    def shipped(self, segment: Segment) -> None:
        """Delete a segment whose entries are all in the database."""
        segment.delete()
        with self._lock:
            self._closed.pop(segment.path, None)

    def status(self) -> dict[str, Any]:
        """What waits for the database, for health and metrics.

        `entries` of this process (`queued` of them in memory only), `bytes` on disk of all processes in the directory,
        `oldest_age` in seconds, `lost` entries that the queue could not hold, `error` while the disk refuses.
        """
        present = self._sizes()
        with self._lock:
            # A segment that is gone was shipped by another process.
            self._closed = {path: facts for path, facts in self._closed.items() if path in present}
            waiting = [*self._closed.values()]
            if self._active.first_at is not None:
                waiting.append((self._active.entries, self._active.first_at))
            return {
                "entries": sum(entries for entries, _ in waiting) + len(self._queue),
                "queued": len(self._queue),
                "bytes": sum(present.values()),
                "oldest_age": time.monotonic() - min(at for _, at in waiting) if waiting else 0.0,
                "lost": self._lost,
                "error": self._error,
            }

    def close(self) -> None:
        """Write what is queued, if the disk lets us, and give up the segment. The journal is not used afterwards."""
        with self._lock:
            self._drain()
            if self._queue:
                log.error("%d ledger entries are lost: the disk refuses them still", len(self._queue))
            self._active.release()

    def _encode(self, entry: Entry) -> bytearray | None:
        """The entry's line, in the buffer that the next call overwrites; None where it cannot be written as JSON."""
        for form in _FORMS:
            try:
                self._encoder.encode_into(form(entry), self._buffer)
            except (ValueError, TypeError, OverflowError, AttributeError) as error:
                log.warning("ledger entry %s cannot be kept whole: %s", ascii(entry.id), error)
                continue
            if len(self._buffer) < self.settings.entry_bytes:
                self._buffer.append(0x0A)
                return self._buffer
        self._lost += 1
        log.error("ledger entry %s is lost: it cannot be written as JSON", ascii(entry.id))
        return None

    def _write(self, line: bytes | bytearray) -> None:
        if self._active.size >= self.settings.segment_bytes:
            self._rotate()
        self._active.write(line)
        if self.settings.fsync:
            os.fdatasync(self._active.descriptor)

    def _rotate(self) -> None:
        """Raises `OSError`."""
        if sum(self._sizes().values()) + self.settings.segment_bytes > self.settings.directory_bytes:
            raise OSError(errno.EDQUOT, f"it holds {self.settings.directory_bytes} bytes (state.journal_bytes)")
        self._swap(segments.create(self.directory)).release()

    def _swap(self, fresh: Segment) -> Segment:
        """Write to another segment from now on; the one before is returned, still locked."""
        old, self._active = self._active, fresh
        if old.first_at is not None:
            self._closed[old.path] = (old.entries, old.first_at)
        return old

    def _enqueue(self, line: bytes) -> None:
        settings = self.settings
        if len(self._queue) >= settings.queue_entries or self._queue_bytes + len(line) > settings.queue_bytes:
            self._lost += 1
            if self._lost & (self._lost - 1) == 0:
                # At 1, 2, 4, 8 …: a full disk must not fill the log as well.
                log.error("ledger entries lost so far: %d; the disk refuses them and the queue is full", self._lost)
            return
        self._queue.append(line)
        self._queue_bytes += len(line)

    def _drain(self) -> None:
        """Write the queue, oldest first, as far as the disk accepts."""
        try:
            if self._queue and self._active.size:
                # What refused may be this file alone (its size limit): a fresh one is tried once it is not empty.
                self._rotate()
            while self._queue:
                self._write(self._queue[0])
                self._queue_bytes -= len(self._queue.popleft())
        except OSError as error:
            self._refused(error)
            return
        if self._error is not None:
            log.warning("the journal's disk accepts entries again")
            self._error = None

    def _refused(self, error: OSError) -> None:
        if self._error is None:
            log.error("the journal's disk refuses entries, which wait in memory: %s", error)
        self._error = str(error)
        self._retry_at = time.monotonic() + RETRY

    def _sizes(self) -> dict[Path, int]:
        """Bytes of each segment in the directory."""
        sizes: dict[Path, int] = {}
        with contextlib.suppress(OSError):
            for path in segments.listing(self.directory):
                with contextlib.suppress(FileNotFoundError):
                    sizes[path] = path.stat().st_size
        return sizes


def _without_bodies(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, request=None, response=None, message=None)


def _bare(entry: Entry) -> Entry:
    """Without lists as well, and with names cut short and made valid Unicode."""
    optional = ("key", "model", "target", "price_model", "error")
    names = {name: _plain(value) for name in optional if (value := getattr(entry, name)) is not None}
    return msgspec.structs.replace(
        _without_bodies(entry),
        id=_plain(entry.id),
        surface=_plain(entry.surface),
        tags=(),
        attempts=[],
        lost=(),
        **names,
    )


def _plain(name: str) -> str:
    return name.encode("utf-8", "replace").decode()[:MAX_NAME]


_FORMS: tuple[Callable[[Entry], Entry], ...] = (lambda entry: entry, _without_bodies, _bare)
"""What is tried in turn until an entry can be encoded and is small enough: the call must count in any case."""
