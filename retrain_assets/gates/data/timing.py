"""The checks of gate DATA that are about time: age, order of the windows, maturity of the labels. Nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.limits import at_most, counted


def fresh_enough(windows: Mapping[str, pl.DataFrame], contract: Contract, cutoff: datetime) -> Verdict:
    """The newest row is at most ``gates.data.max_age`` old at the cut-off, and not from after it."""
    check = "fresh_enough"
    lasts = [last for frame in windows.values() if (last := _span(frame, contract.source.event_time)[1])]
    if not lasts:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, f"no row has a value in {contract.source.event_time}")
    newest = max(lasts)
    age, limit = cutoff - newest, contract.gates.data.max_age
    evidence = {"newest": newest.isoformat(), "cutoff": cutoff.isoformat()}
    if age < timedelta(0):
        message = f"the newest row is from {newest.isoformat()}, after the cut-off {cutoff.isoformat()}; cut the source there"
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, _hours(age), _hours(limit), evidence)
    return at_most(Gate.DATA, check, _hours(age), _hours(limit), what="age of the newest row in hours", evidence=evidence)


def time_order_holds(windows: Mapping[str, pl.DataFrame], event_time: str) -> Verdict:
    """Every hold-out row is later than every training row."""
    check = "time_order_holds"
    if nulls := sum(frame[event_time].null_count() for frame in windows.values()):
        return Verdict(Gate.DATA, check, Outcome.FAIL, f"{counted(nulls, 'row')} have no {event_time}", nulls, 0)
    (first, last), (start, end) = _span(windows["train"], event_time), _span(windows["holdout"], event_time)
    if first is None or last is None or start is None or end is None:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "one window has no rows, so there is no order to judge")
    early = windows["holdout"].filter(_utc(windows["holdout"], event_time) <= last).height
    evidence = {
        "train": {"from": first.isoformat(), "to": last.isoformat()},
        "holdout": {"from": start.isoformat(), "to": end.isoformat()},
    }
    what = f"number of hold-out rows at or before the last training row ({last.isoformat()})"
    return at_most(Gate.DATA, check, early, 0, what=what, evidence=evidence)


def labels_are_mature(windows: Mapping[str, pl.DataFrame], contract: Contract, cutoff: datetime) -> Verdict:
    """No row has a label that was known only after the cut-off; rows still without a label are counted."""
    source = contract.source
    latest_event = cutoff - source.label_delay
    early = unlabelled = 0
    for frame in windows.values():
        early += frame.filter(pl.col(source.label).is_not_null() & (_utc(frame, source.event_time) > latest_event)).height
        unlabelled += frame[source.label].null_count()
    rows = sum(frame.height for frame in windows.values())
    what = f"number of labels known only after the cut-off (event after {latest_event.isoformat()})"
    evidence = {"rows": rows, "rows_without_label": unlabelled, "share_without_label": unlabelled / rows}
    return at_most(Gate.DATA, "labels_are_mature", early, 0, what=what, evidence=evidence)


def _span(frame: pl.DataFrame, column: str) -> tuple[datetime | None, datetime | None]:
    if frame.height == 0:
        return None, None
    low, high = frame.select(low=_utc(frame, column).min(), high=_utc(frame, column).max()).row(0)
    return low, high


def _utc(frame: pl.DataFrame, column: str) -> pl.Expr:
    dtype = frame.schema[column]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return pl.col(column).dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    return pl.col(column).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _hours(duration: timedelta) -> float:
    return duration / timedelta(hours=1)
