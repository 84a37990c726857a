"""The ledger: one row a call, written in batches, read as exact integer sums.

Writing is idempotent by call id, so the journal may be shipped again after a crash between commit and deletion.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from trunkline.core.call import Attempt, Entry
from trunkline.core.usage import Usage
from trunkline.state import days, schema
from trunkline.state.database import Database
from trunkline.state.location import StateError

_encode = msgspec.json.Encoder().encode

MAX_GROUPS = 10_000
MANY_AT_ONCE = 64
"""Rows in one statement for SQLite, if it takes so many values: 32,766 in one since 3.32 (of 2020), 999 before. A power
of two: what is left over goes in halves, so that few statements are ever prepared."""
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()

TOKENS = Usage.__struct_fields__
"""The columns that make up `Entry.usage`; the schema names them as the struct does."""
_LISTS = {"attempts": list[Attempt], "tags": tuple[str, ...], "lost": tuple[str, ...]}
"""The columns of JSON text, and what they hold."""
_FOREIGN = ("model", "target", "price_model", "message", "request", "response")
"""The columns whose text others wrote."""
_LATER = ("priority", "waited")
"""Columns that entries of an earlier version leave empty: they have the default."""

DIMENSIONS = ("model", "target", "key", "team", "surface", "day", "tag")
"""What usage can be grouped by. A call with several tags counts under each of them, one without any under none."""


class UsageRow(msgspec.Struct, frozen=True):
    """The sums of one group. Tokens as in `core.usage.Usage`, money in nano-dollars."""

    group: dict[str, str | None]
    calls: int
    errors: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    cost: int
    unpriced: int
    """Calls that used tokens and have a price list entry to ask for, but no price yet: missing in `cost`."""
    estimated: int
    """Calls whose token counts are the gateway's own estimate."""


class Ledger:
    """The ledger of one migrated database. Methods raise `StateUnavailable` too."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write = _WRITERS[database.kind]

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries, in one transaction; those whose id is there already are left as they are."""
        rows = [_row(entry) for entry in entries]
        with self._database.write() as connection:
            self._write(connection, rows)

    def find(self, id: str) -> Entry | None:
        """The entry of one call, or None."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(schema.ledger).where(schema.ledger.c.id == id)).first()
        return None if row is None else entry_of(row)

    def usage(self, by: Sequence[str] = (), since: float | None = None, until: float | None = None) -> list[UsageRow]:
        """Sums over the calls that arrived from `since` up to, not including, `until` (seconds since the epoch).

        Grouped by any of `DIMENSIONS`; days in order, otherwise the dearest first. Raises `StateError` for an unknown
        dimension or more than `MAX_GROUPS` groups.
        """
        unknown = [name for name in by if name not in DIMENSIONS]
        if unknown:
            raise StateError(f"by: {unknown[0]!r} is not known; choose from {', '.join(DIMENSIONS)}")
        query = self._usage_query(tuple(dict.fromkeys(by)), since, until)
        with self._database.read() as connection:
            rows = connection.execute(query).fetchall()
        if len(rows) > MAX_GROUPS:
            raise StateError(f"by: more than {MAX_GROUPS} groups; narrow since and until, or group by less")
        return [_usage_row(row, by) for row in rows]

    def _usage_query(self, by: tuple[str, ...], since: float | None, until: float | None) -> sa.Select[Any]:
        source = self._by_tag(since, until) if "tag" in by else by_days(since, until)
        columns = source.c
        labelled = [columns[name].label(f"by_{name}") for name in by]
        cost = sa.func.sum(columns.cost)
        sums = [sa.func.coalesce(sa.func.sum(columns[name]), 0).label(f"sum_{name}") for name in days.SUMS]
        query = sa.select(*labelled, *sums).group_by(*(columns[name] for name in by))
        first = [columns.day] if "day" in by else []
        return query.order_by(*first, cost.desc(), *(columns[name] for name in by)).limit(MAX_GROUPS + 1)

    def _by_tag(self, since: float | None, until: float | None) -> sa.Subquery:
        """Each call once for each of its tags. There are no sums of these: callers make tags as they like."""
        calls = _calls(since, until, schema.ledger.c.tags).subquery()
        tags = TAGS[self._database.kind](calls.c.tags)
        return sa.select(*calls.c, tags.c.value.label("tag")).outerjoin_from(calls, tags, sa.true()).subquery()


def by_days(since: float | None, until: float | None) -> sa.Subquery:
    """The sums of the days that lie within the time whole, and the calls of what is left of it at both ends."""
    first, last = days.whole_days(since, until)
    if first is not None and last is not None and first >= last:
        return _calls(since, until).subquery()
    sums = schema.ledger_days
    names = [sa.func.nullif(sums.c[name], "").label(name) for name in days.LENGTHS]
    whole = sa.select(sums.c.day, *names, *(sums.c[name] for name in days.SUMS))
    parts = [_within(whole, sums.c.day, first, last)]
    if first is not None:
        parts.append(_calls(since, first * schema.SECONDS_A_DAY))
    if last is not None:
        parts.append(_calls(last * schema.SECONDS_A_DAY, until))
    return sa.union_all(*parts).subquery()


def _calls(since: float | None, until: float | None, *more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """One row a call, with the columns of `ledger_days`."""
    names = [sa.literal_column(f"nullif({days.GROUPS[name]}, '')", sa.Text).label(name) for name in days.LENGTHS]
    counts = [sa.literal_column(expression, sa.BigInteger).label(name) for name, expression in days.SUMS.items()]
    return _within(sa.select(schema.ledger.c.day, *names, *counts, *more), schema.ledger.c.at, since, until)


def _within(query: sa.Select[Any], column: Any, start: float | None, end: float | None) -> sa.Select[Any]:
    if start is not None:
        query = query.where(column >= start)
    return query if end is None else query.where(column < end)


TAGS: dict[str, Any] = {
    "sqlite": lambda column: sa.func.json_each(column).table_valued("value"),
    "postgresql": lambda column: (
        sa.func.json_array_elements_text(sa.cast(column, sa.JSON)).table_valued("value").render_derived()
    ),
}
"""How each engine makes rows of a JSON list."""


def _usage_row(row: Any, by: Sequence[str]) -> UsageRow:
    values = row._mapping
    group: dict[str, str | None] = {name: values[f"by_{name}"] for name in by}
    if "day" in group:
        group["day"] = datetime.date.fromordinal(EPOCH_DAY + values["by_day"]).isoformat()
    # PostgreSQL sums BIGINTs into a NUMERIC, which arrives as a Decimal: whole, and exact.
    return UsageRow(group=group, **{name: int(values[f"sum_{name}"]) for name in days.SUMS})


def _inserted(connection: sa.Connection, rows: list[tuple[Any, ...]]) -> None:
    """Rows as plain tuples: SQLAlchemy's way costs twice the storing itself. Many in one statement: Python's driver
    lets go of the interpreter's lock at each, and on a busy core has it back only when the event loop waits."""
    start, size = 0, MANY_AT_ONCE
    driver: Any = connection.connection.driver_connection
    while size * len(_COLUMNS) > driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER):
        size //= 2
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        connection.exec_driver_sql(_into(size), tuple(chain.from_iterable(rows[start : start + size])))
        start += size


