"""How well the known labels of a unit separate its next one: what honest history can do where labels go on as they were."""

from __future__ import annotations

import polars as pl

from retrain_assets.contract import Contract
from retrain_assets.gates.features.cells import binary_targets, sampled
from retrain_assets.gates.features.separation import single_feature_auc

MOST_ROWS = 25_000
"""Rows of which the last known label is looked up; a seeded random sample where there are more."""


def area_of_known_labels(train: pl.DataFrame, contract: Contract, unit: str, label: str) -> float | None:
    """Area under the ROC curve of the unit's latest label that was known at the row's event time .

    Sales of a shop, states of a machine: the label of last week says much of this week's, and a feature that says as much
    is no leak. One half where units do not return, None where the label has one class or there is no event time.

    Args:
        train: labelled features of the training window with unit, event time and label.
        contract: task, event time and label delay.
        unit: column of the unit.
        label: column of the label.
    """
    source = contract.source
    if unit not in train.columns or source.event_time not in train.columns:
        return None
    value = pl.col(label)
    if isinstance(train.schema[label], pl.Categorical | pl.Enum):
        value = value.cast(pl.String)
    time = pl.col(source.event_time).cast(pl.Datetime("us"))
    rows = train.select(unit=pl.col(unit), time=time, weekday=time.dt.weekday(), label=value).sort("time", maintain_order=True)
    known = rows.select("unit", "weekday", time=pl.col("time") + source.label_delay, latest="label")
    if train.schema[label].is_numeric() or train.schema[label] == pl.Boolean:
        total = pl.col("latest").cast(pl.Float64).cum_sum().over("unit")
        known = known.with_columns(mean=total / pl.col("latest").cum_count().over("unit"))
    asked = sampled(rows, MOST_ROWS)
    targets = binary_targets(asked["label"], contract.task)
    histories = [("latest", ["unit"]), ("latest", ["unit", "weekday"]), ("mean", ["unit"])]
    areas = [
        single_feature_auc(
            _as_of(asked, known.select("time", *by, name), by, known_at_once=bool(source.label_delay))[name], targets
        )
        for name, by in histories
        if name in known.columns
    ]
    return max((area for area in areas if area is not None), default=None)


def _as_of(asked: pl.DataFrame, known: pl.DataFrame, by: list[str], *, known_at_once: bool) -> pl.DataFrame:
    return asked.join_asof(known, on="time", by=by, allow_exact_matches=known_at_once, check_sortedness=False)
