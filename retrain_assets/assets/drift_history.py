"""The drift reports that Dagster keeps of one champion: what the sensor judges and the trend plots show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dagster as dg

from retrain_assets.assets.road import Road
from retrain_assets.drift import DriftReport, distinct_windows


def reports_of(instance: dg.DagsterInstance, road: Road, champion: str, count: int) -> list[DriftReport]:
    """The drift reports of the latest ``count`` windows of one champion version, oldest first.

    A window that was looked at twice is one window (:func:`retrain_assets.drift.distinct_windows`), so reports that people made
    in between neither count as windows nor hide the ones before.
    """
    found: list[DriftReport] = []
    for report in _reports(instance, road, champion, 2 * count):
        found.append(report)
        if len(distinct_windows(found)) > count:
            break
    return distinct_windows(found)[-count:]


def _reports(instance: dg.DagsterInstance, road: Road, champion: str, page: int) -> Iterator[DriftReport]:
    """Every report of a champion, the latest first; one of an earlier champion ends it."""
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
