"""The sums by day agree with the calls themselves, whatever is asked for and however the calls came in."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.state.conftest import entry
from trunkline.core.call import Entry
from trunkline.core.usage import Usage
from trunkline.state import days, schema
from trunkline.state.database import Database
from trunkline.state.ledger import DIMENSIONS, Ledger
from trunkline.state.location import StateError, locate
from trunkline.state.migrations import migrate

DAY = schema.SECONDS_A_DAY
SPAN = 6 * DAY
START = 20_000 * DAY


def calls(count: int, seed: int = 7) -> list[Entry]:
    """Calls over `SPAN`, some of them on the very edge of a day."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        at = START + draw.choice([draw.random() * SPAN, draw.randrange(7) * DAY])
        usage = draw.choice([None, Usage(input=draw.randrange(999), output=5, estimated=draw.random() < 0.3)])
        made.append(
            entry(
                f"req_{number}",
                at=at,
                model=draw.choice(["smart", "fast", None, "é" * 300]),
                target=draw.choice(["openai/a", None]),
                key=draw.choice(["key_1", "key_2", None]),
                team=draw.choice(["red", None]),
                error=draw.choice([None, "upstream_server"]),
                usage=usage,
                cost=draw.choice([None, draw.randrange(10**12)]),
            )
        )
    return made


def plainly(entries: Iterable[Entry], by: str, since: float, until: float) -> dict[str | None, tuple[int, ...]]:
    """The sums as anybody would make them."""
    sums: dict[str | None, Counter[str]] = {}
    for each in entries:
        if since <= each.at < until:
            name = getattr(each, by)
            one = sums.setdefault(name[: days.LENGTHS[by]] if name else None, Counter())
            one["calls"] += 1
            one["errors"] += each.error is not None
            one["cost"] += each.cost or 0
            one["unpriced"] += each.cost is None and each.usage is not None
            if each.usage is not None:
                one["input"] += each.usage.input
                one["estimated"] += each.usage.estimated
    return {name: told(one.__getitem__) for name, one in sums.items()}


def told(get: Any) -> tuple[int, ...]:
    return tuple(get(name) for name in ("calls", "errors", "cost", "unpriced", "input", "estimated"))


EDGES = [0.0, 1.0, DAY / 2, DAY - 0.001, DAY, DAY + 0.5, 2.5 * DAY, 3 * DAY, SPAN - 1, SPAN, SPAN + DAY]


@pytest.mark.parametrize("by", ["model", "key", "team"])
def test_any_time_adds_up_to_its_calls(database: Database, by: str) -> None:
    ledger, made = Ledger(database), calls(400)
    for start in range(0, len(made), 70):
        ledger.append(made[start : start + 70])
        ledger.append(made[start : start + 30])  # the journal is shipped again
    for since in EDGES:
        for until in EDGES:
            rows = ledger.usage([by], START + since, START + until)
            found = {row.group[by]: told(lambda name, row=row: getattr(row, name)) for row in rows}
            assert found == plainly(made, by, START + since, START + until), (since, until)
    assert sum(row.calls for row in ledger.usage([by])) == len(made)


def test_all_dimensions_together_lose_nothing(database: Database) -> None:
    ledger, made = Ledger(database), calls(300)
    ledger.append(made)
    together = ledger.usage([name for name in DIMENSIONS if name != "tag"])
    assert sum(row.calls for row in together) == len(made)
    assert sum(row.cost for row in together) == sum(each.cost or 0 for each in made)


def test_what_an_older_version_wrote_and_goes_on_writing_is_counted(url: str) -> None:
    """It knows nothing of the sums: they are made of what is there, and kept by the database."""
    from alembic import command
    from alembic.config import Config

    database = Database(locate(url))
    config = Config()
    config.set_main_option("script_location", "trunkline.state:migrations")
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    row = "(id, at, day, surface, status, stream, duration, bytes_in, bytes_out, input, output, cost, model)"

    def written_by_the_older(number: int) -> None:
        values = f"('req_{number}', {START + number}.0, 20000, '/v1/messages', 200, true, 1.5, 10, 20, 7, 8, 9, 'm')"
        with database.write() as connection:
            connection.exec_driver_sql(f"INSERT INTO ledger {row} VALUES {values}")

    for number in range(3):
        written_by_the_older(number)
    assert migrate(database) == "upgraded"
    written_by_the_older(3)
    Ledger(database).append([entry("new", at=START + 5.0, model="m", cost=1)])
    (total,) = Ledger(database).usage(["model"], START, START + DAY)
    with database.read() as connection:
        kept = connection.execute(sa.select(schema.ledger_days.c.calls, schema.ledger_days.c.cost)).fetchall()
    assert (total.calls, total.cost) == (5, 37)
    assert (sum(row.calls for row in kept), sum(row.cost for row in kept)) == (5, 37)
    database.close()


def test_writers_at_the_same_time_neither_block_each_other_for_good_nor_lose_a_sum(url: str) -> None:
    """Each adds to the same days, in batches of its own order."""
    location = locate(url)
    first = Database(location)
    migrate(first)
    first.close()
    made = calls(600)
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        database = Database(location, busy_timeout=20.0)
        own = made[seed * 150 : (seed + 1) * 150]
        random.Random(seed).shuffle(own)
        try:
            for start in range(0, len(own), 30):
                Ledger(database).append(own[start : start + 30])
        except StateError as error:
            failures.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    database = Database(location)
    rows = Ledger(database).usage(["model"])
    found = {row.group["model"]: told(lambda name, row=row: getattr(row, name)) for row in rows}
    database.close()
    assert found == plainly(made, "model", 0.0, float("inf"))
