"""The heads that Dagster's materialisations carry. Dagster is imported here alone, and only where there is an instance."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

from retrain_assets.contract import RetrainError, first_line
from retrain_assets.home import Home
from retrain_assets.release.anchoring import HEAD_METADATA

ASSETS = ("promotion_decision", "audit_record", "canary_report")
"""The assets whose materialisations carry the head."""

AT_ONCE = 500


def dagster_folder(home: Home) -> Path | None:
    """Where the instance is: ``DAGSTER_HOME``, else the home's own where it has one."""
    if named := os.environ.get("DAGSTER_HOME"):
        return Path(named)
    return home.dagster_home if (home.dagster_home / "dagster.yaml").exists() else None


def dagster_anchors(folder: Path, models: Iterable[str]) -> list[tuple[str, str]]:
    """What was materialised and the head it carries, as text, oldest first; materialisations without one are left out.

    Args:
        folder: the instance's.
        models: whose assets are looked at.

    Raises:
        RetrainError: when the instance does not open, or does not answer.
    """
    if not folder.is_dir():
        raise RetrainError("there is no Dagster instance", where=str(folder), remedy="set DAGSTER_HOME right, or unset it")
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    found: list[tuple[str, str]] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with dg.DagsterInstance.from_config(str(folder)) as instance:
                for model in models:
                    for asset in ASSETS:
                        found += _carried(instance, dg.AssetKey([model, asset]))
    except (dg.DagsterError, SQLAlchemyError, OSError) as error:
        raise RetrainError(
            f"the Dagster instance does not answer ({first_line(error)})", where=str(folder), remedy="see that it is whole"
        ) from error
    return found


def _carried(instance: object, key: object) -> list[tuple[str, str]]:
    import dagster as dg

    assert isinstance(instance, dg.DagsterInstance)
    assert isinstance(key, dg.AssetKey)
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(key, limit=AT_ONCE, cursor=cursor, ascending=True)
        for record in page.records:
            made = record.asset_materialization
            value = made.metadata.get(HEAD_METADATA) if made else None
            if value is not None:
                found.append((f"{'/'.join(key.path)} {record.partition_key or ''}".strip(), str(value.value)))
        if not page.has_more:
            return found
        cursor = page.cursor
