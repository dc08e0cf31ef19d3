"""Which columns become features, and why the others do not: what is known late, copies the label, names rows or never varies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.components.scaffolding.facts import Column, Facts
from retrain_assets.components.scaffolding.roles import Roles

MOST_CATEGORIES = 200
COPIES_LABEL = 0.97
"""Area under the ROC curve from which one column alone says the label."""
SEPARATES_LABEL = 0.8
"""The same for a column that is suspicious; gate data refuses a feature above it by default."""
KNOWN_WITH_LABEL = 0.95
"""Share of a column's missing values that stand where the label is missing, from which it is taken to be known with it."""
FEWEST_MISSING = 10


class Why(StrEnum):
    """Why a column is no feature."""

    KNOWN_LATE = "missing where the label is missing, so it is known only afterwards"
    COPIES = "says the label by itself"
    SEPARATES = "separates the label suspiciously well"
    CONSTANT = "has one value"
    NAMES_ROWS = "names rows, or is free text"
    MOMENT = "is a time; make a number of it if it matters"
    TYPE = "is neither number, truth value nor text"
    REFUSED = "was refused by gate data"


LATE = (Why.KNOWN_LATE, Why.COPIES, Why.SEPARATES)
"""Reasons that go into the contract's list of what is known after the prediction."""
VOUCHABLE = (Why.COPIES, Why.SEPARATES, Why.REFUSED)
"""Reasons that fall away when somebody knows better; what is missing with the label is hardly there before it."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """The source's columns, sorted.

    Args:
        features: columns that become features, in the source's order.
        left_out: the others, roles aside, each with the reason and what was seen.
    """

    features: tuple[str, ...]
    left_out: dict[str, tuple[Why, str]]

    @property
    def known_late(self) -> list[str]:
        """Columns taken to be known only after the prediction."""
        return [name for name, (why, _) in self.left_out.items() if why in LATE]

    def without(self, names: dict[str, str]) -> Sorted:
        """The same with some features left out that gate data refused, each with what it said."""
        refused = {name: (Why.REFUSED, said) for name, said in names.items()}
        return Sorted(tuple(name for name in self.features if name not in names), self.left_out | refused)


def sort_columns(facts: Facts, roles: Roles, known: tuple[str, ...] = ()) -> Sorted:
    """Features, and what is left out.

    Args:
        facts: the source.
        roles: what its columns are for.
        known: columns that somebody vouches for: known before the prediction, however much they say of the label.
    """
    features, left_out = [], dict[str, tuple[Why, str]]()
    target = _target(facts.sample, roles)
    for name, column in facts.columns.items():
        if name in (roles.unit, roles.label, roles.event_time):
            continue
        reason = _shape(column, facts) or (None if name in known else _suspicion(column, facts, roles, target))
        if reason is None:
            features.append(name)
        else:
            left_out[name] = reason
    return Sorted(tuple(features), left_out)


def _shape(column: Column, facts: Facts) -> tuple[Why, str] | None:
    """Why its values cannot be a feature, whatever is known when."""
    if column.is_moment:
        return Why.MOMENT, str(column.dtype)
    if not (column.is_number or column.is_text or column.dtype == pl.Boolean):
        return Why.TYPE, str(column.dtype)
    if column.distinct < 2 and not (column.distinct == 1 and column.missing > 0):
        return Why.CONSTANT, str(column.levels[0][0]) if column.levels else "missing"
    if column.is_text and column.distinct > min(MOST_CATEGORIES, facts.rows / 10):
        return Why.NAMES_ROWS, f"{column.distinct:,} different texts"
    if column.dtype.is_integer() and column.name.lower().endswith("_id") and column.distinct > MOST_CATEGORIES:
        return Why.NAMES_ROWS, f"{column.distinct:,} different numbers"
    return None


def _suspicion(column: Column, facts: Facts, roles: Roles, target: pl.Series) -> tuple[Why, str] | None:
    """Why it is taken to be known too late, until somebody says that it is not."""
    if (share := _missing_with_label(facts.lazy, column.name, roles.label)) >= KNOWN_WITH_LABEL:
        return Why.KNOWN_LATE, f"{share:.0%} of its gaps"
    area = _area(facts.sample[column.name], target)
    if area >= COPIES_LABEL:
        return Why.COPIES, f"area under the ROC curve {area:.3f}"
    if area >= SEPARATES_LABEL:
        return Why.SEPARATES, f"area under the ROC curve {area:.2f}"
    return None


def _missing_with_label(lazy: pl.LazyFrame, name: str, label: str) -> float:
    """Share of the column's gaps that stand where the label is missing; 0 where either has hardly any, or the label mostly."""
    gaps, both, unlabelled, rows = (
        lazy.select(
            gaps=pl.col(name).is_null().sum(),
            both=(pl.col(name).is_null() & pl.col(label).is_null()).sum(),
            unlabelled=pl.col(label).is_null().sum(),
            rows=pl.len(),
        )
        .collect()
        .row(0)
    )
    if gaps < FEWEST_MISSING or unlabelled < FEWEST_MISSING or unlabelled > rows / 2:
        return 0.0
    return float(both / gaps)


def _target(sample: pl.DataFrame, roles: Roles) -> pl.Series:
    """The label as one yes/no question: the positive class, the most frequent class, or above the median; null where unknown."""
    label = sample[roles.label]
    if roles.task == "regression":
        return label > label.median()
    if roles.task == "multiclass":
        usual: pl.Series = label == label.drop_nulls().mode().sort()[0]
        return usual
    return label.cast(pl.Int8) == 1


def _area(values: pl.Series, target: pl.Series) -> float:
    """Area under the ROC curve of one column, whichever way it points; texts by the rate of their other half of rows."""
    rows = pl.DataFrame({"value": values, "target": target}).drop_nulls("target").with_row_index("row")
    odd = pl.col("row") % 2 == 1
    if rows["value"].dtype in (pl.String, pl.Categorical, pl.Enum):
        learnt = rows.filter(~odd).group_by("value").agg(score=pl.col("target").mean())
        judged = rows.filter(odd).join(learnt, on="value", how="left", nulls_equal=True)
        scores = judged["score"].fill_null(rows["target"].mean())
    else:
        judged = rows
        scores = rows["value"].cast(pl.Float64).fill_nan(None)
    filled = scores.fill_null(scores.median() or 0.0).to_numpy()
    return _roc_area(filled, judged["target"].cast(pl.Int8).to_numpy())


def _roc_area(scores: npt.NDArray[Any], target: npt.NDArray[Any]) -> float:
    positives = int(target.sum())
    negatives = len(target) - positives
    if not positives or not negatives:
        return 0.5
    ranks = pl.Series(scores).rank("average").to_numpy()
    area = float((ranks[target == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
    return float(np.maximum(area, 1 - area))
