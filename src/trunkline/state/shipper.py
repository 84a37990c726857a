"""One daemon thread between the memory of this process and the database.

It does everything that may wait: opens the database and migrates it, loads the keys and keeps them fresh, moves the
journal's entries into the ledger. Each of these is a job with its own clock and its own backoff, so that a ledger that
cannot be written does not keep a disabled key alive. Nothing here is imported before the thread runs: SQLAlchemy takes
0.9 s, and by then the server is listening.

An entry leaves the journal only once its transaction is committed, and the ledger takes an id once: a crash at any
point repeats work and loses none. An entry that the database refuses for what it is, and not for the database's state,
would block all behind it: it is set aside in a file, and said.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trunkline.core.call import Entry
from trunkline.core.stores import Hints
from trunkline.state import segments
from trunkline.state.journal import MAX_ENTRY, FileJournal
from trunkline.state.keyring import MemoryKeyRing
from trunkline.state.location import Location, StateError
from trunkline.state.segments import Segment

if TYPE_CHECKING:
    from trunkline.state.database import Database
    from trunkline.state.keys import KeyStore
    from trunkline.state.ledger import Ledger

log = logging.getLogger(__name__)

Price = Callable[[Entry], tuple[int, str] | None]

BUSY_TIMEOUT = 0.25
"""Seconds to wait for a database lock: short, because the thread has other jobs and comes back by itself."""
SILENT = 5.0
"""Seconds without getting on after which a job is said to wait in vain."""
NICER = 3
"""By how much the thread's niceness is above the program's: it gets half of what the loop gets where both want all. Not
more, for the loop may wait for a lock that it holds."""
REJECTED = "rejected.txt"
"""In the journal's directory: entries that could not be stored, one a line."""
MAX_REJECTED = 16 * 1024 * 1024
"""Bytes of that file; what is beyond is only logged."""


_LISTS = ("tags", "attempts", "lost")
_LINE = cast(
    type[Entry],
    msgspec.defstruct("_Line", [(name, msgspec.Raw, msgspec.Raw()) for name in _LISTS], bases=(Entry,)),
)
"""An entry as it is read here: its lists stay the JSON that they are, for so they are stored."""


class ShipperSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How often and how much. Times in seconds."""

    poll: float = 0.25
    """Between looks at the journal and at the keys' revision."""
    max_backoff: float = 5.0
    batch_entries: int = 500
    batch_bytes: int = 8 * 1024 * 1024


class _Job:
    """Something done again and again, less often while it fails."""

    def __init__(self, name: str, action: Callable[[], None], settings: ShipperSettings) -> None:
        self.name = name
        self.action = action
        self.settings = settings
        self.due = 0.0
        self.failures = 0
        self.error: str | None = None
        self.began: float | None = None
        """When it was last seen to get on, while it runs; monotonic clock."""

    def trouble(self, now: float) -> str | None:
        """Why nothing comes of it at the moment: an error, or no answer at all."""
        if self.began is not None and now - self.began > SILENT:
            return f"the database has not answered for {now - self.began:.0f} s"
        return self.error

    def succeeded(self, now: float) -> None:
        if self.error is not None:
            log.warning("%s: works again after %d failures", self.name, self.failures)
        self.failures, self.error, self.due = 0, None, now + self.settings.poll

    def failed(self, now: float, error: str, surprise: Exception | None) -> None:
        if error != self.error:
            log.error("%s: %s", self.name, error, exc_info=surprise)
        self.error = error
        self.due = now + min(self.settings.poll * 2 ** min(self.failures, 16), self.settings.max_backoff)
        self.failures += 1


def _stand_back() -> None:
    """Let the event loop go before this thread. While it waits for the interpreter's lock it is woken whenever the loop
    lets go of that, which is several times a call; a thread of the class for batches does not push others aside when it
    is woken (sched(7)). That saves a busy gateway on one core a tenth of its time. Where the system knows no such
    class, or forbids it, all goes on without."""
    with contextlib.suppress(AttributeError, OSError):
        own = threading.get_native_id()
        os.sched_setscheduler(own, os.SCHED_BATCH, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + NICER)


