"""A gateway killed at any moment loses no acknowledged call and counts none twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from trunkline.core.call import Entry
from trunkline.state.database import Database
from trunkline.state.journal import FileJournal
from trunkline.state.keyring import MemoryKeyRing
from trunkline.state.ledger import Ledger
from trunkline.state.location import locate
from trunkline.state.shipper import Shipper, ShipperSettings

ROUNDS = 4

VICTIM = """
import itertools, os, sys
from pathlib import Path
from trunkline.core.call import Entry
from trunkline.state.journal import FileJournal, JournalSettings
from trunkline.state.keyring import MemoryKeyRing
from trunkline.state.location import locate
from trunkline.state.shipper import Shipper, ShipperSettings

journal = FileJournal(Path(sys.argv[2]), JournalSettings(segment_bytes=20_000))
settings = ShipperSettings(poll=0.005, batch_entries=20)
Shipper(locate(sys.argv[1]), journal, MemoryKeyRing(), lambda entry: None, settings=settings).start()
for n in itertools.count():
    id = f"{sys.argv[3]}-{n}"
    journal.append(Entry(id=id, at=0.0, surface="/v1/messages", status=200, cost=1))
    os.write(1, id.encode() + b"\\n")
    if n % 50 == 0:
        sys.stdin.read(1)
"""


def killed_at_a_random_moment(url: str, directory: Path, attempt: int, chance: random.Random) -> set[str]:
    """The ids that a process acknowledged before it was killed. It goes on as long as it is fed."""
    command = [sys.executable, "-c", VICTIM, url, str(directory), str(attempt)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        # Fed for 1,000 to 2,000 entries over a time in which SQLAlchemy is imported and shipping has begun, or not.
        pause = chance.uniform(0.01, 0.06)
        acknowledged = [child.stdout.readline()]
        for _ in range(chance.randint(20, 40)):
            child.stdin.write(b".")
            child.stdin.flush()
            acknowledged += [child.stdout.readline() for _ in range(50)]
            time.sleep(pause)
        child.stdin.write(b".")
        child.stdin.flush()
        time.sleep(chance.uniform(0, 0.002))
        child.kill()
        acknowledged += child.stdout.readlines()
    return {line.decode().strip() for line in acknowledged if line.endswith(b"\n")}


def test_each_acknowledged_call_is_in_the_ledger_exactly_once(url: str, tmp_path: Path) -> None:
    chance = random.Random(20_260_101)
    acknowledged: set[str] = set()
    for attempt in range(ROUNDS):
        acknowledged |= killed_at_a_random_moment(url, tmp_path / "journal", attempt, chance)
    database = Database(locate(url))
    shipped_before = Ledger(database).usage()[0].calls
    journal = FileJournal(tmp_path / "journal")
    assert journal.status()["bytes"] > 0
    shipper = Shipper(locate(url), journal, MemoryKeyRing(), _no_price, settings=ShipperSettings(poll=0.02))
    shipper.start()
    assert shipper.stop(30)
    journal.close()
    with database.read() as connection:
        stored = [row[0] for row in connection.exec_driver_sql("SELECT id FROM ledger")]
    (total,) = Ledger(database).usage()
    database.close()
    # Both halves of the promise were put to the test: some died shipped, some with all in the journal.
    assert 0 < shipped_before < len(acknowledged)
    assert len(acknowledged) > ROUNDS * 1000
    assert acknowledged <= set(stored)
    # The call being written when the process died may be there too; it had just not been acknowledged yet.
    assert len(stored) - len(acknowledged) <= ROUNDS
    assert total.calls == total.cost == len(set(stored))


def _no_price(entry: Entry) -> None:
    return None
