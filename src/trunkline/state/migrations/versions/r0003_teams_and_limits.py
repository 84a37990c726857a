"""Teams, limits and priorities of keys; what the ledger says of them; a key's calls by time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for column in ("team", "limits", "priority"):
        op.add_column("keys", sa.Column(column, sa.Text))
    op.add_column("ledger", sa.Column("team", sa.Text))
    op.add_column("ledger", sa.Column("priority", sa.Text))
    op.add_column("ledger", sa.Column("waited", sa.Double))
    op.create_index("ix_ledger_key_at", "ledger", ["key", "at"])
