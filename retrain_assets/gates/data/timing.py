"""The checks of gate DATA that are about time: age, silences, order of the windows, maturity of the labels. No clock is read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.data.rows import SourceRows, utc
from retrain_assets.gates.limits import TABLE_ROWS, at_most, counted
from retrain_assets.gates.redaction import RowWords

SHORTEST_SILENCE = 0.01
"""Share of the hold-out window below which a time without rows is no silence: a dense source pauses for seconds."""


def fresh_enough(rows: SourceRows) -> Verdict:
    """The newest source row, labelled or not, is at most ``gates.data.max_age`` old at the cut-off, and not from after it."""
    check = "fresh_enough"
    lasts = [times[-1] for times in (rows.train_times, rows.holdout_times) if times.len()]
    if not lasts:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, f"no row has a value in {rows.contract.source.event_time}")
    newest = max(lasts)
    age, limit = rows.cutoff - newest, rows.contract.gates.data.max_age
    evidence = {"newest": newest.isoformat(), "cutoff": rows.cutoff.isoformat()}
    if age < timedelta(0):
        message = (
            f"the newest row is from {newest.isoformat()}, after the cut-off {rows.cutoff.isoformat()}; cut the source there"
        )
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, _hours(age), _hours(limit), evidence)
    what = f"age of the newest row ({newest.isoformat()}) in hours"
    return at_most(Gate.DATA, check, _hours(age), _hours(limit), what=what, evidence=evidence)


def source_keeps_its_cadence(rows: SourceRows) -> Verdict:
    """No time without a row in the hold-out is ``gates.data.max_silence`` times as long as the longest in training.

    The hold-out's silences begin at the last training row and reach to the cut-off; of the last one the label delay is taken
    off, as a source may deliver its rows with their labels. Silences below 1 % of the hold-out window are none.
    """
    check, limit = "source_keeps_its_cadence", rows.contract.gates.data.max_silence
    training = rows.train_times
    if not training.len():
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "no training row has a time, so the source's own cadence is not known")
    usual = _silences(training).sort("hours", descending=True).head(1).to_dicts()
    longest = usual[0]["hours"] if usual else _hours(rows.contract.window.train)
    floor = SHORTEST_SILENCE * _hours(rows.contract.window.holdout) / limit
    unit = max(longest, floor)
    after = _silences(pl.concat([training.tail(1), rows.holdout_times]))
    newest = rows.holdout_times[-1] if rows.holdout_times.len() else training[-1]
    if (waited := _hours(rows.labels_known_until - newest)) > 0:
        ending = {"from": [newest], "to": [rows.cutoff], "hours": [waited]}
        after = pl.concat([after, pl.DataFrame(ending, schema=after.schema)])
    worst = after.sort("hours", descending=True).head(TABLE_ROWS)
    found: list[dict[str, Any]] = [_silence(row) | {"multiple": row["hours"] / unit} for row in worst.to_dicts()]
    evidence = {
        "longest_in_holdout": found,
        "longest_in_training": [_silence(row) for row in usual],
        "silences_above_limit": after.filter(pl.col("hours") > limit * unit).height,
        "unit_hours": unit,
    }
    first: dict[str, Any] = found[0] if found else {"multiple": 0.0, "hours": 0.0, "from": "", "to": ""}
    between = f"{first['hours']:.1f} h from {first['from']} to {first['to']}; in training {longest:.1f} h at most"
    what = f"longest silence of the source as a multiple of the longest in training ({between})"
    return at_most(Gate.DATA, check, first["multiple"], limit, what=what, evidence=evidence)


def time_order_holds(rows: SourceRows) -> Verdict:
    """Every hold-out row is later than every training row."""
    check, column = "time_order_holds", rows.contract.source.event_time
    if nulls := sum(frame[column].null_count() for frame in rows.windows.values()):
        return Verdict(Gate.DATA, check, Outcome.FAIL, f"{counted(nulls, 'row')} have no {column}", nulls, 0)
    (first, last), (start, end) = _span(rows.train, column), _span(rows.holdout, column)
    if first is None or last is None or start is None or end is None:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "one window has no rows, so there is no order to judge")
    evidence: dict[str, Any] = {
        "windows": [
            {"window": "train", "from": first.isoformat(), "to": last.isoformat()},
            {"window": "holdout", "from": start.isoformat(), "to": end.isoformat()},
        ]
    }
    early = 0
    if start <= last:
        overlapping = rows.holdout.filter(utc(rows.holdout, column) <= last)
        early = overlapping.height
        evidence["early_rows"] = _examples(overlapping.sort(column), rows)
    what = f"number of hold-out rows at or before the last training row ({last.isoformat()})"
    return at_most(Gate.DATA, check, early, 0, what=what, evidence=evidence)


def labels_are_mature(rows: SourceRows) -> Verdict:
    """No row of the snapshot has a label that was known only after the cut-off; rows still without a label are counted."""
    source, latest = rows.contract.source, rows.labels_known_until
    early: list[pl.DataFrame] = []
    unlabelled = 0
    for frame in rows.windows.values():
        unlabelled += frame[source.label].null_count()
        newest = _span(frame, source.event_time)[1]
        if newest is not None and newest > latest:
            early.append(frame.filter(pl.col(source.label).is_not_null() & (utc(frame, source.event_time) > latest)))
    what = f"number of labels known only after the cut-off (event after {latest.isoformat()})"
    evidence = {
        "rows": sum(frame.height for frame in rows.windows.values()),
        "rows_without_label": unlabelled,
        "left_out_label_not_known_yet": rows.left_out.too_young.height,
        "early_rows": [row for frame in early for row in _examples(frame, rows)][:TABLE_ROWS],
    }
    return at_most(Gate.DATA, "labels_are_mature", sum(frame.height for frame in early), 0, what=what, evidence=evidence)


def _examples(frame: pl.DataFrame, rows: SourceRows) -> list[dict[str, Any]]:
    source = rows.contract.source
    columns = [name for name in (source.unit, source.event_time) if name in frame.columns]
    shown = frame.head(TABLE_ROWS).select(pl.col(columns).cast(pl.String))
    words = RowWords(shown, source, rows.names)
    return [{**row, **({source.unit: words.of(row, source.unit)} if source.unit in row else {})} for row in shown.to_dicts()]


def _silences(times: pl.Series) -> pl.DataFrame:
    """The times between one row and the next, rows of one moment taken as one; ``times`` ascending."""
    frame = pl.DataFrame({"from": times, "to": times.shift(-1)}).head(max(times.len() - 1, 0))
    return frame.with_columns(hours=(pl.col("to") - pl.col("from")).dt.total_microseconds() / 3.6e9).filter(pl.col("hours") > 0)


def _silence(row: dict[str, Any]) -> dict[str, Any]:
    return {"from": row["from"].isoformat(), "to": row["to"].isoformat(), "hours": round(row["hours"], 3)}


def _span(frame: pl.DataFrame, column: str) -> tuple[datetime | None, datetime | None]:
    if frame.height == 0:
        return None, None
    low, high = frame.select(low=utc(frame, column).min(), high=utc(frame, column).max()).row(0)
    return low, high


def _hours(duration: timedelta) -> float:
    return duration / timedelta(hours=1)
