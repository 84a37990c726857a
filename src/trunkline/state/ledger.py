"""The ledger: one row a call, written in batches, read as exact integer sums.

Writing is idempotent by call id, so the journal may be shipped again after a crash between commit and deletion.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from trunkline.core.call import Attempt, Entry
from trunkline.core.usage import Usage
from trunkline.state import schema
from trunkline.state.database import Database
from trunkline.state.location import StateError

_encode = msgspec.json.Encoder().encode

MAX_GROUPS = 10_000
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()

TOKENS = Usage.__struct_fields__
"""The columns that make up `Entry.usage`; the schema names them as the struct does."""
_LISTS = {"attempts": list[Attempt], "tags": tuple[str, ...], "lost": tuple[str, ...]}
"""The columns of JSON text, and what they hold."""
_FOREIGN = ("model", "target", "price_model", "message", "request", "response")
"""The columns whose text others wrote."""
_LATER = ("priority", "waited")
"""Columns that entries of an earlier version leave empty: they have the default."""
_SUMS = ("input", "cache_read", "cache_write", "output", "reasoning", "cost")

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
        self._insert = _insert(database)

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries, in one transaction; those whose id is there already are left as they are."""
        rows = [_row(entry) for entry in entries]
        with self._database.write() as connection:
            connection.exec_driver_sql(self._insert, rows)

    def find(self, id: str) -> Entry | None:
        """The entry of one call, or None."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(schema.ledger).where(schema.ledger.c.id == id)).first()
        return None if row is None else _entry(row)

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
        ledger = schema.ledger
        source: sa.FromClause = ledger
        groups: dict[str, sa.ColumnElement[Any]] = {name: ledger.c[name] for name in by if name != "tag"}
        if "tag" in by:
            tags = _TAGS[self._database.kind](ledger.c.tags)
            source = ledger.outerjoin(tags, sa.true())
            groups["tag"] = tags.c.value
        labelled = [groups[name].label(f"by_{name}") for name in by]
        cost = sa.func.coalesce(sa.func.sum(ledger.c.cost), 0)
        query = sa.select(*labelled, *_measures()).select_from(source).group_by(*(groups[name] for name in by))
        if since is not None:
            query = query.where(ledger.c.at >= since)
        if until is not None:
            query = query.where(ledger.c.at < until)
        first = [ledger.c.day] if "day" in by else []
        return query.order_by(*first, cost.desc(), *(groups[name] for name in by)).limit(MAX_GROUPS + 1)


def _measures() -> list[sa.ColumnElement[Any]]:
    ledger = schema.ledger
    unpriced = ledger.c.cost.is_(None) & ledger.c.price_model.is_not(None) & ledger.c.input.is_not(None)
    counts = {"errors": ledger.c.error.is_not(None), "unpriced": unpriced, "estimated": ledger.c.estimated}
    return [
        sa.func.count(ledger.c.id).label("calls"),
        *(sa.func.count(sa.case((condition, 1))).label(name) for name, condition in counts.items()),
        *(sa.func.coalesce(sa.func.sum(ledger.c[name]), 0).label(f"sum_{name}") for name in _SUMS),
    ]


_TAGS: dict[str, Any] = {
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
    counts = {name: values[name] for name in ("calls", "errors", "unpriced", "estimated")}
    # PostgreSQL sums BIGINTs into a NUMERIC, which arrives as a Decimal: whole, and exact.
    return UsageRow(group=group, **counts, **{name: int(values[f"sum_{name}"]) for name in _SUMS})


def _insert(database: Database) -> str:
    """The INSERT as the driver takes it, with rows as plain tuples: SQLAlchemy's way costs twice the storing itself."""
    columns = ", ".join(f'"{name}"' for name in _COLUMNS)
    places = ", ".join([_PLACES[database.kind]] * len(_COLUMNS))
    return f"INSERT INTO ledger ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours


_PLACES = {"sqlite": "?", "postgresql": "%s"}
"""How each driver writes a parameter."""

_FIELDS = Entry.__struct_fields__
_COLUMNS = (*(name for name in _FIELDS if name != "usage"), *TOKENS, "day")
"""The columns in the order of `_row`: the entry's fields, its usage's, and what is derived."""
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


def _json(items: Sequence[Any]) -> str | None:
    if not items:
        return None
    text = _encode(items).decode()
    return text if "\\u0000" not in text else _encode([_text(item) for item in items]).decode()


def _entry(row: Any) -> Entry:
    values = dict(row._mapping)
    del values["day"]
    for name in _LATER:
        if values[name] is None:
            del values[name]
    tokens = {name: values.pop(name) for name in TOKENS}
    for name, kind in _LISTS.items():
        text = values.pop(name)
        if text is not None:
            values[name] = msgspec.json.decode(text, type=kind)
    return Entry(usage=None if tokens["input"] is None else Usage(**tokens), **values)


def _text(value: Any) -> Any:
    """PostgreSQL's text, and text in its JSON, holds every character but NUL, which a model may well produce."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
