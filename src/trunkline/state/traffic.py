"""The ledger read from end to end, call by call in the order of their arrival, without ever holding much of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from trunkline.core.call import Entry
from trunkline.state import schema
from trunkline.state.database import Database
from trunkline.state.ledger import entry_of

PAGE = 1000
"""Rows that are held at a time."""
_LEFT_OUT = frozenset({"request", "response", "message", "lost"})
"""Columns that are large, and tell nothing of where a call went."""


def count(database: Database, since: float, until: float, model: str | None = None) -> int:
    """How many calls arrived from `since` up to, not including, `until` (seconds since the epoch)."""
    with database.read() as connection:
        return int(connection.execute(_within(sa.select(sa.func.count()), since, until, model)).scalar_one())


def traffic(database: Database, since: float, until: float, model: str | None = None) -> Iterator[Entry]:
    """Their entries, without bodies. Calls of the same moment come in the order of their ids."""
    ledger = schema.ledger
    columns = [column for column in ledger.c if column.name not in _LEFT_OUT]
    query = _within(sa.select(*columns), since, until, model).order_by(ledger.c.at, ledger.c.id).limit(PAGE)
    last: tuple[float, str] | None = None
    while True:
        page = query if last is None else query.where(_after(*last))
        with database.read() as connection:
            rows = connection.execute(page).fetchall()
        for row in rows:
            yield entry_of(row)
        if len(rows) < PAGE:
            return
        last = rows[-1].at, rows[-1].id


def _within(query: sa.Select[Any], since: float, until: float, model: str | None) -> sa.Select[Any]:
    ledger = schema.ledger
    query = query.select_from(ledger).where(ledger.c.at >= since, ledger.c.at < until)
    return query if model is None else query.where(ledger.c.model == model)


def _after(at: float, id: str) -> sa.ColumnElement[bool]:
    ledger = schema.ledger
    return sa.or_(ledger.c.at > at, sa.and_(ledger.c.at == at, ledger.c.id > id))
