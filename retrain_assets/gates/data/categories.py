"""The check of gate DATA on categories: values training never saw, and values that are gone from the hold-out."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.data.rows import SourceRows, utc
from retrain_assets.gates.data.volume import BEYOND_CHANCE
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed, number
from retrain_assets.gates.redaction import MOST_CATEGORIES, RowWords, are_categories

EXPECTED_ROWS = 30
"""Hold-out rows to expect of a level, by its share in training, before its absence is no chance."""


def categories_are_known(rows: SourceRows) -> Verdict:
    """Text columns have the categories they had in training.

    Judged are the columns of text type (string, categorical, enum) of the schema, but for unit, group and label, with at most
    200 levels and at least 20 rows a level in training. New: the share of hold-out rows with a level that training does not
    have is at most ``gates.data.max_new_categories``; a column counts when they are also more than the levels that training
    saw once let expect (Good–Turing: I. J. Good, The population frequencies of species, 1953). Vanished: the share of training
    rows with a level that the hold-out does not have is at most ``max_vanished_categories``, over levels of which 30 or more
    rows were to be expected, by all of training and by its last hold-out length: what left in training has not vanished now.
    """
    check, thresholds = "categories_are_known", rows.contract.gates.data
    if not rows.train.height or not rows.holdout.height:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "one window has no rows, so there are no categories to compare")
    source = rows.contract.source
    text = [
        name
        for name, dtype in rows.train.schema.items()
        if name in rows.holdout.columns
        and name not in (source.unit, source.group, source.label, *thresholds.open_categories)
        and (dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum))
    ]
    levels = {name: found for name in text if (found := _levels(rows.train[name])) is not None}
    latest = rows.train.filter(utc(rows.train, source.event_time) >= rows.train_end - rows.contract.window.holdout)
    words = rows.words(rows.holdout)
    table = [row for name, found in levels.items() for row in _changes(name, found, latest, rows, words)]
    limits = {"new": thresholds.max_new_categories, "vanished": thresholds.max_vanished_categories}
    for row in table:
        row["limit"] = limits[row["kind"]]
    table.sort(key=lambda row: (row["beyond_chance"] and row["share"] > row["limit"], row["share"] - row["limit"]), reverse=True)
    over = [row for row in table if row["beyond_chance"] and row["share"] > row["limit"]]
    evidence = {
        "changes": table[:TABLE_ROWS],
        "changes_over": len(over),
        "columns_judged": [{"column": name, "levels_in_training": found.height} for name, found in levels.items()][:TABLE_ROWS],
        "columns_judged_total": len(levels),
        "text_columns_not_judged": [name for name in text if name not in levels][:TABLE_ROWS],
        "open_categories": thresholds.open_categories,
    }
    if not levels:
        message = "no text column has few enough levels to be a category; nothing was judged"
        return Verdict(Gate.DATA, check, Outcome.PASS, message, evidence=evidence)
    counting = [row for row in table if row["beyond_chance"]]
    worst = over[0] if over else max(counting, key=lambda row: row["share"] / max(row["limit"], 1e-9), default=None)
    limit = f"new {number(limits['new'])}, vanished {number(limits['vanished'])}"
    if worst is None:
        message = f"{counted(len(levels), 'category column')} of the hold-out have the levels they had in training"
        return Verdict(Gate.DATA, check, Outcome.PASS, message, 0.0, limit, evidence)
    gone = "training rows with a level the hold-out no longer has" if worst["kind"] == "vanished" else ""
    what = f"share of {gone or 'hold-out rows with a level that training does not have'} in {worst['column']} ({worst['levels']})"
    also = [f"{row['column']} ({row['kind']})" for row in over[1:]]
    others = f"; also over: {listed(also)}" if also else ""
    message = f"{what} is {number(worst['share'])}; required is at most {number(worst['limit'])}{others}"
    if over:
        message += "; repair the source, or name columns whose categories come and go in gates.data.open_categories"
    return Verdict(Gate.DATA, check, Outcome.FAIL if over else Outcome.PASS, message, worst["share"], limit, evidence)


def _levels(values: pl.Series) -> pl.DataFrame | None:
    """Levels with their counts, most frequent first; None for a column that is no category."""
    if values.head(50 * MOST_CATEGORIES).n_unique() > MOST_CATEGORIES + 1:
        return None
    counts = _counts(values)
    return counts if counts.height and are_categories(counts.height, values.len()) else None


def _counts(values: pl.Series) -> pl.DataFrame:
    counts = values.drop_nulls().alias("level").value_counts(sort=True)
    return counts.with_columns(pl.col("level").cast(pl.String), pl.col("count").cast(pl.Int64))


def _changes(column: str, before: pl.DataFrame, latest: pl.DataFrame, rows: SourceRows, words: RowWords) -> list[dict[str, Any]]:
    after, recent = _counts(rows.holdout[column]), _counts(latest[column])
    new = after.join(before, on="level", how="anti").sort("count", "level", descending=[True, False])
    vanished = (
        before.filter(pl.col("count") * rows.holdout.height / rows.train.height >= EXPECTED_ROWS)
        .join(
            recent.filter(pl.col("count") * rows.holdout.height / max(latest.height, 1) >= EXPECTED_ROWS), on="level", how="semi"
        )
        .join(after, on="level", how="anti")
        .sort("count", "level", descending=[True, False])
    )
    expected = before.filter(pl.col("count") == 1).height / rows.train.height * rows.holdout.height
    changes: list[dict[str, Any]] = []
    for kind, levels, total, chance in (
        ("new", new, rows.holdout.height, expected + BEYOND_CHANCE * math.sqrt(expected)),
        ("vanished", vanished, rows.train.height, 0.0),
    ):
        if levels.height:
            found = int(levels["count"].sum())
            changes.append(
                {
                    "column": column,
                    "kind": kind,
                    "levels": listed([words.value(level, column)[:60] for level in levels["level"].to_list()]),
                    "rows": found,
                    "share": found / total,
                    "levels_total": levels.height,
                    "beyond_chance": found > chance,
                }
            )
    return changes
