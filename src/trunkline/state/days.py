"""The ledger's sums by day, kept by the database itself, so that a month of ten million calls is added up at once.

Triggers keep them, because a trigger sees exactly the rows that are new: the journal may be shipped twice, and a
program of the version before writes to the same database without knowing of these sums. PostgreSQL's runs once a
statement, on all of its rows; SQLite's once a row.

Names are cut, since they are the primary key's, whose size is bounded (2,704 bytes in PostgreSQL), and since callers
choose them.
"""

from __future__ import annotations

import sqlalchemy as sa

from trunkline.state import schema

LENGTHS = {"surface": 100, "model": 120, "target": 180, "key": 64, "team": 64}
"""Characters of a name that are kept."""
GROUPS = {"day": "day"} | {name: f"substr(coalesce({name}, ''), 1, {most})" for name, most in LENGTHS.items()}
"""What tells one sum from another, of a row of the ledger. No name at all is the empty one."""
TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning", "cost")
SUMS = {
    "calls": "1",
    "errors": "CASE WHEN error IS NOT NULL THEN 1 ELSE 0 END",
    "unpriced": "CASE WHEN cost IS NULL AND price_model IS NOT NULL AND input IS NOT NULL THEN 1 ELSE 0 END",
    "estimated": "CASE WHEN estimated THEN 1 ELSE 0 END",
} | {name: f"coalesce({name}, 0)" for name in TOKENS}
"""What is added up, of a row of the ledger. `unpriced`: tokens were used and there is a price list entry to ask for,
but no price yet."""

_COLUMNS = ", ".join((*GROUPS, *SUMS))
_KEY = ", ".join(GROUPS)
_ADDED = ", ".join(f"{name} = ledger_days.{name} + excluded.{name}" for name in SUMS)


def _summed(source: str) -> str:
    """The sums of some rows of the ledger, in the order in which rows are locked everywhere."""
    places = ", ".join(str(number + 1) for number in range(len(GROUPS)))
    sums = ", ".join(f"sum({each})" for each in SUMS.values())
    select = f"SELECT {', '.join(GROUPS.values())}, {sums} FROM {source} WHERE true"  # noqa: S608 - names of ours
    return f"{select} GROUP BY {places} ORDER BY {places}"


def _added(rows: str) -> str:
    return f"INSERT INTO ledger_days ({_COLUMNS}) {rows} ON CONFLICT ({_KEY}) DO UPDATE SET {_ADDED}"


_READ = ("day", *LENGTHS, "error", "price_model", "estimated", *TOKENS)
_NEW = ", ".join(f"NEW.{name} AS {name}" for name in _READ)
_ONE = f"SELECT {', '.join((*GROUPS.values(), *SUMS.values()))} FROM (SELECT {_NEW}) WHERE true"  # noqa: S608
"""What the new row adds. There is nothing to sort or to sum, which would take half of the trigger's time."""

_TRIGGERS = {
    "postgresql": (
        f"CREATE OR REPLACE FUNCTION ledger_days_add() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN {_added(_summed('fresh'))}; RETURN NULL; END $$",
        "CREATE TRIGGER ledger_days_add AFTER INSERT ON ledger REFERENCING NEW TABLE AS fresh "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_days_add()",
    ),
    "sqlite": (f"CREATE TRIGGER ledger_days_add AFTER INSERT ON ledger BEGIN {_added(_ONE)}; END",),
}


def install(connection: sa.Connection) -> None:
    """From now on, and within this transaction for all that is there already: making a trigger locks out whoever would
    write meanwhile. The tables exist."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a long history takes its time, once
    for statement in _TRIGGERS[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"INSERT INTO ledger_days ({_COLUMNS}) {_summed('ledger')}")


def whole_days(since: float | None, until: float | None) -> tuple[int | None, int | None]:
    """The days that lie within a time whole, from the first up to, not including, the last; None: no bound. There are
    none where the first is not before the last."""
    first = None if since is None else int(-(-since // schema.SECONDS_A_DAY))
    last = None if until is None else int(until // schema.SECONDS_A_DAY)
    return first, last
