"""What is new in Dagster's own record since a sensor looked: runs that died, and events of the drift reports.

Each question is one query a tick for all models, not one a model.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from retrain_assets.automation.attempts import DEAD

OVERLAP = timedelta(minutes=2)
"""How far back a question reaches beyond the last answer: a run may be written later than it is dated."""
LOOKED_AT = 1000
"""Runs and events that are looked through; where more are new, every model is looked at."""


def newly_dead(instance: dg.DagsterInstance, mark: Any) -> tuple[str, frozenset[str] | None]:
    """The models of runs that failed or were cancelled since a mark; None where too many did to tell.

    Args:
        instance: Dagster's record.
        mark: what the last call gave; None: the first call.
    """
    since = datetime.fromisoformat(mark) if isinstance(mark, str) else None
    filters = dg.RunsFilter(statuses=DEAD, updated_after=since - OVERLAP if since else None)
    limit = LOOKED_AT if since else 1
    records = instance.get_run_records(filters, limit=limit, order_by="update_timestamp", ascending=False)
    newest = max((record.update_timestamp for record in records), default=None)
    reached = max((moment for moment in (newest and newest.replace(tzinfo=newest.tzinfo or UTC), since) if moment), default=None)
    after = (reached or datetime.fromtimestamp(0, UTC)).isoformat()
    if since is None:
        return after, frozenset()
    return after, None if len(records) == limit else frozenset(model for one in records for model in _models_of(one.dagster_run))


def drift_news(
    instance: dg.DagsterInstance, kinds: tuple[dg.DagsterEventType, ...], mark: Any
) -> tuple[int, frozenset[str] | None]:
    """The models of whose drift report events of some kinds came since a mark; None where too many came to tell.

    Args:
        instance: Dagster's record.
        kinds: materialisations, observations.
        mark: what the last call gave; None: the first call.
    """
    storage = instance.event_log_storage
    newest = storage.get_maximum_record_id() or 0
    if not isinstance(mark, int) or mark == newest:
        return newest, frozenset()
    if newest < mark:
        return newest, None
    models: set[str] = set()
    for kind in kinds:
        records = storage.get_event_records(dg.EventRecordsFilter(kind, after_cursor=mark), limit=LOOKED_AT, ascending=True)
        if len(records) == LOOKED_AT:
            return newest, None
        keys = [record.asset_key for record in records if record.asset_key is not None]
        models |= {key.path[0] for key in keys if key.path[-1] == "drift_report"}
    return newest, frozenset(models)


def _models_of(run: dg.DagsterRun) -> set[str]:
    named = {run.tags["retrain/model"]} if "retrain/model" in run.tags else set()
    return named | {key.path[0] for key in run.asset_selection or ()}
