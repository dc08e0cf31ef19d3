"""Alembic's entry: runs the revisions on the connection ``schema`` gives, in the transaction it is in."""

from __future__ import annotations

from typing import Any


def _run() -> None:
    from alembic import context

    attributes: dict[str, Any] = context.config.attributes
    context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
    context.run_migrations()


_run()
