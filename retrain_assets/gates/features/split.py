"""Rows that stand on both sides of the split, feature by feature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from retrain_assets.contract import Contract, Gate, Verdict
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames
from retrain_assets.gates.features.calendar import is_calendar
from retrain_assets.gates.limits import at_most
from retrain_assets.gates.redaction import hidden_text, is_shown

SHOWN = 5
"""Shared rows that are shown."""
STRETCHES = 6
"""Stretches of training in which it is seen how many rows repeat earlier ones."""
BEYOND_CHANCE = 4.0
"""Standard errors from which on more shared rows than training has itself are not put down to chance."""


def no_rows_shared_across_split(
    train: pl.DataFrame,
    holdout: pl.DataFrame,
    features: Sequence[str],
    unit: str,
    contract: Contract,
    names: UnitNames = UNLINKABLE,
) -> Verdict:
    """At most ``gates.data.max_duplicate_share`` of the hold-out rows also stand, feature by feature, in training, beyond those
    that do so by habit.

    Rows are found by a 64-bit hash and then compared value by value. Features with few values, and units that return with the
    same ones, repeat rows without any fault. How many is seen in training itself, features of the calendar left out: the largest
    share that one of its latest stretches, as long as the hold-out, has in the rows before it is taken off, and what is left
    counts when it is above four standard errors.

    Args:
        train: features with their unit, in order of time.
        holdout: the same of the window after it.
        features: names of the features.
        unit: column of the unit, to show which rows are meant.
        contract: the limit.
        names: what units are called in evidence.
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
        usual, beyond = _beyond_habit(holdout.height, train, features, contract, share)
    evidence: dict[str, Any] = {
        "shared_rows": shared.height,
        "shared_share": share,
        "usual_share_in_training": usual if share > limit else None,
        "holdout_rows": holdout.height,
        "train_rows": train.height,
        "examples": _examples(shared.head(SHOWN), train, unit, names),
    }
    what = "share of hold-out rows that stand, feature by feature, in training"
    if usual:
        what += f", beyond the share that late stretches of training have in earlier rows ({share:.1%} against {usual:.1%}),"
    return at_most(Gate.DATA, "no_rows_shared_across_split", beyond, limit, what=what, evidence=evidence)


def _beyond_habit(
    holdout_rows: int, train: pl.DataFrame, features: Sequence[str], contract: Contract, share: float
) -> tuple[float, float]:
    """The largest share that a stretch of training has in the rows before it, and by how much the hold-out is beyond that.

    Stretches are as long as the hold-out, the last ones of training and at most its later half. Features of the calendar are left
    out: the hold-out of a January finds last January's, while no month of training finds itself. Where no row repeats an earlier
    one the whole share counts.
    """
    length = min(holdout_rows, train.height // 2)
    if not length:
        return 0.0, share
    moments = train[contract.source.event_time] if contract.source.event_time in train.columns else None
    lasting = [name for name in features if not is_calendar(train[name], moments)]
    hashes = _hashed(train, lasting or features)["_hash"]
    ends = range(train.height, train.height // 2 + length - 1, -length)
    stretches = [(hashes.slice(end - length, length), hashes.head(end - length)) for end in ends][:STRETCHES]
    usual = max((float((one.is_in(before.implode())).sum()) / length for one, before in stretches), default=0.0)
    if not usual:
        return 0.0, share
    rate = max(usual, 1 / length)
    error = math.sqrt(rate * (1 - rate) * (1 / length + 1 / holdout_rows))
    return usual, share - usual if share - usual > BEYOND_CHANCE * error else 0.0


def _hashed(frame: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame({"_hash": _plain(frame.select(features), features).hash_rows(seed=1)}).with_row_index("_row")


def _plain(frame: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Categories as text, because their codes may differ between frames."""
    categorical = [name for name in features if isinstance(frame.schema[name], pl.Categorical | pl.Enum)]
    return frame.with_columns(pl.col(categorical).cast(pl.String))


def _examples(shared: pl.DataFrame, train: pl.DataFrame, unit: str, names: UnitNames) -> list[dict[str, Any]]:
    """Rows in words: units by their names, a feature that repeats the unit too, texts that are no categories by their length."""
    if shared.is_empty():
        return []
    units = {unit, f"{unit} in training"}
    hidden = {name for name in train.columns if name not in units and not is_shown(train[name])}

    def shown(name: str, value: Any, ids: set[str]) -> Any:
        if name in units or (value is not None and str(value) in ids):
            return names.of(value)
        if value is None:
            return "—"
        if name in hidden:
            return hidden_text(value)
        return value if isinstance(value, bool | int | float) else str(value)

    found = []
    for row in shared.iter_rows(named=True):
        ids = {str(row[name]) for name in units if row.get(name) is not None}
        found.append({name: shown(name, value, ids) for name, value in row.items()})
    return found
