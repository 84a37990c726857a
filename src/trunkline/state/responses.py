"""The table of remembered answers. Slow: for threads. Methods raise `StateUnavailable` and `SQLAlchemyError`."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from trunkline.core.stores import Kept
from trunkline.state import schema
from trunkline.state.database import Database

EXPIRING = 1000
"""Rows deleted in one transaction: others wait no longer for it than for these."""
_LEVEL = 1
"""Of compression: conversations are repetitive text, and the fastest level finds most of that."""

_decode = msgspec.msgpack.Decoder(Kept).decode


def packed(kept: Kept) -> bytes:
    """The whole of it in few bytes. A version that knows more fields, or fewer, reads it too."""
    return zlib.compress(msgspec.msgpack.encode(kept), _LEVEL)


def unpacked(data: bytes) -> Kept | None:
    """None where it cannot be read."""
    try:
        return _decode(zlib.decompress(data))
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError):
        return None


class ResponseTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, kept: Sequence[Kept], still: Callable[[Kept], bool] = lambda kept: True) -> None:
        """Write these, in one transaction; one of the same key and id is replaced. `still`: whether one is still to be
        written, asked once the transaction has begun: on SQLite nobody can delete its row before it is there."""
        rows = {
            (each.key, each.id): {"key": each.key, "id": each.id, "expires_at": each.expires, "data": packed(each)}
            for each in kept
        }
        insert = self._database.insert(schema.responses)
        statement = insert.on_conflict_do_update(
            index_elements=["key", "id"],
            set_={"expires_at": insert.excluded.expires_at, "data": insert.excluded.data},
        )
        with self._database.write() as connection:
            wanted = [rows[each.key, each.id] for each in kept if still(each)]
            if wanted:
                connection.execute(statement, wanted)

    def find(self, key: str, id: str) -> Kept | None:
        query = sa.select(schema.responses.c.data).where(_is(key, id))
        with self._database.read() as connection:
            data = connection.execute(query).scalar()
        return None if data is None else unpacked(data)

    def delete(self, key: str, id: str) -> None:
        with self._database.write() as connection:
            connection.execute(sa.delete(schema.responses).where(_is(key, id)))

    def expire(self, now: float) -> int:
        """Delete some of those that expired before `now`; how many. Fewer than `EXPIRING`: all."""
        table = schema.responses
        ids = sa.select(table.c.key, table.c.id).where(table.c.expires_at <= now).limit(EXPIRING)
        with self._database.read() as connection:
            found = connection.execute(ids).fetchall()
        if found:
            with self._database.write() as connection:
                # Once more by its time: another gateway may have written it anew.
                gone = sa.delete(table).where(
                    table.c.key == sa.bindparam("of"),
                    table.c.id == sa.bindparam("named"),
                    table.c.expires_at <= now,
                )
                connection.execute(gone, [{"of": row.key, "named": row.id} for row in found])
        return len(found)


def _is(key: str, id: str) -> Any:
    return (schema.responses.c.key == key) & (schema.responses.c.id == id)
