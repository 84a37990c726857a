"""The shipper: whatever the database does, each entry arrives once, and keys stay fresh."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from tests.state.conftest import PostgresServer, entry, eventually
from trunkline.core.call import Attempt, Entry
from trunkline.core.choice import Choice, Step
from trunkline.core.usage import Usage
from trunkline.state.auth_secret import server_secret
from trunkline.state.database import Database
from trunkline.state.journal import FileJournal
from trunkline.state.keyring import MemoryKeyRing
from trunkline.state.keys import KeySpec, KeyStore
from trunkline.state.ledger import Ledger
from trunkline.state.location import locate
from trunkline.state.migrations import migrate
from trunkline.state.shipper import REJECTED, Shipper, ShipperSettings

QUICK = ShipperSettings(poll=0.02, max_backoff=0.1, batch_entries=7)


def no_price(entry: Entry) -> None:
    return None


class Gateway:
    """What the app keeps of the state: a journal, a ring of keys, a shipper."""

    def __init__(
        self,
        url: str,
        directory: Path,
        price: Callable[[Entry], tuple[int, str] | None] = no_price,
        settings: ShipperSettings = QUICK,
    ) -> None:
        self.journal = FileJournal(directory)
        self.keys = MemoryKeyRing()
        self.shipper = Shipper(locate(url), self.journal, self.keys, price, settings=settings)

    def append(self, *ids: str) -> None:
        for name in ids:
            self.journal.append(entry(name))

    def stop(self) -> bool:
        drained = self.shipper.stop(10)
        self.journal.close()
        return drained


@pytest.fixture
def gateway(url: str, tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(url, tmp_path / "journal")
    yield gateway
    gateway.shipper.stop(10)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def calls(ledger: Ledger) -> int:
    return ledger.usage()[0].calls


def test_importing_the_state_is_light() -> None:
    program = (
        "import sys, trunkline.state.shipper;"
        "print([m for m in ('sqlalchemy', 'alembic', 'psycopg', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_entries_arrive_while_the_gateway_runs_and_the_rest_when_it_stops(gateway: Gateway, ledger: Ledger) -> None:
    gateway.append("before")
    gateway.shipper.start()
    eventually(lambda: calls(ledger) == 1)
    gateway.append(*(str(n) for n in range(20)))
    eventually(lambda: calls(ledger) == 21)
    gateway.append("last")
    assert gateway.stop()
    assert calls(ledger) == 22
    assert ledger.find("last") == entry("last")
    assert list(gateway.journal.directory.iterdir()) == []
    status = gateway.shipper.status()
    assert (status["shipped"], status["rejected"], status["errors"]) == (22, 0, {})


def test_what_another_process_left_is_adopted_once(gateway: Gateway, ledger: Ledger) -> None:
    dead = FileJournal(gateway.journal.directory)
    for n in range(10):
        dead.append(entry(str(n)))
    dead.close()
    ledger.append([entry("3"), entry("4")])
    gateway.shipper.start()
    eventually(lambda: calls(ledger) == 10)
    assert gateway.stop()
    assert calls(ledger) == 10


def test_lists_are_stored_as_they_were_written(gateway: Gateway, ledger: Ledger, database: Database) -> None:
    choice = Choice((Step("latency", {"a/x": 0.25, "b/x": 1e-7}, 0.0, (0.125, 0.75)),), {"c/x": "health"})
    attempts = [Attempt("b/x", 0.0, 0.5, 503, "upstream_error"), Attempt("a/x", 0.5, 0.25, 200, choice=choice)]
    whole = {"tags": ("app", "caf\u00e9"), "attempts": attempts, "lost": ("messages[0].name",)}
    gateway.journal.append(entry("whole", **whole))
    gateway.journal.append(entry("odd", **{**whole, "tags": ("nul \0",)}))
    gateway.journal.append(entry("bare", tags=(), attempts=[], lost=()))
    gateway.shipper.start()
    assert gateway.stop()
    assert ledger.find("whole") == entry("whole", **whole)
    assert ledger.find("odd") == entry("odd", **{**whole, "tags": ("nul \N{REPLACEMENT CHARACTER}",)})
    assert ledger.find("bare") == entry("bare", tags=(), attempts=[], lost=())
    with database.read() as connection:
        columns = sa.text("SELECT tags, attempts, lost FROM ledger WHERE id = 'bare'")
        assert tuple(connection.execute(columns).one()) == (None, None, None)


def test_a_torn_line_and_a_damaged_one_are_set_aside(
    gateway: Gateway, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    good = [msgspec.json.encode(entry(str(n))) for n in range(3)]
    path = gateway.journal.directory / "0.jsonl"
    path.write_bytes(good[0] + b"\n" + b"{damaged\xff\n" + good[1] + b"\n" + good[2][:-40])
    gateway.shipper.start()
    assert gateway.stop()
    assert calls(ledger) == 2
    aside = gateway.journal.directory / REJECTED
    assert aside.read_bytes() == b"{damaged\xff\n" + good[2][:-40] + b"\n"
    assert aside.stat().st_mode & 0o777 == 0o600
    assert caplog.text.count("is no ledger entry") == 2


def test_an_entry_that_the_database_refuses_does_not_hold_up_the_others(gateway: Gateway, ledger: Ledger) -> None:
    gateway.append(*"abc")
    gateway.journal.append(entry("poison", usage=Usage(input=2**70)))
    gateway.append(*"defghijkl")
    gateway.shipper.start()
    assert gateway.stop()
    assert calls(ledger) == 12
    assert b'"poison"' in (gateway.journal.directory / REJECTED).read_bytes()
    assert gateway.shipper.status()["rejected"] == 1


def test_prices_are_put_in_where_they_are_missing(url: str, tmp_path: Path, ledger: Ledger) -> None:
    def price(entry: Entry) -> tuple[int, str] | None:
        return {"openai:known": (42, "2026-01-01"), "openai:broken": (1, 2, 3)}[entry.price_model or ""]  # type: ignore[return-value]

    gateway = Gateway(url, tmp_path / "journal", price)
    known = {"cost": None, "price_date": None, "price_model": "openai:known"}
    for one in (
        entry("priced", **known),
        entry("dear", cost=7),
        entry("unknown", **known | {"price_model": "openai:none"}),
        entry("broken", **known | {"price_model": "openai:broken"}),
        entry("free", **known | {"price_model": None}),
        entry("unused", **known, usage=None),
    ):
        gateway.journal.append(one)
    gateway.shipper.start()
    assert gateway.stop()
    found = {name: ledger.find(name) for name in ("priced", "dear", "unknown", "broken", "free", "unused")}
    assert {name: e.cost for name, e in found.items() if e} == {
        "priced": 42, "dear": 7, "unknown": None, "broken": None, "free": None, "unused": None
    }  # fmt: skip
    assert found["priced"] is not None
    assert found["priced"].price_date == "2026-01-01"


async def test_a_change_of_a_key_takes_effect_within_a_second(url: str, tmp_path: Path, database: Database) -> None:
    journal, keys = FileJournal(tmp_path / "journal"), MemoryKeyRing()
    shipper = Shipper(locate(url), journal, keys, no_price)
    shipper.start()
    await keys.ready()
    store = KeyStore(database, server_secret(database, None))
    key, secret = store.create(KeySpec("k"))
    waits = []
    for change, effect in (
        (lambda: None, lambda found: found == key),
        (lambda: store.set_disabled("k", True), lambda found: found.disabled),
        (lambda: store.delete("k"), lambda found: found is None),
    ):
        change()
        began = time.monotonic()
        eventually(lambda effect=effect: effect(keys.find(secret.encode())))  # type: ignore[misc]
        waits.append(time.monotonic() - began)
    # The median: one hiccup of a busy machine is no fault of the poll.
    assert sorted(waits)[1] < 1.0
    assert shipper.stop(10)
    journal.close()


def test_a_long_backlog_does_not_hold_up_keys(url: str, tmp_path: Path, database: Database) -> None:
    gateway = Gateway(url, tmp_path / "journal", settings=ShipperSettings(poll=0.02, batch_entries=1))
    gateway.append(*(str(n) for n in range(5000)))
    gateway.shipper.start()
    eventually(lambda: gateway.shipper.status()["shipped"] > 0)
    _, secret = KeyStore(database, server_secret(database, None)).create(KeySpec("k"))
    eventually(lambda: gateway.keys.find(secret.encode()) is not None)
    assert gateway.shipper.status()["shipped"] < 5000
    assert not gateway.shipper.stop(0.05)
    gateway.shipper.stop(0.5)
    gateway.journal.close()


def test_a_locked_database_delays_entries_and_not_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(locate(f"sqlite:///{tmp_path}/a.db"))
    migrate(database)
    gateway = Gateway(f"sqlite:///{tmp_path}/a.db", tmp_path / "journal")
    store = KeyStore(database, server_secret(database, None))
    gateway.shipper.start()
    eventually(lambda: gateway.keys.status()["loaded"])
    locker = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    _, secret = store.create(KeySpec("k"))
    locker.execute("BEGIN EXCLUSIVE")
    gateway.append("a", "b")
    eventually(lambda: "locked" in gateway.shipper.status()["errors"].get("ledger", ""))
    eventually(lambda: gateway.keys.find(secret.encode()) is not None)
    gateway.append("c")
    assert gateway.shipper.status()["journal"]["entries"] == 3
    assert gateway.shipper.status()["journal"]["oldest_age"] > 0
    locker.execute("ROLLBACK")
    locker.close()
    eventually(lambda: calls(Ledger(database)) == 3)
    eventually(lambda: gateway.shipper.status()["errors"] == {})
    assert "ledger: works again" in caplog.text
    assert gateway.stop()
    database.close()


def test_a_database_that_stays_locked_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    database = Database(locate(url))
    migrate(database)
    gateway = Gateway(url, tmp_path / "journal")
    gateway.shipper.start()
    eventually(lambda: gateway.keys.status()["loaded"])
    with sqlite3.connect(tmp_path / "a.db", isolation_level=None) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        gateway.append("a", "b")
        began = time.monotonic()
        assert not gateway.shipper.stop(0.8)
        assert time.monotonic() - began < 3
        gateway.journal.close()
        locker.execute("ROLLBACK")
    locker.close()
    gateway.shipper.stop(10)
    later = Gateway(url, tmp_path / "journal")
    later.shipper.start()
    assert later.stop()
    assert calls(Ledger(database)) == 2
    database.close()


def test_a_database_gone_and_back_loses_nothing(
    postgres: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres.new_database()
    database = Database(locate(url))
    migrate(database)
    gateway = Gateway(url, tmp_path / "journal")
    gateway.shipper.start()
    gateway.append("before")
    eventually(lambda: calls(Ledger(database)) == 1)
    postgres.stop()
    try:
        gateway.append(*(str(n) for n in range(30)))
        eventually(lambda: set(gateway.shipper.status()["errors"]) == {"keys", "ledger"})
        gateway.append("during")
        assert gateway.shipper.status()["journal"]["entries"] == 31
    finally:
        postgres.start()
    eventually(lambda: gateway.shipper.status()["errors"] == {})
    gateway.append("after")
    assert gateway.stop()
    assert calls(Ledger(database)) == 33
    assert "works again" in caplog.text
    database.close()


def test_a_database_that_is_down_at_the_start_is_waited_for(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.new_database()
    postgres.stop()
    gateway = Gateway(url, tmp_path / "journal")
    try:
        gateway.append("a")
        gateway.shipper.start()
        eventually(lambda: set(gateway.shipper.status()["errors"]) == {"keys", "ledger"})
        assert not gateway.shipper.status()["open"]
    finally:
        postgres.start()
    eventually(lambda: gateway.shipper.status()["open"])
    assert gateway.stop()
    database = Database(locate(url))
    assert calls(Ledger(database)) == 1
    database.close()


def test_several_gateways_share_one_directory(url: str, tmp_path: Path, ledger: Ledger) -> None:
    gateways = [Gateway(url, tmp_path / "journal") for _ in range(3)]
    for gateway in gateways:
        gateway.shipper.start()
    for n in range(60):
        gateways[n % 3].append(str(n))
    assert [gateway.stop() for gateway in gateways] == [True] * 3
    assert calls(ledger) == 60


def test_a_stopping_gateway_waits_for_what_another_one_is_shipping(
    url: str, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds, may_ship = threading.Event(), threading.Event()

    def slow_price(entry: Entry) -> None:
        holds.set()
        assert may_ship.wait(10)

    leaving = Gateway(url, tmp_path / "journal")
    leaving.journal.append(msgspec.structs.replace(entry("1"), cost=None, price_model="m", usage=Usage()))
    leaving.journal.rotate()
    staying = Gateway(url, tmp_path / "journal", price=slow_price)
    staying.shipper.start()
    assert holds.wait(10)

    rounds = 0
    maintain = leaving.journal.maintain

    def counted() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            may_ship.set()
        maintain()

    monkeypatch.setattr(leaving.journal, "maintain", counted)
    leaving.shipper.start()
    assert leaving.stop()
    assert staying.stop()
    assert calls(ledger) == 1


def test_another_server_secret_is_said_at_the_start(
    url: str, tmp_path: Path, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    KeyStore(database, b"x" * 32).create(KeySpec("k"))
    gateway = Gateway(url, tmp_path / "journal")
    with caplog.at_level(logging.ERROR):
        gateway.shipper.start()
        eventually(lambda: gateway.keys.status()["loaded"])
    assert "the keys were made with another server secret" in caplog.text
    assert gateway.stop()
