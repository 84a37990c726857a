"""Answers on their way to the database, each a file: there before the last byte of the answer leaves, found at once by
every process of the machine, and left behind by no crash.

Each process has a directory of its own below the spool's, with a file in it on which it holds an exclusive `flock`. The
kernel drops the lock when the process dies, however it dies; whoever then gets it, owns what is in the directory. Files
are written aside and renamed, so that nobody reads half of one. They go into the page cache, which outlives the process
but not the machine: like the journal's, they are not synced.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from trunkline.core.stores import Kept
from trunkline.state.segments import lock

_LOCK = "lock"
_DONE = ".kept"
_RUNNING = ".running"
"""What runs in the background, as it stands. It is not shipped: its process tells it once more when it is done."""
_ASIDE = ".new"
_CANCEL = ".cancel"
"""Another process asks the owner to end what runs."""

_decode = msgspec.msgpack.Decoder(Kept).decode


class Spool:
    """What this process has put there, and a look at what all have. Methods raise `OSError`."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._running: set[str] = set()
        self._lock: int | None = None
        while self._lock is None:  # until no other process takes the new directory for one left behind
            self._own = directory / f"{os.getpid()}-{secrets.token_hex(4)}"
            self._own.mkdir(mode=0o700, parents=True)
            self._lock = _locked(self._own)

    def put(self, kept: Kept) -> int:
        """Write it; how many bytes."""
        path = f"{self._own}/{_name(kept.key, kept.id)}"
        data = msgspec.msgpack.encode(kept)
        aside = path + _ASIDE
        descriptor = os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            _write(descriptor, data)
        except OSError:
            os.unlink(aside)
            raise
        finally:
            os.close(descriptor)
        os.rename(aside, path + (_RUNNING if kept.running else _DONE))
        if kept.running:
            self._running.add(path)
        elif path in self._running:
            self._running.discard(path)
            with suppress(FileNotFoundError):  # deleted by whoever asked for that
                os.unlink(path + _RUNNING)
        return len(data)

    def find(self, key: str, id: str) -> Kept | None:
        """In any process's directory: done rather than running."""
        name = _name(key, id)
        for end in (_DONE, _RUNNING):
            for directory in self._directories():
                if (kept := _read(directory / (name + end))) is not None:
                    return kept
        return None

    def remove(self, key: str, id: str) -> None:
        """From every directory."""
        name = _name(key, id)
        for directory in self._directories():
            for end in (_DONE, _RUNNING):
                (directory / (name + end)).unlink(missing_ok=True)

    def waiting(self) -> list[Path]:
        """Our own that are done, oldest first."""
        found = [(entry.stat().st_mtime_ns, entry.path) for entry in _entries(self._own) if entry.name.endswith(_DONE)]
        return [Path(path) for _, path in sorted(found)]

    def size(self) -> int:
        """Bytes in our own directory."""
        return sum(entry.stat().st_size for entry in _entries(self._own))

    def read(self, path: Path) -> Kept | None:
        """None where it is gone, or cannot be read."""
        return _read(path)

    def shipped(self, path: Path) -> bool:
        """Take it away; False where somebody has deleted it meanwhile."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    # ── Between processes ──────────────────────────────────────────────────────────────────────────────────────────

    def ask_to_cancel(self, key: str, id: str) -> bool:
        """Whether a process of this machine has been asked to end this answer."""
        name = _name(key, id)
        for directory in self._directories():
            if (directory / (name + _RUNNING)).exists():
                (directory / (name + _CANCEL)).touch(mode=0o600)
                return True
        return False

    def asked_to_cancel(self, key: str, id: str) -> bool:
        """Whether somebody has asked us; once."""
        try:
            (self._own / (_name(key, id) + _CANCEL)).unlink()
        except FileNotFoundError:
            return False
        return True

    def adopt(self) -> Iterator[Kept]:
        """What processes left behind that are no more; it is ours from here on, those that ran among them."""
        for directory in self._directories():
            if directory == self._own or (lock := _locked(directory)) is None:
                continue
            try:
                for entry in list(_entries(directory)):
                    if entry.name.endswith((_DONE, _RUNNING)) and (kept := _read(Path(entry.path))) is not None:
                        yield kept
                    os.unlink(entry.path)
                (directory / _LOCK).unlink(missing_ok=True)
                directory.rmdir()
            finally:
                os.close(lock)

    def close(self) -> None:
        """Give up the directory, and take it away where it is empty. Idempotent."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        if not any(_entries(self._own)):
            (self._own / _LOCK).unlink(missing_ok=True)
            self._own.rmdir()
        os.close(lock)

    def _directories(self) -> list[Path]:
        """Our own first."""
        return [self._own, *(path for path in self._root.iterdir() if path != self._own and path.is_dir())]


def _name(key: str, id: str) -> str:
    """Ids come from providers and callers: a file's name is none of theirs."""
    return blake2b(f"{key}\0{id}".encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _write(descriptor: int, data: bytes) -> None:
    """All of it. A full disk takes what fits; trying the rest tells why it took no more."""
    written = 0
    while written < len(data):
        written += os.write(descriptor, data[written:] if written else data)


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """All files but the lock."""
    try:
        with os.scandir(directory) as found:
            yield from (entry for entry in found if entry.name != _LOCK)
    except FileNotFoundError:
        return


def _read(path: Path) -> Kept | None:
    try:
        return _decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _locked(directory: Path) -> int | None:
    """The directory's lock, if it is free and the directory still there."""
    try:
        descriptor = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    return descriptor if lock(descriptor) else None
