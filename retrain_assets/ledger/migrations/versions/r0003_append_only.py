"""Triggers that refuse to change or remove events and checkpoints, and to take the head back."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the triggers."""
    from alembic import op

    from retrain_assets.ledger.guards import set_guards

    set_guards(op.get_bind())
