"""From a feature frame to the matrix a model reads: kinds of columns and the recorded lists of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import StageError

NUMERIC, BOOLEAN, CATEGORICAL = "numeric", "boolean", "categorical"


@dataclass(frozen=True, slots=True)
class Encoding:
    """Names, kinds and categories of the features, in the order of the matrix.

    Args:
        names: feature columns.
        kinds: ``numeric``, ``boolean`` or ``categorical`` per feature.
        categories: per categorical feature its sorted values in the training window; the position is the code.
    """

    names: tuple[str, ...]
    kinds: Mapping[str, str]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, frame: pl.DataFrame, names: Sequence[str]) -> Encoding:
        """The encoding of a training frame.

        Raises:
            StageError: for a column whose type is neither number, boolean nor string.
        """
        kinds = {name: kind_of(name, frame.schema[name]) for name in names}
        categories = {
            name: tuple(frame[name].cast(pl.String).drop_nulls().unique().sort().to_list())
            for name in names
            if kinds[name] == CATEGORICAL
        }
        return cls(tuple(names), kinds, categories)

    @property
    def categorical_positions(self) -> list[int]:
        """Positions of the categorical columns in the matrix."""
        return [index for index, name in enumerate(self.names) if self.kinds[name] == CATEGORICAL]

    @property
    def feature_types(self) -> list[str]:
        """What XGBoost is told of the features: ``c`` for categories, ``q`` for the others."""
        return ["c" if self.kinds[name] == CATEGORICAL else "q" for name in self.names]

    def matrix(self, frame: pl.DataFrame) -> npt.NDArray[np.float64]:
        """The (rows, features) matrix: missing values and categories unseen in training become NaN.

        Raises:
            StageError: when a feature is missing or has another kind than in training.
        """
        if missing := [name for name in self.names if name not in frame.columns]:
            raise StageError(
                f"features {', '.join(missing)} are missing",
                where="feature frame",
                remedy=f"the model reads {', '.join(self.names)}",
            )
        return frame.select(self._column(name, frame.schema[name]) for name in self.names).to_numpy(order="c")

    def _column(self, name: str, dtype: pl.DataType) -> pl.Expr:
        kind = kind_of(name, dtype)
        if kind != self.kinds[name] and dtype != pl.Null:
            raise StageError(
                f"is {kind} ({dtype}), but was {self.kinds[name]} in training",
                where=f"feature {name}",
                remedy=f"make the feature function return a {self.kinds[name]} column",
            )
        if self.kinds[name] != CATEGORICAL:
            return pl.col(name).cast(pl.Float64)
        known = self.categories[name]
        if not known:
            return pl.lit(None, dtype=pl.Float64).alias(name)
        codes = [float(code) for code in range(len(known))]
        return pl.col(name).cast(pl.String).replace_strict(list(known), codes, default=None, return_dtype=pl.Float64)

    def to_json(self) -> dict[str, list[str]]:
        """The categories, as written to ``categories.json``; names and kinds are in the manifest."""
        return {name: list(values) for name, values in self.categories.items()}

    @classmethod
    def from_json(cls, names: Sequence[str], kinds: Mapping[str, str], categories: Mapping[str, Any]) -> Encoding:
        """The encoding of a stored bundle."""
        return cls(tuple(names), dict(kinds), {name: tuple(values) for name, values in categories.items()})


def kind_of(name: str, dtype: pl.DataType) -> str:
    """``numeric``, ``boolean`` or ``categorical``; a column of nulls only counts as numeric.

    Raises:
        StageError: for any other type.
    """
    if dtype.is_numeric() or dtype == pl.Null:
        return NUMERIC
    if dtype == pl.Boolean:
        return BOOLEAN
    if dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum)):
        return CATEGORICAL
    raise StageError(
        f"has type {dtype}",
        where=f"feature {name}",
        remedy="a feature is a number, a boolean or a string; convert it in the feature function",
    )
