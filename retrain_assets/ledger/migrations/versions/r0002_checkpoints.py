"""Checkpoints, and a seal on each watermark, so that a changed one is found."""

from __future__ import annotations

import sqlalchemy as sa

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of checkpoints; seal the watermarks there are."""
    from alembic import op

    from retrain_assets.ledger.watermarks import seal

    connection = op.get_bind()
    tables = sa.inspect(connection)
    if not tables.has_table("checkpoints"):
        op.create_table(
            "checkpoints",
            sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("statement", sa.Text, nullable=False),
            sa.Column("signature", sa.Text, nullable=False),
            sa.Column("key", sa.Text, nullable=False),
            sa.Column("peaks", sa.Text, nullable=False),
        )
    if all(column["name"] != "seal" for column in tables.get_columns("projections")):
        op.add_column("projections", sa.Column("seal", sa.Text))
    marks = connection.execute(
        sa.text(
            "SELECT projections.name, projections.sequence, events.hash FROM projections "
            "LEFT JOIN events ON events.sequence = projections.sequence"
        )
    ).all()
    for name, sequence, found in marks:
        connection.execute(
            sa.text("UPDATE projections SET seal = :seal WHERE name = :name"),
            {"name": name, "seal": seal(name, sequence, found or "0" * 64)},
        )
