"""The drift reports that Dagster keeps of one champion: what the sensor judges and the trend plots show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import dagster as dg
from cronsim import CronSim

from retrain_assets.assets.road import Road
from retrain_assets.drift import DriftReport

AGAIN = timedelta(days=1)
"""Reports nearer than this, between two ticks of ``drift_cron``, are one window reported again."""


def reports_of(instance: dg.DagsterInstance, road: Road, champion: str, count: int) -> list[DriftReport]:
    """The latest drift reports of one champion version, oldest first, at most ``count``.

    A report that a person makes again on the same day, between two ticks of ``drift_cron``, replaces the earlier one: looking
    twice at one window is not two windows.
    """
    found: list[DriftReport] = []
    for report in _reports(instance, road, champion, count):
        if found and _same_window(report, found[-1], road.contract.cadence.drift_cron):
            continue
        found.append(report)
        if len(found) == count:
            break
    return found[::-1]


def _reports(instance: dg.DagsterInstance, road: Road, champion: str, page: int) -> Iterator[DriftReport]:
    """Every report of a champion, the latest first; the ones of an earlier champion end it."""
    cursor = None
    while True:
        fetched = instance.fetch_materializations(road.key("drift_report"), limit=page, cursor=cursor)
        for record in fetched.records:
            metadata = record.asset_materialization.metadata if record.asset_materialization else {}
            if "report" not in metadata:
                continue
            if metadata["champion"].value != champion:
                return
            if isinstance(report := metadata["report"].value, Mapping):
                yield DriftReport.from_json(report)
        if not fetched.has_more or not fetched.records:
            return
        cursor = fetched.cursor


def _same_window(earlier: DriftReport, later: DriftReport, drift_cron: str) -> bool:
    return later.end - earlier.end < AGAIN and next(CronSim(drift_cron, earlier.end)) > later.end
