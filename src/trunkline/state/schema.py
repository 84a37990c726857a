"""The tables, once, for both engines. Types are those on which SQLite and PostgreSQL agree.

- Money is an integer (nano-dollars), so that sums are exact; 2**63 of them are nine thousand million dollars.
- Times are seconds since the epoch, as in `core.call`. `ledger.day` repeats the UTC day as an integer, because the two
  engines share no function from a number to a date.
- Lists and objects are JSON text: read and written whole.

A change here needs a revision in `migrations/versions` and in `REVISIONS`; a test holds the three together.
"""

from __future__ import annotations

import sqlalchemy as sa

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every Alembic revision, oldest first: known here so that a start need not import Alembic to find nothing to do."""

HEAD = REVISIONS[-1]

SECONDS_A_DAY = 86_400

metadata = sa.MetaData(naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"})

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("old_hash", sa.Text),
    sa.Column("old_until", sa.Double),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("models", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("capture", sa.Text),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("team", sa.Text),
    sa.Column("limits", sa.Text),
    sa.Column("priority", sa.Text),
)
"""`old_hash` is the secret before the last rotation, valid until `old_until`."""

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("surface", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("tags", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("target", sa.Text),
    sa.Column("price_model", sa.Text),
    sa.Column("stream", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Text),
    sa.Column("first_byte", sa.Double),
    sa.Column("duration", sa.Double, nullable=False),
    sa.Column("input", sa.BigInteger),
    sa.Column("cache_read", sa.BigInteger),
    sa.Column("cache_write", sa.BigInteger),
    sa.Column("cache_write_1h", sa.BigInteger),
    sa.Column("output", sa.BigInteger),
    sa.Column("reasoning", sa.BigInteger),
    sa.Column("input_audio", sa.BigInteger),
    sa.Column("output_audio", sa.BigInteger),
    sa.Column("estimated", sa.Boolean),
    sa.Column("cost", sa.BigInteger),
    sa.Column("price_date", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("message", sa.Text),
    sa.Column("bytes_in", sa.BigInteger, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
    sa.Column("lost", sa.Text),
    sa.Column("request", sa.Text),
    sa.Column("response", sa.Text),
    sa.Column("team", sa.Text),
    sa.Column("priority", sa.Text),
    sa.Column("waited", sa.Double),
)
"""One row a call. The token columns are all NULL where nothing is known of the usage; `cost` where no price is."""

# The indexes that every row pays for: usage is asked for by time first, whatever it is grouped by; or for one key.
sa.Index("ix_ledger_at", ledger.c.at)
sa.Index("ix_ledger_key_at", ledger.c.key, ledger.c.at)

ledger_days = sa.Table(
    "ledger_days",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("surface", "model", "target", "key", "team")),
    *(
        sa.Column(name, sa.BigInteger, nullable=False)
        for name in (
            "calls", "errors", "unpriced", "estimated",
            "input", "cache_read", "cache_write", "output", "reasoning", "cost",
        )
    ),
)  # fmt: skip
"""The ledger's sums, kept by triggers: see `days`."""

responses = sa.Table(
    "responses",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
"""What is remembered of the Responses API, by the key that asked and the answer's id. `data` is a whole
`core.stores.Kept`, compressed: text in it that others wrote need not be any that a database takes."""

sa.Index("ix_responses_expires_at", responses.c.expires_at)

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""Single facts, under the names below."""

META_KEYS_REVISION = "keys_revision"
"""Changes with every change of a key: what the running gateways poll."""
META_AUTH_SECRET = "auth_secret"  # noqa: S105 - the name of a row
"""The server secret, where neither the configuration nor a file holds it."""
META_AUTH_CHECK = "auth_check"
"""A fingerprint of the server secret with which the keys were hashed."""

version = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, in the shape that Alembic gives it. Outside `metadata`: it is not ours."""
