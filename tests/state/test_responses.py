"""What is remembered of answers: found at once, by every process, after every end of one, until it expires."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from trunkline.core.stores import Kept, StoreUnavailable
from trunkline.state import responses_durable
from trunkline.state.database import Database
from trunkline.state.location import locate
from trunkline.state.migrations import migrate
from trunkline.state.responses import ResponseTable, unpacked
from trunkline.state.responses_durable import DurableResponses
from trunkline.state.responses_memory import MemoryResponses
from trunkline.state.responses_spool import Spool

NOW = 1_800_000_000.0


def kept(id: str = "resp_1", key: str = "key_1", **changes: object) -> Kept:
    fields: dict[str, object] = {
        "created": NOW,
        "expires": NOW + 60.0,
        "response": json.dumps({"id": id, "status": "completed", "output": []}).encode(),
        "input": b'[{"role":"user","content":"\xf0\x9f\x98\x80 \\u0000 \\ud83d"}]',
        "makers": (("", 1), ("openai", 2)),
        "target": "openai/gpt-6",
        "native": "resp_there",
    }
    return Kept(id, key, **(fields | changes))  # type: ignore[arg-type]


class Opened:
    """A shipper's half of the bargain."""

    def __init__(self, database: Database | None) -> None:
        self.opened = threading.Event()
        self.opened.set()
        self.database = database


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


# ── The table ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_row_comes_back_whole_and_is_replaced(database: Database) -> None:
    table = ResponseTable(database)
    table.save([kept(), kept(key="key_2", native=""), kept("resp_2")])
    assert table.find("key_1", "resp_1") == kept()
    assert table.find("key_2", "resp_1") == kept(key="key_2", native="")
    assert table.find("key_3", "resp_1") is None
    table.save([kept(target="a/b"), kept(target="c/d")])
    assert table.find("key_1", "resp_1") == kept(target="c/d")
    table.delete("key_1", "resp_1")
    assert table.find("key_1", "resp_1") is None
    assert table.find("key_1", "resp_2") == kept("resp_2")


def test_what_has_expired_goes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.state.responses.EXPIRING", 2)
    table = ResponseTable(database)
    table.save([kept(f"resp_{number}", expires=NOW + number) for number in range(5)])
    assert [table.expire(NOW + 2.5), table.expire(NOW + 2.5)] == [2, 1]
    assert [table.find("key_1", f"resp_{number}") is None for number in range(5)] == [True, True, True, False, False]


def test_bytes_that_are_none_of_ours_are_nothing() -> None:
    assert unpacked(b"nonsense") is None
    assert unpacked(b"x\x9c\x03\x00\x00\x00\x00\x01") is None


def test_another_version_may_know_more_or_less() -> None:
    known = msgspec.to_builtins(kept(), builtin_types=(bytes,)) | {"invented": 1}
    del known["native"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=Kept) == kept(native="")


