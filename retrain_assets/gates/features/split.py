"""Rows that stand on both sides of the split, feature by feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from retrain_assets.contract import Contract, Gate, Verdict
from retrain_assets.gates.limits import at_most

SHOWN = 5
"""Shared rows that are shown."""


def no_rows_shared_across_split(
    train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str], unit: str, contract: Contract
) -> Verdict:
    """At most ``gates.data.max_duplicate_share`` of the hold-out rows also stand, feature by feature, in training.

    Rows are found by a 64-bit hash and then compared value by value.

    Args:
        train: features with their unit.
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
    evidence: dict[str, Any] = {
        "shared_rows": shared.height,
        "holdout_rows": holdout.height,
        "train_rows": train.height,
        "examples": [_words(row) for row in shared.head(SHOWN).iter_rows(named=True)],
    }
    limit = contract.gates.data.max_duplicate_share
    what = "share of hold-out rows that stand, feature by feature, in training"
    return at_most(Gate.DATA, "no_rows_shared_across_split", share, limit, what=what, evidence=evidence)


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
