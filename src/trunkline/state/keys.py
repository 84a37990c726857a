"""Keys in the database: made, listed and changed by the command line and the admin API.

Every change puts a new value into `meta.keys_revision` in the same transaction. Running gateways poll that one row and
load the keys again when it differs, so a change made anywhere takes effect everywhere within a second.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from trunkline.core.call import PRIORITIES, Capture, Key, KeyChange, KeySpec
from trunkline.policy import rules
from trunkline.state import auth_secret, schema
from trunkline.state.database import Database
from trunkline.state.keyring import SHOWN_CHARACTERS, StoredKey, digest, new_secret
from trunkline.state.location import StateError

ID_PREFIX = "key_"
MAX_ITEMS = 100
MAX_TEXT = 200
MAX_LIMITS = 32
MAX_METADATA = 16_384
MAX_GRACE = 30 * 86_400.0
"""Seconds."""

NAME = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,99}")


class KeyStore:
    """The keys of one migrated database. `clock`: seconds since the epoch. Methods raise `StateUnavailable` too."""

    def __init__(self, database: Database, server_secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._server_secret = server_secret
        self._clock = clock

    def create(self, spec: KeySpec) -> tuple[Key, str]:
        """A new key and its secret, which is shown now or never. Raises `StateError` naming the field."""
        now = self._clock()
        _validate(spec, now)
        secret = new_secret()
        key = Key(
            id=ID_PREFIX + secrets.token_hex(8),
            hash=self._hash(secret),
            prefix=secret[:SHOWN_CHARACTERS],
            created_at=now,
            **msgspec.structs.asdict(spec),
        )
        try:
            with self._database.write() as connection:
                self._require_same_secret(connection)
                connection.execute(schema.keys.insert(), _row(key))
                self._changed(connection)
        except IntegrityError:
            raise StateError(f"name: there is a key named {spec.name!r} already; choose another or rotate it") from None
        return key, secret

    def load(self) -> list[StoredKey]:
        """All keys with what is left of their rotations, oldest first."""
        with self._database.read() as connection:
            query = sa.select(schema.keys).order_by(schema.keys.c.created_at, schema.keys.c.id)
            return [_stored(row) for row in connection.execute(query)]

    def list(self) -> list[Key]:
        """All keys, oldest first."""
        return [stored.key for stored in self.load()]

    def get(self, reference: str) -> Key:
        """The key of this id or name. Raises `StateError` where there is none."""
        with self._database.read() as connection:
            return _find(connection, reference).key

    def change(self, reference: str, change: KeyChange) -> Key:
        """Take over what the change says of a key. Raises `StateError` naming the field, or where there is no key."""
        values = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
        _validate_values(values)
        if "limits" in values:
            values["limits"] = _listed(values["limits"])
        with self._database.write() as connection:
            key = _find(connection, reference).key
            return self._update(connection, key.id, values) if values else key

    def set_disabled(self, reference: str, disabled: bool) -> Key:
        """Refuse or admit a key's calls. Raises `StateError` where there is none."""
        return self.change(reference, KeyChange(disabled=disabled))

    def rotate(self, reference: str, grace: float = 0.0) -> tuple[Key, str]:
        """A new secret for a key. The one before stays valid for `grace` seconds; the one before that does not.

        Raises `StateError` where there is no such key or the grace is out of range.
        """
        if not 0 <= grace <= MAX_GRACE:
            raise StateError(f"grace: from 0 to {MAX_GRACE:.0f} seconds (30 days), not {grace:g}")
        secret = new_secret()
        values: dict[str, Any] = {
            "hash": self._hash(secret),
            "prefix": secret[:SHOWN_CHARACTERS],
            "old_hash": None,
            "old_until": None,
        }
        with self._database.write() as connection:
            self._require_same_secret(connection)
            before = _find(connection, reference).key
            if grace:
                values |= {"old_hash": before.hash, "old_until": self._clock() + grace}
            return self._update(connection, before.id, values), secret

    def delete(self, reference: str) -> Key:
        """Remove a key; its calls stay in the ledger. Raises `StateError` where there is none."""
        with self._database.write() as connection:
            key = _find(connection, reference).key
            connection.execute(schema.keys.delete().where(schema.keys.c.id == key.id))
            if connection.execute(sa.select(schema.keys.c.id).limit(1)).first() is None:
                # With no key left, another server secret is as good.
                connection.execute(schema.meta.delete().where(schema.meta.c.name == schema.META_AUTH_CHECK))
            self._changed(connection)
        return key

    def revision(self) -> str | None:
        """Changes with every change of a key: one row by its primary key, cheap enough to poll."""
        query = sa.select(schema.meta.c.value).where(schema.meta.c.name == schema.META_KEYS_REVISION)
        with self._database.read() as connection:
            value: str | None = connection.execute(query).scalar()
        return value

    def secret_matches(self) -> bool:
        """Whether the keys were hashed with the server secret at hand: if not, none of them can be found."""
        with self._database.read() as connection:
            return auth_secret.check(connection, self._server_secret)

    def _update(self, connection: sa.Connection, id: str, values: dict[str, Any]) -> Key:
        connection.execute(schema.keys.update().where(schema.keys.c.id == id).values(values))
        self._changed(connection)
        return _find(connection, id).key

    def _hash(self, secret: str) -> str:
        return digest(self._server_secret, secret.encode()).hex()

    def _require_same_secret(self, connection: sa.Connection) -> None:
        auth_secret.leave_check(self._database, connection, self._server_secret)
        if not auth_secret.check(connection, self._server_secret):
            raise StateError(
                "auth_secret: the keys in this database were made with another server secret; "
                "restore that one (configuration or .secret file), or delete all keys and begin anew"
            )

    def _changed(self, connection: sa.Connection) -> None:
        # A random value rather than a count: whoever polls compares for equality alone.
        value = secrets.token_hex(8)
        statement = self._database.insert(schema.meta).values(name=schema.META_KEYS_REVISION, value=value)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def _find(connection: sa.Connection, reference: str) -> StoredKey:
    column = schema.keys.c.id if reference.startswith(ID_PREFIX) else schema.keys.c.name
    # Locked (PostgreSQL; SQLite admits one writer anyway), so that two rotations at once follow one another.
    query = sa.select(schema.keys).where(column == reference).with_for_update()
    # PostgreSQL refuses even to compare with a text that holds NUL.
    row = None if "\0" in reference else connection.execute(query).first()
    if row is None:
        raise StateError(f"key: there is none with the id or name {reference!r}; see: trunkline keys list")
    return _stored(row)


