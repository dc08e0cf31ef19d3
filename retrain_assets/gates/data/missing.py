"""The checks of gate DATA on missing values: how many a column may have, and how many more than before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.data.history import EarlierDataset, usual_null_share
from retrain_assets.gates.data.rows import DAY, SourceRows, utc
from retrain_assets.gates.data.volume import BEYOND_CHANCE
from retrain_assets.gates.limits import TABLE_ROWS, at_most, listed


def missingness_within_limits(rows: SourceRows) -> Verdict:
    """No column of ``gates.data.max_missing`` has a larger share of nulls in a window than it allows; NaN is a null."""
    check, limits = "missingness_within_limits", rows.contract.gates.data.max_missing
    if not limits:
        message = "gates.data.max_missing sets no limit; the columns with most nulls are in the evidence"
        shares: list[dict[str, Any]] = [
            {"column": column, "window": name, "null_share": share}
            for name, columns in rows.null_share.items()
            for column, share in columns.items()
        ]
        shares.sort(key=lambda row: row["null_share"], reverse=True)
        evidence = {"null_share": shares[:TABLE_ROWS], "columns": rows.train.width}
        return Verdict(Gate.DATA, check, Outcome.PASS, message, evidence=evidence)
    table: list[dict[str, Any]] = [
        {"column": column, "window": name, "null_share": shares[column], "limit": limit}
        for column, limit in limits.items()
        for name, shares in rows.null_share.items()
    ]
    table.sort(key=lambda row: row["null_share"] - row["limit"], reverse=True)
    worst, over = table[0], [row for row in table if row["null_share"] > row["limit"]]
    what = f"share of nulls in {worst['column']} ({worst['window']})"
    if len(over) > 1:
        names = [f"{row['column']} ({row['window']})" for row in over]
        what += f", worst of {listed(names)},"
    evidence = {"null_share": table[:TABLE_ROWS], "over": len(over)}
    return at_most(Gate.DATA, check, worst["null_share"], worst["limit"], what=what, evidence=evidence)


def missingness_is_steady(rows: SourceRows, history: Sequence[EarlierDataset]) -> Verdict:
    """No column's share of nulls rises by more than ``gates.data.max_missing_rise`` beyond chance.

    Compared are the hold-out with training, and both with the median of the training windows of earlier retrains, so that a
    share that creeps up is seen too. A rise counts when it is also more than four standard errors of the difference; the error
    is that of independent rows or, where larger, that of days which differ as much as the training days do: values go missing in
    bursts. Columns of ``max_missing`` have a limit of their own and are left to it.
    """
    check, limit = "missingness_is_steady", rows.contract.gates.data.max_missing_rise
    shares = rows.null_share
    if set(shares) != {"train", "holdout"}:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "one window has no rows, so there is nothing to compare")
    own_limit = {rows.contract.source.label, *rows.contract.gates.data.max_missing}
    table: list[dict[str, Any]] = []
    for column in rows.train.columns:
        if column not in rows.holdout.columns or column in own_limit:
            continue
        train, holdout = shares["train"][column], shares["holdout"][column]
        compared = [("hold-out against training", train, holdout, rows.train.height, rows.holdout.height)]
        if (usual := usual_null_share(history, column)) is not None:
            compared.append(("hold-out against earlier retrains", usual, holdout, rows.train.height, rows.holdout.height))
            compared.append(("training against earlier retrains", usual, train, rows.train.height, rows.train.height))
        for pair, before, after, rows_before, rows_after in compared:
            rise = after - before
            error = _standard_error(before, rows_before, after, rows_after)
            if rise > limit:
                days = _days(rows)
                error = max(error, _spread_of_days(rows, column) * math.sqrt(1 / days[pair.split()[0]] + 1 / days["training"]))
            table.append(
                {
                    "column": column,
                    "compared": pair,
                    "before": before,
                    "after": after,
                    "rise": rise,
                    "standard_error": error,
                    "beyond_chance": rise > BEYOND_CHANCE * error,
                }
            )
    table.sort(key=lambda row: (row["beyond_chance"], row["rise"]), reverse=True)
    worst = table[0] if table and table[0]["beyond_chance"] else None
    over = sorted({row["column"] for row in table if row["beyond_chance"] and row["rise"] > limit})
    what = "largest rise of a column's share of nulls beyond chance"
    if worst:
        others = f"; columns above the limit: {listed(over)}" if len(over) > 1 else ""
        what += f" ({worst['column']}, {worst['compared']}: {worst['before']:.1%} to {worst['after']:.1%}{others})"
    evidence = {"columns": table[:TABLE_ROWS], "columns_over": len(over), "earlier_retrains": [each.retrain for each in history]}
    return at_most(Gate.DATA, check, worst["rise"] if worst else 0.0, limit, what=what, evidence=evidence)


def _days(rows: SourceRows) -> dict[str, float]:
    window = rows.contract.window
    judged = {"training": window.train / DAY, "hold-out": (rows.labels_known_until - rows.train_end) / DAY}
    return {name: max(days, 1.0) for name, days in judged.items()}


def _spread_of_days(rows: SourceRows, column: str) -> float:
    """Standard deviation of the share of nulls over the days of training; 0 with less than three."""
    missing = pl.col(column).is_null()
    if rows.train.schema[column].is_float():
        missing |= pl.col(column).is_nan()
    day = utc(rows.train, rows.contract.source.event_time).dt.truncate("1d")
    shares = rows.train.group_by(day.alias("day"), maintain_order=True).agg(share=missing.mean())["share"]
    spread = shares.std() if shares.len() > 2 else 0.0
    return float(spread) if isinstance(spread, float) else 0.0


def _standard_error(first: float, rows_first: int, second: float, rows_second: int) -> float:
    pooled = (first * rows_first + second * rows_second) / (rows_first + rows_second)
    return math.sqrt(pooled * (1 - pooled) * (1 / rows_first + 1 / rows_second))
