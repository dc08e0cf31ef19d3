"""Indexes for what is asked of a long ledger: one retrain of a model, all events of a kind."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the indexes, where they are not."""
    from alembic import op

    op.create_index("events_of_retrain", "events", ["model", "retrain", "sequence"], if_not_exists=True)
    op.create_index("events_of_kind", "events", ["kind", "sequence"], if_not_exists=True)
