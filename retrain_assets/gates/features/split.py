"""Rows that stand on both sides of the split, feature by feature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from retrain_assets.contract import Contract, Gate, Verdict
from retrain_assets.gates.limits import at_most

SHOWN = 5
"""Shared rows that are shown."""
BEYOND_CHANCE = 4.0
"""Standard errors from which on more shared rows than training has itself are not put down to chance."""


def no_rows_shared_across_split(
    train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str], unit: str, contract: Contract
) -> Verdict:
    """At most ``gates.data.max_duplicate_share`` of the hold-out rows also stand, feature by feature, in training, beyond those
    that do so by habit.

    Rows are found by a 64-bit hash and then compared value by value. Features with few values, and units that return with the
    same ones, repeat rows without any fault. How many is seen in training itself: of its latest rows, as many as the hold-out has
    (at most half), the share that stands before them is taken off the share of hold-out rows that stand in as many rows of
    training. What is left counts when it is above four standard errors.

    Args:
        train: features with their unit, in order of time.
        holdout: the same of the window after it.
        features: names of the features.
        unit: column of the unit, to show which rows are meant.
        contract: the limit.
    """
    left, right = _hashed(holdout, features), _hashed(train, features)
    suspects = left.join(right.select("_hash").unique(), on="_hash", how="semi")
    twins = right.join(suspects.select("_hash").unique(), on="_hash", how="semi")
    keyed = [name for name in (unit, contract.source.event_time) if name in holdout.columns and name in train.columns]
    mine = _plain(holdout[suspects["_row"]], features)
    others = _plain(train[twins["_row"]], features).unique(features, keep="first", maintain_order=True)
    others = others.select(*features, *(pl.col(name).alias(f"{name} in training") for name in keyed))
    shared = mine.join(others, on=list(features), how="inner", nulls_equal=True, maintain_order="left")
    share = shared.height / holdout.height
    usual, beyond = 0.0, share
    limit = contract.gates.data.max_duplicate_share
    if share > limit:
        usual, beyond = _beyond_habit(left["_hash"], right["_hash"], share)
    evidence: dict[str, Any] = {
        "shared_rows": shared.height,
        "shared_share": share,
        "usual_share_in_training": usual if share > limit else None,
        "holdout_rows": holdout.height,
        "train_rows": train.height,
        "examples": [_words(row) for row in shared.head(SHOWN).iter_rows(named=True)],
    }
    what = "share of hold-out rows that stand, feature by feature, in training"
    if usual:
        what += f", beyond the share that latest rows of training have in earlier ones ({share:.1%} against {usual:.1%}),"
    return at_most(Gate.DATA, "no_rows_shared_across_split", beyond, limit, what=what, evidence=evidence)


def _beyond_habit(holdout: pl.Series, train: pl.Series, share: float) -> tuple[float, float]:
    """The share of training's latest rows that stand before them, and by how much the hold-out's share is beyond it and chance.

    Both are looked for in equally many rows, the ones directly before. Where training repeats no row, the whole share counts.
    """
    latest = min(len(holdout), len(train) // 2)
    if not latest:
        return 0.0, share
    before = len(train) - latest
    usual = float(train.tail(latest).is_in(train.head(before).implode()).mean())  # type: ignore[arg-type]
    found = float(holdout.is_in(train.tail(before).implode()).mean())  # type: ignore[arg-type]
    if not usual:
        return 0.0, share
    rate = max(usual, 1 / latest)
    error = math.sqrt(rate * (1 - rate) * (1 / latest + 1 / len(holdout)))
    return usual, found - usual if found - usual > BEYOND_CHANCE * error else 0.0


def _hashed(frame: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame({"_hash": _plain(frame.select(features), features).hash_rows(seed=1)}).with_row_index("_row")


def _plain(frame: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Categories as text, because their codes may differ between frames."""
    categorical = [name for name in features if isinstance(frame.schema[name], pl.Categorical | pl.Enum)]
    return frame.with_columns(pl.col(categorical).cast(pl.String))


def _words(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, bool | int | float) else _text(value) for name, value in row.items()}


def _text(value: Any) -> str:
    return "—" if value is None else str(value)
