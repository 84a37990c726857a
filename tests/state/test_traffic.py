"""The ledger read from end to end, in pages, on both engines."""

from __future__ import annotations

from tests.state.conftest import entry
from trunkline.core.call import Attempt
from trunkline.core.choice import Choice, Step
from trunkline.state.database import Database
from trunkline.state.ledger import Ledger
from trunkline.state.traffic import PAGE, count, traffic

BEGIN = 1_790_000_000.0


def test_every_call_comes_once_and_in_order_also_those_of_the_same_moment(database: Database) -> None:
    later = [entry(f"later_{number:05}", at=BEGIN + number) for number in range(PAGE + 7)]
    same = [entry(f"same_{number:05}", at=BEGIN - 1) for number in range(PAGE + 3)]
    Ledger(database).append([*later, *same])
    found = [each.id for each in traffic(database, BEGIN - 1, BEGIN + 10 * PAGE)]
    assert found == [each.id for each in [*same, *later]]
    assert count(database, BEGIN - 1, BEGIN + 10 * PAGE) == 2 * PAGE + 10


def test_a_span_begins_with_its_first_moment_and_ends_before_its_last(database: Database) -> None:
    Ledger(database).append([entry(f"r{number}", at=BEGIN + number, model="ab"[number % 2]) for number in range(6)])
    assert [each.id for each in traffic(database, BEGIN + 1, BEGIN + 4)] == ["r1", "r2", "r3"]
    assert [each.id for each in traffic(database, BEGIN, BEGIN + 6, "b")] == ["r1", "r3", "r5"]
    assert count(database, BEGIN, BEGIN + 6, "b") == 3
    assert list(traffic(database, BEGIN + 9, BEGIN + 10)) == []


def test_a_choice_comes_back_as_it_was_written(database: Database) -> None:
    """To the last digit of a rank: it must come out the same when it is made again."""
    step = Step("latency", {"a/x": 0.1 + 0.2, "b/y": 1e18}, 0.1, (0.123456789012345678, 1 / 3))
    choice = Choice((step,), {"c/z": "health"})
    Ledger(database).append([entry("one", at=BEGIN, attempts=[Attempt("a/x", 0.0, choice=choice)], request="a body")])
    (found,) = traffic(database, BEGIN, BEGIN + 1)
    assert found.attempts[0].choice == choice
    assert found.request is None, "bodies are left where they are"
