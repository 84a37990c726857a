"""The journal's files. A segment is a file of JSON lines with one owner, who holds an exclusive `flock` on it.

The kernel drops the lock when the owner dies, however it dies, so a lock that can be had means: nobody writes here any
more, ship it. The same rule serves a crash (the segments of dead processes are found at the next start), a rotation
(closing a segment gives it up) and several workers in one directory (whoever locks it first, ships it).

The owner writes through a memory map: copying a line into the page cache costs a tenth of a system call, and survives
the process just as well. Room is made ahead, by writing zeros, so that a full disk is an error here and not a signal
later; whoever closes the segment cuts the room off again, and whoever reads one that nobody closed stops at the zeros.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".jsonl"
ROOM = 256 * 1024
"""Bytes by which a segment grows."""
READ = 1024 * 1024
"""Bytes read at a time."""


class Segment:
    """A segment that this process holds. `size`: bytes of whole lines; `entries`: lines written through this object."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.entries = 0
        self._map: mmap.mmap | None = None
        self._room = self.size
        self.first_at: float | None = None
        """Monotonic clock, seconds, of the first line written through this object."""

    def write(self, line: bytes | bytearray) -> None:
        """Append one line, whole or not at all. Raises `OSError`, a full disk among them."""
        end = self.size + len(line)
        if self._map is None or end > self._room:
            self._map = self._grown(end)
        self._map[self.size : end] = line
        self.size = end
        self.entries += 1
        if self.first_at is None:
            self.first_at = time.monotonic()

    def _grown(self, end: int) -> mmap.mmap:
        """The file's map, with room up to `end`, more if the disk has it. Raises `OSError`, changing nothing."""
        try:
            room = self._make_room(-(-end // ROOM) * ROOM)
        except OSError:
            room = self._make_room(end)
        grown = mmap.mmap(self.descriptor, room)
        if self._map is not None:
            self._map.close()
        return grown

    def _make_room(self, room: int) -> int:
        missing = bytes(room - self._room)
        written = 0
        try:
            while written < len(missing):  # a full disk takes what fits; trying the rest tells why it took no more
                written += os.write(self.descriptor, missing[written:])
        except OSError:
            os.ftruncate(self.descriptor, self._room)
            raise
        self._room = room
        return room

    def unlinked(self) -> bool:
        """Whether the file has been deleted behind our back."""
        return os.fstat(self.descriptor).st_nlink == 0

    def lines(self, limit: int) -> Iterator[bytes]:
        """The lines from the beginning, each with its newline; what is over `limit` bytes comes in pieces without."""
        with open(self.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            tail = b""
            while piece := file.read(READ):
                *lines, tail = (tail + piece).split(b"\n")
                for line in lines:
                    yield line + b"\n"
                if tail.startswith(b"\0"):
                    return
                while len(tail) > limit:
                    yield tail[:limit]
                    tail = tail[limit:]
            if tail := tail.rstrip(b"\0"):
                yield tail

    def delete(self) -> None:
        """Remove the file and give up the lock, in this order: nobody else may find it in between."""
        self.path.unlink(missing_ok=True)
        self._close()

    def release(self) -> None:
        """Give up the lock; the file stays for whoever locks it next. An empty one is removed."""
        if self.size == 0:
            self.path.unlink(missing_ok=True)
        elif self._map is not None:
            os.ftruncate(self.descriptor, self.size)
        self._close()

    def _close(self) -> None:
        if self._map is not None:
            self._map.close()
        os.close(self.descriptor)


def create(directory: Path) -> Segment:
    """A new segment, locked. The directory is made where it is missing. Raises `OSError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        # Names sort by time, so that the oldest entries are shipped first.
        path = directory / f"{time.time_ns():020d}-{secrets.token_hex(4)}{SUFFIX}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if lock(descriptor):
            return Segment(path, descriptor)
        # Another process took the new file for an orphan and is deleting it.


def orphans(directory: Path) -> Iterator[Segment]:
    """Segments without a living owner, locked for us one by one, oldest first. Raises `OSError`."""
    for path in listing(directory):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if lock(descriptor):
            yield Segment(path, descriptor)


def listing(directory: Path) -> list[Path]:
    """The segments there are, oldest first. Raises `OSError`."""
    return sorted(directory.glob("*" + SUFFIX))


def lock(descriptor: int) -> bool:
    """Take the lock if it is free and the file still has its name; close the descriptor if not."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink > 0:
            return True
    except BlockingIOError:
        pass
    os.close(descriptor)
    return False
