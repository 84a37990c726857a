"""The ledger's sums by day, and the triggers that keep them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trunkline.state import days

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "ledger_days",
        sa.Column("day", sa.Integer, nullable=False, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("surface", "model", "target", "key", "team")),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in (
                "calls", "errors", "unpriced", "estimated",
                "input", "cache_read", "cache_write", "output", "reasoning", "cost",
            )
        ),
        sa.PrimaryKeyConstraint("day", "surface", "model", "target", "key", "team", name="pk_ledger_days"),
    )  # fmt: skip
    days.install(op.get_bind())