def _row(key: Key) -> dict[str, Any]:
    row = msgspec.structs.asdict(key)
    for name in ("tags", "metadata"):
        row[name] = msgspec.json.encode(row[name]).decode()
    row["models"] = None if key.models is None else msgspec.json.encode(key.models).decode()
    row["limits"] = _listed(key.limits)
    return row


def _listed(items: tuple[str, ...]) -> str | None:
    return msgspec.json.encode(items).decode() if items else None


def _stored(row: Any) -> StoredKey:
    values = dict(row._mapping)
    old_hash, old_until = values.pop("old_hash"), values.pop("old_until")
    values["tags"] = tuple(msgspec.json.decode(values["tags"]))
    values["models"] = None if values["models"] is None else tuple(msgspec.json.decode(values["models"]))
    values["metadata"] = msgspec.json.decode(values["metadata"])
    values["limits"] = () if values["limits"] is None else tuple(msgspec.json.decode(values["limits"]))
    return StoredKey(Key(**values), old_hash, old_until)


def _validate(spec: KeySpec, now: float) -> None:
    if not NAME.fullmatch(spec.name) or spec.name.startswith(ID_PREFIX):
        raise StateError(f"name: 1 to 100 printable characters, not beginning with a space or {ID_PREFIX!r}")
    texts = {"owner": (spec.owner,) if spec.owner is not None else (), "tags": spec.tags, "models": spec.models or ()}
    for field, items in texts.items():
        if len(items) > MAX_ITEMS or any(not 0 < len(item) <= MAX_TEXT or "\0" in item for item in items):
            raise StateError(f"{field}: at most {MAX_ITEMS}, each of 1 to {MAX_TEXT} characters")
    if spec.models == ():
        raise StateError("models: an empty list would allow nothing; leave it out to allow all, or disable the key")
    if spec.expires_at is not None and not spec.expires_at > now:
        raise StateError("expires_at: this moment has passed; give a later one")
    if spec.capture is not None and spec.capture not in get_args(Capture):
        raise StateError(f"capture: one of {', '.join(get_args(Capture))}, not {spec.capture!r}")
    if len(msgspec.json.encode(spec.metadata)) > MAX_METADATA:
        raise StateError(f"metadata: at most {MAX_METADATA} bytes as JSON")
    _validate_values({"team": spec.team, "limits": spec.limits, "priority": spec.priority})


def _validate_values(values: dict[str, Any]) -> None:
    """What may be changed later, too. Raises `StateError` naming the field."""
    team, limits, priority = (values.get(name) for name in ("team", "limits", "priority"))
    if team is not None and not NAME.fullmatch(team):
        raise StateError("team: 1 to 100 printable characters, not beginning with a space")
    if priority is not None and priority not in PRIORITIES:
        raise StateError(f"priority: one of {', '.join(PRIORITIES)}, not {priority!r}")
    if limits is not None and len(limits) > MAX_LIMITS:
        raise StateError(f"limits: at most {MAX_LIMITS}")
    for limit in limits or ():
        try:
            rules.parse(limit)
        except ValueError as error:
            raise StateError(f"limits: {error}") from None
