"""The schema's history, and how a start brings a database up to date.

**Expand only.** Two versions of the program run side by side during a rollout, on one database, so a revision may add
a table, an index, or a column that is nullable or has a server default; it may not drop, rename, narrow or retype what
the version before it uses. What is no longer used is dropped two minor versions later. A program that meets a revision
it does not know goes on working with what it knows, and logs it.

Nearly every start finds nothing to do, so the common cases do without Alembic (1.6 s to import): a database at `HEAD`
is left alone, and an empty one is created whole from `schema.metadata` and stamped. A test proves that this and the
migrations give the same schema on both engines. Everything happens in one transaction under a lock, so that several
processes may start at once.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from trunkline.state import days, schema
from trunkline.state.database import Database

log = logging.getLogger(__name__)

Outcome = Literal["current", "created", "upgraded", "newer"]

ADVISORY_LOCK = 0x7472756E6B6C  # "trunkl" in ASCII
"""PostgreSQL: the advisory lock that migrating processes take."""


def migrate(database: Database) -> Outcome:
    """Bring the database to this program's schema, or leave a newer one alone. Raises `SQLAlchemyError`."""
    with database.read() as connection:
        if _revision(connection) == schema.HEAD:
            return "current"
    # SQLite needs no more than the write transaction itself: BEGIN IMMEDIATE admits one.
    with database.write(bounded=False) as connection:
        if database.kind == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
        return _migrate(connection)


def _migrate(connection: sa.Connection) -> Outcome:
    revision = _revision(connection)
    if revision == schema.HEAD:
        return "current"
    if revision is not None and revision not in schema.REVISIONS:
        log.warning(
            "the database is at revision %s, newer than this program's %s: going on with what is known",
            revision,
            schema.HEAD,
        )
        return "newer"
    if revision is None and not _tables(connection):
        create(connection)
        return "created"
    upgrade(connection)
    return "upgraded"


def create(connection: sa.Connection) -> None:
    """Make the whole schema in an empty database, stamped as Alembic would."""
    schema.metadata.create_all(connection)
    days.install(connection)
    schema.version.create(connection)
    connection.execute(schema.version.insert().values(version_num=schema.HEAD))


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that are missing, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic's options are interpolated, hence the doubled percent sign.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(schema.version.name):
        return None
    revision: str | None = connection.execute(sa.select(schema.version.c.version_num)).scalar()
    return revision


def _tables(connection: sa.Connection) -> set[str]:
    """Those of our tables, and of Alembic's, that exist."""
    return {schema.version.name, *schema.metadata.tables} & set(sa.inspect(connection).get_table_names())
