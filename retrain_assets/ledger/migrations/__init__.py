"""How a ledger of an earlier version becomes one of this: Alembic revisions, run by ``schema`` under the ledger's lock."""
