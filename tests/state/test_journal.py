"""The journal: entries survive the process, the disk's refusals are survived by the entries."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.state.conftest import entry, eventually
from trunkline.core.call import Entry
from trunkline.core.usage import Usage
from trunkline.state import segments
from trunkline.state.journal import RETRY, FileJournal, JournalSettings
from trunkline.state.location import StateError


def shipped(directory: Path) -> list[Entry]:
    """Take all that nobody writes any more, as the shipper does."""
    found = []
    for segment in segments.orphans(directory):
        found += [msgspec.json.decode(line, type=Entry) for line in segment.lines(2**20) if line.endswith(b"\n")]
        segment.delete()
    return found


def test_entries_come_back_whole_and_in_order(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    entries = [entry(str(n), response="line\nbreak") for n in range(50)]
    for one in entries:
        journal.append(one)
    assert shipped(tmp_path) == []
    journal.close()
    assert shipped(tmp_path) == entries
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (journal.directory, *journal.directory.iterdir())]
    assert modes == [0o700, 0o600]
    journal.close()


def test_a_segment_is_left_when_it_is_full_and_all_are_counted(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, JournalSettings(segment_bytes=2000))
    for n in range(20):
        journal.append(entry(str(n)))
    status = journal.status()
    assert (status["entries"], status["queued"], status["lost"], status["error"]) == (20, 0, 0, None)
    assert status["bytes"] == sum(path.stat().st_size for path in tmp_path.iterdir()) > 10_000
    assert status["oldest_age"] > 0
    closed = shipped(tmp_path)
    assert 10 < len(closed) < 20
    assert journal.status()["entries"] == 20 - len(closed)
    journal.close()
    assert [e.id for e in closed + shipped(tmp_path)] == [str(n) for n in range(20)]


def test_threads_may_append_while_segments_are_swapped(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, JournalSettings(segment_bytes=5000))

    def write(name: int) -> None:
        for n in range(200):
            journal.append(entry(f"{name}-{n}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    found = []
    while any(thread.is_alive() for thread in threads):
        journal.rotate()
        found += shipped(tmp_path)
    journal.close()
    found += shipped(tmp_path)
    assert sorted(e.id for e in found) == sorted(f"{name}-{n}" for name in range(4) for n in range(200))


def test_an_entry_too_large_is_kept_without_its_bodies(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, JournalSettings(entry_bytes=2000))
    journal.append(entry("bodies", request="x" * 3000))
    journal.append(entry("tags", tags=tuple("x" * 100 for _ in range(100))))
    journal.close()
    bodies, tags = shipped(tmp_path)
    assert bodies == entry("bodies", request=None, response=None, message=None)
    assert (tags.id, tags.tags, tags.cost, tags.usage) == ("tags", (), entry("").cost, entry("").usage)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "\ud800"},
        {"message": "\udfff"},
        {"tags": ("\ud800",)},
        {"usage": Usage(input=2**70)},
        {"duration": float("inf")},
    ],
    ids=str,
)
def test_an_odd_entry_counts_all_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    journal = FileJournal(tmp_path)
    journal.append(entry("odd", **changes))
    journal.close()
    (segment,) = segments.orphans(tmp_path)
    (line,) = segment.lines(2**20)
    assert msgspec.json.decode(line)["id"] == "odd"
    segment.delete()


def test_append_never_raises_even_for_what_is_no_entry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = FileJournal(tmp_path)
    journal.append(entry("x", key=object()))
    assert journal.status()["lost"] == 1
    assert "is lost" in caplog.text
    journal.close()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"^state\.directory: the journal cannot write to .*file/journal"):
        FileJournal(tmp_path / "file" / "journal")


def test_segments_of_the_living_are_left_alone_and_those_of_the_dead_adopted(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from trunkline.state.journal import FileJournal;"
        "from trunkline.core.call import Entry; j = FileJournal(Path(sys.argv[1]));"
        "j.append(Entry(id='theirs', at=0, surface='s', status=200)); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        assert shipped(tmp_path) == []
        child.kill()
    assert [e.id for e in shipped(tmp_path)] == ["theirs"]


def test_a_file_deleted_behind_our_back_is_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = FileJournal(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    journal.maintain()
    journal.append(entry("after"))
    journal.close()
    assert [e.id for e in shipped(tmp_path)] == ["after"]
    assert "was deleted while in use" in caplog.text


FULL_DISK = """
import resource, sys
from pathlib import Path
from trunkline.core.call import Entry
from trunkline.state.journal import FileJournal, JournalSettings

def entry(n): return Entry(id=str(n), at=0, surface="s" * 100, status=200)

journal = FileJournal(Path(sys.argv[1]), JournalSettings(queue_entries=50))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for n in range(20): journal.append(entry(n))
first = journal.status()
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
for n in range(20, 100): journal.append(entry(n))
full = journal.status()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.maintain()
journal.append(entry("after"))
journal.close()
print({"first": first["error"], "error": full["error"], "queued": full["queued"], "lost": full["lost"],
       "end": journal.status()["error"]})
"""


def test_a_file_at_its_size_limit_loses_nothing_that_the_queue_can_hold(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=30, check=True
    )
    facts = eval(child.stdout)
    assert "large" in facts["error"]
    assert facts["queued"] == 50
    assert facts["lost"] > 0
    assert facts["end"] is None
    assert child.stderr.count("refuses entries") <= 2
    kept = [e.id for e in shipped(tmp_path)]
    assert len(kept) == 101 - facts["lost"]
    assert kept == [str(n) for n in range(100 - facts["lost"])] + ["after"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of 256 kB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"a full disk is not tested: no tmpfs may be mounted here ({made.stderr.decode().strip()})")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


def test_a_full_disk_is_survived(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = FileJournal(small_disk / "journal")
    ballast = small_disk / "ballast"
    # `/dev/full` is not enough: what is tested is a disk that takes a part of a line.
    assert subprocess.run(
        ["dd", "if=/dev/zero", f"of={ballast}", "bs=512"], capture_output=True, check=False
    ).returncode
    with caplog.at_level(logging.WARNING):
        for n in range(100):
            journal.append(entry(str(n)))
    status = journal.status()
    assert os.strerror(errno.ENOSPC) in status["error"]
    assert status["entries"] == 100
    assert status["queued"] > 0
    ballast.unlink()
    eventually(lambda: (journal.maintain(), journal.status()["queued"] == 0)[1])
    assert journal.status()["error"] is None
    assert "accepts entries again" in caplog.text
    journal.append(entry("after"))
    journal.close()
    assert [e.id for e in shipped(journal.directory)] == [*(str(n) for n in range(100)), "after"]


def test_with_fsync_every_entry_reaches_the_disk(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, JournalSettings(fsync=True))
    journal.append(entry("a"))
    journal.close()
    assert [e.id for e in shipped(tmp_path)] == ["a"]


def test_the_directory_holds_no_more_than_its_bound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However long the database stays away; what is beyond waits in memory, and comes when there is room again."""
    bound = JournalSettings(segment_bytes=20_000, directory_bytes=600_000, queue_entries=30)
    journal = FileJournal(tmp_path, bound)
    for number in range(2000):
        journal.append(entry(f"req_{number}"))
    status = journal.status()
    assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) <= 600_000 + 300_000
    assert (status["queued"], status["lost"] > 0) == (30, True)
    assert "state.journal_bytes" in str(status["error"])
    for segment in segments.orphans(tmp_path):
        journal.shipped(segment)
    time.sleep(RETRY)
    journal.append(entry("later"))
    assert (journal.status()["queued"], journal.status()["error"]) == (0, None)
    journal.close()