class Shipper:
    """`price` answers with (nano-dollars, date of the price) of an entry's usage, or None where it knows none."""

    def __init__(
        self,
        location: Location,
        journal: FileJournal,
        keys: MemoryKeyRing,
        price: Price,
        auth_secret: str | None = None,
        settings: ShipperSettings | None = None,
    ) -> None:
        self._location = location
        self._journal = journal
        self._ring = keys
        self._price = price
        self._auth_secret = auth_secret
        self._settings = settings or ShipperSettings()
        self._decoder = msgspec.json.Decoder(_LINE)
        self._keys_job = _Job("keys", self._refresh_keys, self._settings)
        self._ledger_job = _Job("ledger", self._ship, self._settings)
        self._jobs = [self._keys_job, self._ledger_job]
        self._thread = threading.Thread(target=self._run, name="trunkline-shipper", daemon=True)
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self.opened = threading.Event()
        """Set once the database has been opened, or will not be any more."""
        self._deadline = float("inf")
        self._database: Database | None = None
        self._opened: tuple[Ledger, KeyStore, bytes] | None = None
        self._revision: str | None = None
        self._told: str | None = None
        self._changed: Callable[[str | None], object] = lambda revision: None
        self._shipped = 0
        self._rejected = 0
        self._drained = False

    def also(self, name: str, action: Callable[[Database], None]) -> None:
        """Do this again and again too, with the opened database; once more at the end. Call it before `start`."""
        self._jobs.append(_Job(name, lambda: action(self._open_database()), self._settings))

    def start(self) -> None:
        """Begin; once only. Call it when the server is listening."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Ship what is left and end, within `timeout` seconds. True where nothing is left; the journal keeps the rest.

        The caller closes the journal afterwards.
        """
        if not self._thread.is_alive():
            return self._drained
        self._deadline = time.monotonic() + timeout
        self._stopping.set()
        self._awake.set()
        self._thread.join(timeout)
        self.opened.set()
        return self._drained

    def share(self, hints: Hints) -> None:
        """Tell the other processes when keys are found changed of which nobody has told us, and hear it from them. Call
        it on the event loop."""
        loop = asyncio.get_running_loop()
        self._changed = lambda revision: loop.call_soon_threadsafe(hints.publish, "keys", revision)
        hints.listen("keys", str, self.hurry)

    def hurry(self, told: str | None = None) -> None:
        """Look at the keys now: they have changed, by the word of another process if `told` is their revision. A
        database that fails is left alone as long as it would be."""
        self._told = told
        if self._keys_job.failures == 0:
            self._keys_job.due = 0.0
            self._awake.set()

    @property
    def database(self) -> Database | None:
        """Once it is open."""
        return self._database if self._opened is not None else None

    @property
    def keys(self) -> KeyStore | None:
        """The keys in the database, once it is open."""
        return self._opened[1] if self._opened is not None else None

    def status(self) -> dict[str, Any]:
        """For health and metrics: `open`, `errors` by job, `shipped` and `rejected` counts, `keys`, `journal`."""
        now = time.monotonic()
        return {
            "open": self._opened is not None,
            "errors": {job.name: why for job in self._jobs if (why := job.trouble(now)) is not None},
            "shipped": self._shipped,
            "rejected": self._rejected,
            "keys": self._ring.status(),
            "journal": self._journal.status(),
        }

    def _run(self) -> None:
        _stand_back()
        while not self._stopping.is_set():
            for job in self._jobs:
                self._attempt_if_due(job)
            self._awake.wait(max(0.0, min(job.due for job in self._jobs) - time.monotonic()))
            self._awake.clear()
        self._drained = self._drain()
        for job in self._jobs:
            if job not in (self._keys_job, self._ledger_job) and time.monotonic() < self._deadline:
                self._attempt(job)
        if self._database is not None:
            self._database.close()

    def _drain(self) -> bool:
        """Ship until nothing of ours is left or the deadline has come; whether nothing is.

        A round without an error is not enough: another process of this directory may have locked what we gave up, and
        be about to ship it or to fail.
        """
        ledger = self._ledger_job
        while not (self._attempt(ledger) and self._journal.status()["entries"] == 0):
            if ledger.due >= self._deadline:
                return False
            time.sleep(max(0.0, ledger.due - time.monotonic()))
        return True

    def _attempt_if_due(self, job: _Job) -> None:
        if time.monotonic() >= job.due:
            self._attempt(job)

    def _attempt(self, job: _Job) -> bool:
        """Run a job; the thread's boundary, which no error may pass."""
        job.began = time.monotonic()
        try:
            job.action()
        except Exception as error:  # noqa: BLE001
            known = self._describe(error)
            job.failed(time.monotonic(), known or type(error).__name__, None if known else error)
            return False
        finally:
            job.began = None
        job.succeeded(time.monotonic())
        return True

    def _describe(self, error: Exception) -> str | None:
        """An error that is to be expected, in one line without passwords; None for any other."""
        from sqlalchemy.exc import SQLAlchemyError

        if isinstance(error, (StateError, OSError)):
            return self._location.scrub(str(error))
        if self._database is not None and isinstance(error, SQLAlchemyError):
            return self._database.describe(error)
        return None

    def _open(self) -> tuple[Ledger, KeyStore, bytes]:
        """The database, migrated. Raises `StateError` and `SQLAlchemyError`."""
        if self._opened is None:
            from trunkline.state.auth_secret import server_secret
            from trunkline.state.database import Database
            from trunkline.state.keys import KeyStore
            from trunkline.state.ledger import Ledger
            from trunkline.state.migrations import migrate

            if self._database is None:
                self._database = Database(self._location, BUSY_TIMEOUT)
            outcome = migrate(self._database)
            secret = server_secret(self._database, self._auth_secret)
            keys = KeyStore(self._database, secret)
            if not keys.secret_matches():
                log.error("auth_secret: the keys were made with another server secret: no call will find its key")
            log.info("database %s: schema %s", self._location.shown, outcome)
            self._opened = Ledger(self._database), keys, secret
            self.opened.set()
        return self._opened

    def _open_database(self) -> Database:
        self._open()
        assert self._database is not None
        return self._database

    def _refresh_keys(self) -> None:
        """Load the keys again if any has changed."""
        _, keys, secret = self._open()
        # Read before the keys: a change in between is seen by the next poll.
        revision = keys.revision()
        if revision != self._revision or not self._ring.loaded:
            first = not self._ring.loaded
            self._ring.replace(secret, keys.load())
            self._revision = revision
            if not first and revision != self._told:
                self._changed(revision)

    def _ship(self) -> None:
        """Move every segment that nobody writes any more into the ledger."""
        self._journal.maintain()
        ledger, _, _ = self._open()
        # Only a working ledger makes small segments: while it fails, entries gather in the one being written.
        if self._ledger_job.failures == 0 or self._stopping.is_set():
            self._journal.rotate()
        for segment in segments.orphans(self._journal.directory):
            try:
                self._ship_segment(ledger, segment)
            except BaseException:
                segment.release()
                raise
            self._journal.shipped(segment)

    def _ship_segment(self, ledger: Ledger, segment: Segment) -> None:
        for batch in self._batches(segment):
            if time.monotonic() >= self._deadline:
                raise TimeoutError("there was no time left to ship everything; the journal keeps the rest")
            self._store(ledger, batch)
            self._ledger_job.began = time.monotonic()
            # A long backlog must not keep a disabled key alive either.
            self._attempt_if_due(self._keys_job)

    def _batches(self, segment: Segment) -> Iterator[list[Entry]]:
        """A segment's entries, priced. A line that is none is set aside; a torn last line is what a crash leaves."""
        batch: list[Entry] = []
        size = 0
        for line in segment.lines(MAX_ENTRY + 1):
            try:
                entry = self._decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                self._set_aside(line, f"{segment.path.name}: {error}")
                continue
            batch.append(self._priced(entry))
            size += len(line)
            if len(batch) >= self._settings.batch_entries or size >= self._settings.batch_bytes:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _priced(self, entry: Entry) -> Entry:
        if entry.cost is not None or entry.price_model is None or entry.usage is None:
            return entry
        try:
            found = self._price(entry)
            if found is not None:
                entry.cost, entry.price_date = found
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            log.warning("no price for %s: %s: %s", entry.price_model, type(error).__name__, error)
        return entry

    def _store(self, ledger: Ledger, batch: list[Entry]) -> None:
        from sqlalchemy.exc import DataError, IntegrityError

        refusals = (DataError, IntegrityError, OverflowError, UnicodeEncodeError)
        try:
            ledger.append(batch)
            self._shipped += len(batch)
        except refusals as error:
            if len(batch) == 1:
                self._set_aside(msgspec.json.encode(batch[0]) + b"\n", type(error).__name__)
                return
            middle = len(batch) // 2
            self._store(ledger, batch[:middle])
            self._store(ledger, batch[middle:])

    def _set_aside(self, line: bytes, why: str) -> None:
        self._rejected += 1
        log.error("a journal line of %d bytes is no ledger entry and is set aside in %s: %s", len(line), REJECTED, why)
        path: Path = self._journal.directory / REJECTED
        if path.exists() and path.stat().st_size + len(line) > MAX_REJECTED:
            return
        with open(path, "ab", opener=_private) as file:
            file.write(line if line.endswith(b"\n") else line + b"\n")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
