"""Activities by type, and the equity by two counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "postings",
        sa.Column("activity_id", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("fill", sa.String(), nullable=False),
        sa.Column("correction_id", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("activity_id"),
    )
    op.create_index(op.f("ix_postings_day"), "postings", ["day"], unique=False)
    op.add_column("equity", sa.Column("own", sa.String(), nullable=True))
    op.add_column("equity", sa.Column("moved", sa.String(), nullable=False, server_default="0"))
    op.add_column("equity", sa.Column("doubtful", sa.Boolean(), nullable=False, server_default=sa.false()))
