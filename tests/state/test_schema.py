"""The schema has one shape, however a database came to it, and two versions of the program can share it."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.state.conftest import entry
from trunkline.state import schema
from trunkline.state.auth_secret import server_secret
from trunkline.state.database import Database
from trunkline.state.keys import KeySpec, KeyStore
from trunkline.state.ledger import Ledger
from trunkline.state.location import locate
from trunkline.state.migrations import create, migrate, upgrade


def shape(database: Database) -> dict[str, Any]:
    """All that the database itself says of its tables."""
    inspector = sa.inspect(database.engine)
    return {
        table: {
            "columns": [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)],
            "primary": inspector.get_pk_constraint(table),
            "unique": sorted(inspector.get_unique_constraints(table), key=str),
            "indexes": sorted(inspector.get_indexes(table), key=str),
        }
        for table in inspector.get_table_names()
    }


def test_the_revisions_are_those_of_alembic() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "trunkline.state:migrations")
    config.set_main_option("path_separator", "os")
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == schema.REVISIONS


def test_creating_whole_and_migrating_give_the_same_schema(url: str) -> None:
    shapes = []
    for build in (create, upgrade):
        database = Database(locate(url))
        with database.write() as connection:
            build(connection)
        shapes.append(shape(database))
        with database.write() as connection:
            schema.metadata.drop_all(connection)
            schema.version.drop(connection)
        database.close()
    assert shapes[0] == shapes[1]
    assert set(shapes[0]) == {*schema.metadata.tables, schema.version.name}


def test_a_start_creates_then_leaves_alone(url: str) -> None:
    database = Database(locate(url))
    assert [migrate(database), migrate(database)] == ["created", "current"]
    database.close()


def test_a_database_without_revision_but_with_alembics_table_is_migrated(url: str) -> None:
    database = Database(locate(url))
    with database.write() as connection:
        schema.version.create(connection)
    assert [migrate(database), migrate(database)] == ["upgraded", "current"]
    database.close()


def test_a_newer_database_works_on_and_is_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(locate(url))
    migrate(database)
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE ledger ADD COLUMN novelty TEXT"))
        connection.execute(sa.text("ALTER TABLE keys ADD COLUMN novelty INTEGER NOT NULL DEFAULT 7"))
        connection.execute(sa.update(schema.version).values(version_num="9999"))
    with caplog.at_level(logging.WARNING):
        assert migrate(database) == "newer"
    assert "9999" in caplog.text
    Ledger(database).append([entry("a")])
    assert Ledger(database).find("a") == entry("a")
    key, _ = KeyStore(database, server_secret(database, None)).create(KeySpec("k"))
    assert KeyStore(database, b"").get("k") == key
    database.close()


def test_several_processes_may_start_at_once(url: str) -> None:
    program = (
        "import sys; from trunkline.state.database import Database; from trunkline.state.location import locate;"
        "from trunkline.state.migrations import migrate; from trunkline.state.auth_secret import server_secret;"
        "sys.stdin.readline(); d = Database(locate(sys.argv[1])); o = migrate(d);"
        "print(o, server_secret(d, None).hex()); d.close()"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * 3, answers
    words = [out.split() for out, _ in answers]
    assert sorted(word[0] for word in words) == ["created", "current", "current"]
    assert len({word[1] for word in words}) == 1


def test_the_sqlite_files_are_private(tmp_path: Path) -> None:
    database = Database(locate(f"sqlite:///{tmp_path}/a.db"))
    migrate(database)
    server_secret(database, None)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir() if path.name[-4:] != "-shm"}
    assert modes["a.db"] == modes["a.db.secret"] == "0o600"
    assert set(modes.values()) == {"0o600"}
    database.close()


def test_a_database_of_the_version_before_gets_what_is_new_and_keeps_what_it_has(url: str) -> None:
    from alembic import command
    from alembic.config import Config

    database = Database(locate(url))
    config = Config()
    config.set_main_option("script_location", "trunkline.state:migrations")
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with database.write() as connection:
        row = "(id, at, day, surface, status, stream, duration, bytes_in, bytes_out, input, output)"
        values = "('req_1', 5.0, 0, '/v1/messages', 200, true, 1.5, 10, 20, 7, 8)"
        connection.exec_driver_sql(f"INSERT INTO ledger {row} VALUES {values}")
    assert [migrate(database), migrate(database)] == ["upgraded", "current"]
    ledger = Ledger(database)
    ledger.append([entry("req_2")])
    assert ledger.find("req_2") == entry("req_2")
    old = ledger.find("req_1")
    assert old is not None
    assert (old.status, old.bytes_in, old.team, old.priority, old.waited) == (200, 10, None, "default", 0.0)
    assert set(schema.metadata.tables) <= set(shape(database))
    database.close()
