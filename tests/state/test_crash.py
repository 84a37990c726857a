"""A gateway killed at any moment loses no acknowledged call and counts none twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from tests.state.conftest import eventually
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


class Victim:
    """A process that acknowledges calls for as long as it is fed: 50 a bite."""

    def __init__(self, url: str, directory: Path, name: str) -> None:
        command = [sys.executable, "-c", VICTIM, url, str(directory), name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = [self._line()]

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def feed(self) -> None:
        self.begin_a_bite()
        self.lines += [self._line() for _ in range(50)]

    def begin_a_bite(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b".")
        self.process.stdin.flush()

    def kill(self) -> set[str]:
        """The ids that it acknowledged."""
        self.process.kill()
        rest, _ = self.process.communicate(timeout=30)
        lines = [*self.lines, *rest.splitlines(keepends=True)]
        return {line.decode().strip() for line in lines if line.endswith(b"\n")}


def test_each_acknowledged_call_is_in_the_ledger_exactly_once(url: str, database: Database, tmp_path: Path) -> None:
    chance = random.Random(20_260_101)
    ledger = Ledger(database)
    acknowledged: set[str] = set()
    for attempt in range(ROUNDS):
        victim = Victim(url, tmp_path / "journal", str(attempt))
        before = ledger.usage()[0].calls
        for _ in range(chance.randint(10, 30)):
            victim.feed()
        # Every other one dies after its shipper has begun its work, the rest most likely before.
        if attempt % 2:
            eventually(lambda v=victim, b=before: (v.feed(), ledger.usage()[0].calls > b)[1])  # type: ignore[misc]
        victim.begin_a_bite()
        time.sleep(chance.uniform(0, 0.002))
        acknowledged |= victim.kill()
    shipped_before = ledger.usage()[0].calls
    journal = FileJournal(tmp_path / "journal")
    assert journal.status()["bytes"] > 0
    shipper = Shipper(locate(url), journal, MemoryKeyRing(), _no_price, settings=ShipperSettings(poll=0.02))
    shipper.start()
    assert shipper.stop(30)
    journal.close()
    with database.read() as connection:
        stored = [row[0] for row in connection.exec_driver_sql("SELECT id FROM ledger")]
    (total,) = ledger.usage()
    # Both halves of the promise were put to the test: some died shipped, some with all in the journal.
    assert 0 < shipped_before < len(acknowledged)
    assert len(acknowledged) > ROUNDS * 500
    assert acknowledged <= set(stored)
    # The call being written when the process died may be there too; it had just not been acknowledged yet.
    assert len(stored) - len(acknowledged) <= ROUNDS
    assert total.calls == total.cost == len(set(stored))


def _no_price(entry: Entry) -> None:
    return None