# ── Files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_process_finds_what_one_put(tmp_path: Path) -> None:
    one, other = Spool(tmp_path), Spool(tmp_path)
    one.put(kept())
    assert other.find("key_1", "resp_1") == kept()
    assert other.find("key_2", "resp_1") is None
    assert other.waiting() == []
    other.remove("key_1", "resp_1")
    assert one.find("key_1", "resp_1") is None
    modes = {path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")}
    assert modes == {0}
    one.close()
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_done_comes_before_what_runs(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(kept(running=True))
    assert spool.find("key_1", "resp_1") == kept(running=True)
    assert spool.waiting() == []
    spool.put(kept())
    assert spool.find("key_1", "resp_1") == kept()
    assert len(spool.waiting()) == 1
    spool.close()


def test_the_owner_hears_once_that_it_shall_end(tmp_path: Path) -> None:
    owner, other = Spool(tmp_path), Spool(tmp_path)
    assert not other.ask_to_cancel("key_1", "resp_1")
    owner.put(kept(running=True))
    assert other.ask_to_cancel("key_1", "resp_1")
    assert not other.asked_to_cancel("key_1", "resp_1")
    assert [owner.asked_to_cancel("key_1", "resp_1") for _ in range(2)] == [True, False]
    owner.close()
    other.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.state.test_responses import kept
from trunkline.state.responses_spool import Spool
spool = Spool(Path(sys.argv[1]))
spool.put(kept("resp_done"))
spool.put(kept("resp_running", running=True))
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_killed_process_leaves_what_was_done_and_what_ran_has_failed(tmp_path: Path) -> None:
    spool, database = tmp_path / "responses", _database(tmp_path)
    ended = subprocess.run([sys.executable, "-c", KILLED, spool], cwd=Path(__file__).parents[2], timeout=30)
    assert ended.returncode == -9
    store = DurableResponses(spool, Opened(database), Clock())
    assert await store.find("key_1", "resp_done") == kept("resp_done")  # before anything is shipped
    store.ship(database)
    table = ResponseTable(database)
    assert table.find("key_1", "resp_done") == kept("resp_done")
    broken = table.find("key_1", "resp_running")
    assert broken is not None
    assert not broken.running
    assert json.loads(broken.response)["status"] == "failed"
    assert [path.is_dir() for path in spool.iterdir()] == [True], "the dead process's directory is gone"
    store.close()
    database.close()


def test_what_a_living_process_holds_is_left_alone(tmp_path: Path) -> None:
    one, other = Spool(tmp_path), Spool(tmp_path)
    one.put(kept())
    assert list(other.adopt()) == []
    assert one.find("key_1", "resp_1") == kept()
    one.close()
    assert list(other.adopt()) == [kept()]
    other.close()


# ── Both ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _database(directory: Path) -> Database:
    database = Database(locate(f"sqlite:///{directory}/a.db"))
    migrate(database)
    return database


async def test_files_then_rows_until_it_expires(tmp_path: Path) -> None:
    database, clock = _database(tmp_path), Clock()
    store = DurableResponses(tmp_path / "responses", Opened(database), clock)
    store.keep(kept())
    assert await store.find("key_1", "resp_1") == kept()
    store.ship(database)
    assert [path.name for path in (tmp_path / "responses").rglob("*.kept")] == []
    assert await store.find("key_1", "resp_1") == kept()
    clock.now += 60.0
    assert await store.find("key_1", "resp_1") is None
    store.close()
    database.close()


async def test_to_forget_is_final_wherever_it_is(tmp_path: Path) -> None:
    database = _database(tmp_path)
    store = DurableResponses(tmp_path / "responses", Opened(database), Clock())
    store.keep(kept("resp_file"))
    await store.forget("key_1", "resp_file")
    store.keep(kept("resp_row"))
    store.ship(database)
    await store.forget("key_1", "resp_row")
    store.ship(database)
    assert await store.find("key_1", "resp_file") is None
    assert await store.find("key_1", "resp_row") is None
    store.close()
    database.close()


@pytest.mark.parametrize("late", [False, True])
def test_one_deleted_while_it_is_shipped_does_not_come_back(
    late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = _database(tmp_path)
    store, other = DurableResponses(tmp_path / "responses", Opened(database), Clock()), Spool(tmp_path / "responses")
    store.keep(kept())
    save = ResponseTable.save

    def overtaken(table: ResponseTable, rows: list[Kept], still: Callable[[Kept], bool]) -> None:
        """`late`: nobody sees in time that the file is gone, as it may be on PostgreSQL."""
        other.remove("key_1", "resp_1")
        table.delete("key_1", "resp_1")
        save(table, rows, (lambda kept: True) if late else still)
        assert (table.find("key_1", "resp_1") is not None) == late

    monkeypatch.setattr(ResponseTable, "save", overtaken)
    store.ship(database)
    assert ResponseTable(database).find("key_1", "resp_1") is None
    other.close()
    store.close()
    database.close()


async def test_without_a_database_what_is_in_files_is_found_and_the_rest_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses_durable, "PATIENCE", 0.05)
    store = DurableResponses(tmp_path, Opened(None), Clock())
    store.keep(kept())
    assert await store.find("key_1", "resp_1") == kept()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.find("key_1", "resp_2")
    with pytest.raises(StoreUnavailable):
        await store.forget("key_1", "resp_1")
    store.close()


async def test_a_database_that_hangs_is_waited_for_no_longer_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses_durable, "OPENING", 0.05)
    opened = Opened(None)
    opened.opened.clear()
    opened.opened.wait = lambda timeout=None: threading.Event().wait(0.5)  # type: ignore[method-assign]
    store = DurableResponses(tmp_path, opened, Clock())
    with pytest.raises(StoreUnavailable, match=r"within 0\.05 seconds"):
        await store.find("key_1", "resp_1")
    store.close()


async def test_what_waits_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(responses_durable, "MAX_WAITING", 2 * kept().size)
    store = DurableResponses(tmp_path, Opened(None), Clock())
    for number in range(3):
        store.keep(kept(f"resp_{number}"))
    assert "could not be remembered so far: 1" in caplog.text
    assert await store.find("key_1", "resp_0") == kept("resp_0")
    store.close()


async def test_memory_alone_keeps_the_latest_and_forgets_what_expired() -> None:
    clock = Clock()
    store = MemoryResponses(2 * kept().size, clock)
    for number in range(3):
        store.keep(kept(f"resp_{number}"))
    assert await store.find("key_1", "resp_0") is None
    assert await store.find("key_1", "resp_2") == kept("resp_2")
    assert await store.find("key_2", "resp_2") is None
    await store.forget("key_1", "resp_2")
    assert await store.find("key_1", "resp_2") is None
    clock.now += 60.0
    assert await store.find("key_1", "resp_1") is None


async def test_another_machine_finds_it_as_soon_as_it_is_in_the_database(database: Database, tmp_path: Path) -> None:
    """Files are this machine's alone; who shares a PostgreSQL looks twice."""
    here, there = (DurableResponses(tmp_path / name, Opened(database), Clock()) for name in ("here", "there"))
    here.keep(kept())
    looking = asyncio.create_task(there.find("key_1", "resp_1"))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(here.ship, database)
    assert await looking == (kept() if database.kind == "postgresql" else None)
    assert await there.find("key_1", "resp_1") == kept()
    here.close()
    there.close()
