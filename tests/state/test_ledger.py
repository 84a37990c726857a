"""The ledger: what goes in comes out, an id counts once, sums are exact. One suite for both engines."""

from __future__ import annotations

import datetime
import sqlite3

import pytest
from sqlalchemy import event

from tests.state.conftest import entry
from trunkline.core.call import Entry
from trunkline.core.usage import Usage
from trunkline.state.database import Database
from trunkline.state.ledger import DIMENSIONS, Ledger
from trunkline.state.location import StateError


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


def test_an_entry_comes_back_as_it_was(ledger: Ledger) -> None:
    whole, bare = entry("whole", error="x", message="m"), Entry(id="bare", at=0.5, surface="/v1/messages", status=499)
    ledger.append([whole, bare])
    assert ledger.find("whole") == whole
    assert ledger.find("bare") == bare
    assert ledger.find("none") is None


def test_an_id_counts_once_and_the_first_one_stays(ledger: Ledger) -> None:
    ledger.append([entry("a"), entry("b"), entry("a", cost=7)])
    ledger.append([entry("b", cost=7), entry("c")])
    (total,) = ledger.usage()
    assert (total.calls, total.cost) == (3, 3 * 123_456_789)


def test_an_older_sqlite_takes_fewer_values_at_once(ledger: Ledger, database: Database) -> None:
    if database.kind != "sqlite":
        pytest.skip("of SQLite alone")

    @event.listens_for(database.engine, "checkout")
    def older(connection: sqlite3.Connection, *_: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)

    ledger.append([entry(str(number)) for number in range(100)])
    (total,) = ledger.usage()
    assert total.calls == 100


def test_sums_are_exact_where_floating_point_is_not(ledger: Ledger) -> None:
    large = 2**53 + 1
    ledger.append([entry(str(n), cost=large, usage=Usage(input=large, output=1)) for n in range(3)])
    (total,) = ledger.usage()
    assert (total.cost, total.input, total.output) == (3 * large, 3 * large, 3)


def test_groups_by_each_dimension(ledger: Ledger) -> None:
    ledger.append(
        [
            entry("1", model="m1", key="k1", target="p/a", tags=("x", "y"), at=at("2026-01-01T23:59:59.9"), cost=1),
            entry("2", model="m1", key="k2", target="p/b", tags=("x",), at=at("2026-01-02"), cost=2, error="e"),
            entry("3", model="m2", key=None, target=None, tags=(), at=at("2026-01-02T12:00"), cost=None, usage=None),
        ]
    )

    def costs(*by: str) -> dict[tuple[str | None, ...], int]:
        return {tuple(row.group[name] for name in by): row.cost for row in ledger.usage(by)}

    assert costs("model") == {("m1",): 3, ("m2",): 0}
    assert costs("key") == {("k2",): 2, ("k1",): 1, (None,): 0}
    assert costs("target") == {("p/b",): 2, ("p/a",): 1, (None,): 0}
    assert costs("surface") == {("/v1/chat/completions",): 3}
    assert costs("day") == {("2026-01-01",): 1, ("2026-01-02",): 2}
    assert costs("tag") == {("x",): 3, ("y",): 1, (None,): 0}
    assert costs("day", "model") == {("2026-01-01", "m1"): 1, ("2026-01-02", "m1"): 2, ("2026-01-02", "m2"): 0}
    assert [row.errors for row in ledger.usage(["model"])] == [1, 0]
    assert len(ledger.usage(DIMENSIONS)) == 4


def test_days_come_in_order_and_otherwise_the_dearest_first(ledger: Ledger) -> None:
    ledger.append([entry(str(n), model=f"m{n}", cost=n, at=at("2026-01-31") - n * 86_400) for n in range(5)])
    assert [row.group["model"] for row in ledger.usage(["model"])] == ["m4", "m3", "m2", "m1", "m0"]
    assert [row.group["day"] for row in ledger.usage(["day"])] == [f"2026-01-{day}" for day in range(27, 32)]


def test_since_is_included_and_until_is_not(ledger: Ledger) -> None:
    ledger.append([entry(str(n), at=float(n)) for n in range(10)])
    (total,) = ledger.usage(since=3.0, until=7.0)
    assert total.calls == 4


def test_what_has_no_price_or_is_estimated_is_counted(ledger: Ledger) -> None:
    ledger.append(
        [
            entry("priced"),
            entry("unknown", cost=None),
            entry("free", cost=None, price_model=None),
            entry("guess", usage=Usage(input=5, estimated=True)),
        ]
    )
    (total,) = ledger.usage()
    assert (total.calls, total.unpriced, total.estimated) == (4, 1, 1)


def test_an_empty_ledger_sums_to_nothing(ledger: Ledger) -> None:
    assert ledger.usage(["day", "tag"]) == []
    (total,) = ledger.usage()
    assert (total.calls, total.cost) == (0, 0)


def test_an_unknown_dimension_is_named(ledger: Ledger) -> None:
    with pytest.raises(StateError, match=r"^by: 'colour' is not known; choose from model, target, key"):
        ledger.usage(["model", "colour"])


def test_a_nul_in_a_text_does_not_stop_the_row(ledger: Ledger) -> None:
    ledger.append([entry("nul", message="a\0b", response="\0", tags=("t\0",))])
    found = ledger.find("nul")
    assert found is not None
    assert (found.message, found.response) == ("a\ufffdb", "\ufffd")
    assert found.tags == ("t\ufffd",)
    assert [row.group["tag"] for row in ledger.usage(["tag"])] == ["t\ufffd"]
