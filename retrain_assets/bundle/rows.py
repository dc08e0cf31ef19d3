"""From rows as mappings to the matrix a model reads, without a data frame; says which row and feature does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from math import isfinite, nan
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from retrain_assets.bundle.encoding import BOOLEAN, CATEGORICAL, NUMERIC, Encoding
from retrain_assets.contract import StageError

Scalar = str | float | int | bool | None

REMEDIES = {
    NUMERIC: "write a finite number, or null where it is not known",
    BOOLEAN: "write true or false, or null where it is not known",
    CATEGORICAL: "write a text, or null where it is not known",
}


class SignatureError(StageError):
    """A row does not have the features the model reads."""


class RowEncoder:
    """Makes the same matrix of rows as :meth:`Encoding.matrix` of a frame of them; all lookups are prepared once.

    Args:
        encoding: names, kinds and categories.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.names = frozenset(encoding.names)
        self._encoding = encoding
        self._columns = tuple((name, _converter(encoding, name)) for name in encoding.names)

    def matrix(self, rows: Sequence[Mapping[str, Scalar]], also_known: Set[str] = frozenset()) -> npt.NDArray[np.float64]:
        """The (rows, features) matrix: null and categories unseen in training become NaN.

        Args:
            rows: every feature by name: numbers (finite), booleans, texts; None for a value that is not known.
            also_known: further names that rows may have; they are ignored.

        Raises:
            SignatureError: naming row and feature, for a name that is missing or unknown and for a value of another kind.
        """
        columns, size = self._columns, len(self._columns)
        values: list[float] = []
        for place, row in enumerate(rows):
            try:
                values += [convert(row[name]) for name, convert in columns]
            except (KeyError, TypeError, ValueError, OverflowError):
                self._refuse(place, row)
            if len(row) != size and (unknown := sorted(row.keys() - self.names - also_known)):
                what = "is not a feature of the model"
                raise _error(place, unknown[0], what, f"leave it out; the model reads {', '.join(self._encoding.names)}")
        return np.array(values, dtype=np.float64).reshape(len(rows), size)

    def _refuse(self, place: int, row: Mapping[str, Any]) -> NoReturn:
        for name, convert in self._columns:
            remedy = REMEDIES[self._encoding.kinds[name]]
            if name not in row:
                raise _error(place, name, "is missing", remedy)
            try:
                convert(row[name])
            except (TypeError, ValueError, OverflowError):
                what = f"is {_shown(row[name])}, the model was trained on {_KINDS[self._encoding.kinds[name]]}"
                raise _error(place, name, what, remedy) from None
        raise AssertionError("a row that was refused fits")


_KINDS = {NUMERIC: "numbers", BOOLEAN: "booleans", CATEGORICAL: "texts"}


def _converter(encoding: Encoding, name: str) -> Callable[[Any], float]:
    if encoding.kinds[name] == BOOLEAN:
        return _boolean
    if encoding.kinds[name] == NUMERIC:
        return _number
    codes = {category: float(code) for code, category in enumerate(encoding.categories[name])}

    def code(value: Any) -> float:
        if value is None:
            return nan
        if not isinstance(value, str):
            raise TypeError
        return codes.get(value, nan)

    return code


def _number(value: Any) -> float:
    if value is None:
        return nan
    if type(value) is not float:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
            raise TypeError
        value = float(value)
    if not isfinite(value):
        raise ValueError
    return value  # type: ignore[no-any-return]


def _boolean(value: Any) -> float:
    if value is True:
        return 1.0
    if value is False:
        return 0.0
    if value is None:
        return nan
    raise TypeError


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _error(place: int, name: str, what: str, remedy: str) -> SignatureError:
    return SignatureError(what, where=f"row {place}, features.{name}", remedy=remedy)
