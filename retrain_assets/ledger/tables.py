"""The ledger's tables as code uses them and a new ledger gets them; ``migrations`` brings an earlier one to them."""

from __future__ import annotations

import sqlalchemy as sa

TABLES = sa.MetaData()
EVENTS = sa.Table(
    "events",
    TABLES,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.Text, nullable=False),
    sa.Column("actor_kind", sa.Text, nullable=False),
    sa.Column("actor_name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("retrain", sa.Text),
    sa.Column("toggle", sa.Text),
    sa.Column("revision_before", sa.BigInteger),
    sa.Column("revision_after", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.Text, nullable=False, unique=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Index("events_of_model", "model", "sequence"),
    sa.Index("events_of_toggle", "toggle", "sequence"),
    sa.Index("events_of_retrain", "model", "retrain", "sequence"),
    sa.Index("events_of_kind", "kind", "sequence"),
)
HEAD = sa.Table(
    "head",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
PROJECTIONS = sa.Table(
    "projections",
    TABLES,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.Text),
)
CHECKPOINTS = sa.Table(
    "checkpoints",
    TABLES,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("statement", sa.Text, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("peaks", sa.Text, nullable=False),
)
VERSION = sa.Table(
    "ledger_version",
    TABLES,
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="ledger_version_pkc"),
)
