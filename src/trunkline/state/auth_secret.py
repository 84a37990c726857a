"""The server secret, with which the secrets of keys are hashed.

In order: the configuration's `auth_secret`; else, for SQLite, a file beside the database, readable by its owner alone;
else, for PostgreSQL, a row in `meta`, because several machines must agree on it. Losing it makes every key invalid, so
the first key leaves a fingerprint in `meta`, and a secret that does not match is an error and not a riddle.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

import sqlalchemy as sa

from trunkline.state import schema
from trunkline.state.database import Database
from trunkline.state.location import StateError

MIN_CHARACTERS = 32
FILE_SUFFIX = ".secret"
_PURPOSE = b"trunkline auth check"


def server_secret(database: Database, configured: str | None) -> bytes:
    """The secret, made on first use. Needs a migrated database.

    Raises `StateError` where the configured one is short or the file is unusable; `SQLAlchemyError`.
    """
    if configured is not None:
        if len(configured) < MIN_CHARACTERS:
            raise StateError(f"auth_secret: at least {MIN_CHARACTERS} characters are needed; try: openssl rand -hex 32")
        return configured.encode()
    if database.location.path is not None:
        return _from_file(database.location.path.with_name(database.location.path.name + FILE_SUFFIX))
    return _from_row(database)


def check(connection: sa.Connection, secret: bytes) -> bool:
    """Whether the keys were hashed with this secret; True where there has never been one."""
    stored = connection.execute(
        sa.select(schema.meta.c.value).where(schema.meta.c.name == schema.META_AUTH_CHECK)
    ).scalar()
    return stored is None or hmac.compare_digest(stored, _fingerprint(secret))


def leave_check(database: Database, connection: sa.Connection, secret: bytes) -> None:
    """Record the secret's fingerprint, unless there is one."""
    row = {"name": schema.META_AUTH_CHECK, "value": _fingerprint(secret)}
    connection.execute(database.insert(schema.meta).on_conflict_do_nothing(), row)


def _fingerprint(secret: bytes) -> str:
    return hmac.digest(secret, _PURPOSE, "sha256").hex()


def _from_file(path: Path) -> bytes:
    try:
        if not path.exists():
            _create_once(path)
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"auth_secret: the file {path} cannot be used ({error}); set auth_secret instead") from error
    if len(secret) < MIN_CHARACTERS:
        raise StateError(f"auth_secret: the file {path} is damaged; restore it from a backup, or set auth_secret")
    return secret.encode()


def _create_once(path: Path) -> None:
    """Write a new secret under another name and link it into place: whole or not at all, and the first one stays."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        # Another process was first: its secret is the one.
        return
    finally:
        draft.unlink()


def _from_row(database: Database) -> bytes:
    row = {"name": schema.META_AUTH_SECRET, "value": secrets.token_hex(32)}
    query = sa.select(schema.meta.c.value).where(schema.meta.c.name == schema.META_AUTH_SECRET)
    with database.write() as connection:
        connection.execute(database.insert(schema.meta).on_conflict_do_nothing(), row)
        value: str = connection.execute(query).scalar_one()
    return value.encode()