@cache
def _into(rows: int) -> str:
    places = f"({', '.join('?' * len(_COLUMNS))})"
    return f"INSERT INTO ledger ({_NAMES}) VALUES {', '.join([places] * rows)} ON CONFLICT DO NOTHING"  # noqa: S608


def _copied(connection: sa.Connection, rows: list[tuple[Any, ...]]) -> None:
    """COPY knows no conflicts, so the rows go by way of a table of the session's own: a third of the time of inserting
    them one by one, and of the processor's here, and the sums by day are added to once a batch."""
    errors: Any = connection.dialect.dbapi
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor:
            cursor.execute(_INCOMING)
            with cursor.copy(f"COPY {_PASSING} ({_NAMES}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(_TAKEN_IN)
    except errors.Error as error:
        raise DBAPIError.instance(_TAKEN_IN, None, error, errors.Error, True, dialect=connection.dialect) from error


_WRITERS: dict[str, Callable[[sa.Connection, list[tuple[Any, ...]]], None]] = {
    "sqlite": _inserted,
    "postgresql": _copied,
}

_FIELDS = Entry.__struct_fields__
_COLUMNS = (*(name for name in _FIELDS if name != "usage"), *TOKENS, "day")
"""The columns in the order of `_row`: the entry's fields, its usage's, and what is derived."""
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_PASSING = f"ledger_incoming_{schema.HEAD}"
"""Of the session, which a pool may hand from one version of the program to another."""
_INCOMING = f"""DO $$ BEGIN
    IF to_regclass('pg_temp.{_PASSING}') IS NULL THEN
        CREATE TEMPORARY TABLE {_PASSING} ON COMMIT DELETE ROWS AS SELECT {_NAMES} FROM ledger WITH NO DATA;
    END IF;
END $$"""  # noqa: S608 - names of ours
_TAKEN_IN = f"INSERT INTO ledger ({_NAMES}) SELECT {_NAMES} FROM {_PASSING} ON CONFLICT DO NOTHING"  # noqa: S608
_USAGE = _FIELDS.index("usage")
_LIST_AT = tuple(_FIELDS.index(name) for name in _LISTS)
_FOREIGN_AT = tuple(_FIELDS.index(name) for name in _FOREIGN)
_NO_USAGE = (None,) * len(TOKENS)


def _row(entry: Entry) -> tuple[Any, ...]:
    row: list[Any] = list(msgspec.structs.astuple(entry))
    for at in _FOREIGN_AT:
        if (text := row[at]) is not None and "\0" in text:
            row[at] = _text(text)
    for at in _LIST_AT:
        row[at] = _json(row[at])
    usage = row.pop(_USAGE)
    tokens = _NO_USAGE if usage is None else msgspec.structs.astuple(usage)
    return (*row, *tokens, int(entry.at // schema.SECONDS_A_DAY))


def _json(items: Sequence[Any] | msgspec.Raw) -> str | None:
    text = (bytes(items) if isinstance(items, msgspec.Raw) else _encode(items) if items else b"").decode()
    if "\\u0000" in text:
        text = _encode([_text(item) for item in msgspec.json.decode(text)]).decode()
    return text or None


def entry_of(row: Any) -> Entry:
    """The entry of a row, which may lack the columns of lists and texts."""
    values = dict(row._mapping)
    del values["day"]
    for name in _LATER:
        if values[name] is None:
            del values[name]
    tokens = {name: values.pop(name) for name in TOKENS}
    for name, kind in _LISTS.items():
        text = values.pop(name, None)
        if text is not None:
            values[name] = msgspec.json.decode(text, type=kind)
    return Entry(usage=None if tokens["input"] is None else Usage(**tokens), **values)


def _text(value: Any) -> Any:
    """PostgreSQL's text, and text in its JSON, holds every character but NUL, which a model may well produce."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
