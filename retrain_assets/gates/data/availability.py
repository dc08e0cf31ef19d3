"""The check of gate DATA on availability: a column that is empty until the label is known is known too late to predict with."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.data.rows import SourceRows, null_shares
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed

FEWEST_ROWS = 30
"""Rows without a known label that the pattern of nulls needs to be told from chance."""

EMPTY = 0.95
"""Share of nulls from which on a column counts as empty on the rows whose label is not known."""

LARGEST_CHANCE = 1e-6
"""Probability, at the share of nulls of the labelled rows, below which so many nulls are no chance."""


def columns_are_known_in_time(rows: SourceRows) -> Verdict:
    """No column outside ``source.known_after_prediction`` is filled only once the label is known.

    Two patterns show it: the column is empty on the rows that are too young to have a label, or on those whose label never
    came, and filled on labelled rows (for the young ones: on the hold-out's, the next older). Young rows that have a label
    already, as in a source that is read long after the cut-off, say nothing and are not used. With fewer than 30 rows to look at
    the check passes and says that it could not tell: that is no fault of the data.
    """
    check, source = "columns_are_known_in_time", rows.contract.source
    label = source.label
    groups = {
        "too young for a label": (_without(rows.left_out.too_young, label), rows.holdout),
        "label never came": (
            _without(rows.left_out.unlabelled, label),
            pl.concat([rows.train, rows.holdout], how="diagonal_relaxed"),
        ),
    }
    declared = {*source.known_after_prediction, label, source.event_time, source.unit}
    table: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for name, (without, labelled) in groups.items():
        usable = without.height >= FEWEST_ROWS and labelled.height >= FEWEST_ROWS
        told.append({"pattern": name, "rows": without.height, "rows_compared_with": labelled.height, "judged": usable})
        if not usable:
            continue
        empty, filled = null_shares(without), null_shares(labelled)
        table.extend(
            {
                "column": column,
                "pattern": name,
                "null_share_without_label": empty[column],
                "null_share_with_label": filled[column],
                "rows_without_label": without.height,
                "late": empty[column] >= EMPTY and _chance(empty[column], filled[column], without.height) < LARGEST_CHANCE,
            }
            for column in labelled.columns
            if column in empty and column not in declared
        )
    table.sort(key=lambda row: (row["late"], row["null_share_without_label"] - row["null_share_with_label"]), reverse=True)
    late = list(dict.fromkeys(row["column"] for row in table if row["late"]))
    evidence = {"columns": table[:TABLE_ROWS], "columns_late": len(late), "patterns": told}
    if late:
        first = table[0]
        message = (
            f"{counted(len(late), 'column')} empty until the label is known: {listed(late)}; {first['column']} is null on "
            f"{first['null_share_without_label']:.1%} of {counted(first['rows_without_label'], 'row')} ({first['pattern']}) and "
            f"on {first['null_share_with_label']:.1%} of labelled rows; add to known_after_prediction, or repair the source"
        )
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, len(late), 0, evidence)
    judged = [each for each in told if each["judged"]]
    if not judged:
        message = (
            f"could not tell when columns become known: only {counted(sum(each['rows'] for each in told), 'row')} without a "
            f"label in the source, {FEWEST_ROWS} of a kind are needed; nothing was judged"
        )
        return Verdict(Gate.DATA, check, Outcome.PASS, message, None, 0, evidence)
    seen = " and ".join(f"{counted(each['rows'], 'row')} ({each['pattern']})" for each in judged)
    return Verdict(Gate.DATA, check, Outcome.PASS, f"no column is empty until the label is known, seen on {seen}", 0, 0, evidence)


def _without(frame: pl.DataFrame, label: str) -> pl.DataFrame:
    if label not in frame.columns:
        return frame.clear()
    missing = pl.col(label).is_null() | pl.col(label).is_nan() if frame.schema[label].is_float() else pl.col(label).is_null()
    return frame.filter(missing)


def _chance(empty: float, filled: float, count: int) -> float:
    """Chernoff bound of drawing a share ``empty`` of nulls or more in ``count`` rows when ``filled`` are null."""
    if empty <= filled:
        return 1.0
    if filled <= 0:
        return 0.0
    divergence = empty * math.log(empty / filled)
    if empty < 1:
        divergence += (1 - empty) * math.log((1 - empty) / (1 - filled))
    return math.exp(-count * divergence)
