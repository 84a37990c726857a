"""What calls have used in a window that reaches back behind the start of a process: the ledger remembers it.

Sums by day serve where they can. They do not know of the calls that a limit refused, which count as none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from trunkline.core.limit import Window
from trunkline.core.stores import Used
from trunkline.policy.quota import bucket_at, start_of
from trunkline.state import schema
from trunkline.state.database import Database
from trunkline.state.ledger import TAGS, by_days

REFUSED = ("rate_limit_exceeded", "budget_exceeded", "limit_too_small", "cost_unknown")
"""Errors of calls that took nothing of any limit."""
_BY_DAY = frozenset({"day", "month"})
"""Windows that are whole days."""
_SUMS = ("input", "output", "cost")


class LedgerPast:
    """`core.stores.Past`, in one migrated database. Raises `StateUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def used(self, scope: str, window: Window, calls: bool, until: float) -> Iterator[Used]:
        present = bucket_at(window, int(until * 1000))
        since = start_of(window, present - window.kept) / 1000
        if window.name in _BY_DAY and scope != "tag" and not calls:
            source: Any = by_days(since, until)
            bucket: Any = sa.literal(present)
            counted = source.c.calls
        else:
            source = self._calls(scope, since, until)
            bucket = self._bucket(source.c.at, window) if window.kept else sa.literal(present)
            counted = sa.literal(1)
        value = sa.literal("") if scope == "global" else source.c[scope]
        sums = [sa.func.coalesce(sa.func.sum(each), 0) for each in (counted, *(source.c[name] for name in _SUMS))]
        query = sa.select(value, source.c.model, bucket, *sums).group_by(sa.text("1"), sa.text("2"), sa.text("3"))
        with self._database.read() as connection:
            for row in connection.execute(query):
                yield Used(row[0] or "", row[1] or "", int(row[2]), *(int(each) for each in row[3:]))

    def _calls(self, scope: str, since: float, until: float) -> sa.Subquery:
        """One row a call, or one for each of its tags."""
        ledger = schema.ledger.c
        columns = [ledger.at, ledger.key, ledger.team, ledger.model, *(ledger[name] for name in _SUMS)]
        admitted = sa.or_(ledger.error.is_(None), ledger.error.not_in(REFUSED))
        when = (ledger.at >= since, ledger.at < until, admitted)
        if scope != "tag":
            return sa.select(*columns).where(*when).subquery()
        tags = TAGS[self._database.kind](ledger.tags)
        return (
            sa.select(*columns, tags.c.value.label("tag"))
            .join_from(schema.ledger, tags, sa.true())
            .where(*when)
            .subquery()
        )

    def _bucket(self, at: Any, window: Window) -> Any:
        """PostgreSQL rounds where SQLite cuts; there are no times before the epoch."""
        number = at * 1000 / window.width
        return sa.cast(sa.func.floor(number) if self._database.kind == "postgresql" else number, sa.BigInteger)
