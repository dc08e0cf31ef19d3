"""Who is in a cohort: conditions as predicates of one value and over whole columns, with one meaning.

All conditions must hold. A missing or null attribute meets none of them. Values are compared within their type: text with text,
numbers with numbers, booleans with booleans; ``at_least`` and ``below`` hold for numbers only, ``any_of`` for lists only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

from retrain_assets.contract import Condition

if TYPE_CHECKING:
    import polars as pl

Predicate = Callable[[Any], bool]

LIST_SEPARATOR = "|"
"""Between the texts of a list attribute in the exposure log."""


def predicates(cohort: Mapping[str, Mapping[str, Any]]) -> dict[str, Predicate]:
    """For each attribute a function of its value: does it meet the condition?

    Args:
        cohort: JSON form of ``contract.Condition`` per attribute.

    Raises:
        pydantic.ValidationError: where a condition is not one.
    """
    return {name: _predicate(Condition.model_validate(condition)) for name, condition in cohort.items()}


def meeting(values: pl.Series, condition: Mapping[str, Any]) -> pl.Series:
    """For each value of a column what the predicate of the condition says: one boolean a row, never null.

    Args:
        values: the attribute, any type; texts may be categories, ``any_of`` wants a column of lists.
        condition: JSON form of ``contract.Condition``.

    Raises:
        pydantic.ValidationError: where the condition is not one.
    """
    import polars as pl

    stated = Condition.model_validate(condition)
    kind = values.dtype
    if stated.any_of is not None:
        met = _holding(values, stated.any_of)
    elif kind in (pl.String, pl.Categorical, pl.Enum):
        met = _texts(values.cast(pl.String), stated)
    elif kind == pl.Boolean:
        met = _among(values, stated, _of(bool, stated.in_), _of(bool, stated.not_in)) if not _measures(stated) else None
    elif kind.is_integer():
        met = _integers(values, stated)
    elif kind.is_float() or kind.is_decimal():
        met = _floats(values.cast(pl.Float64), stated)
    else:
        met = None if _measures(stated) or stated.in_ is not None else values.is_not_null()
    return _nobody(values) if met is None else met.fill_null(False)


def meeting_as_logged(values: pl.Series, condition: Mapping[str, Any]) -> pl.Series:
    """:func:`meeting` over a column of the exposure log, where a list stands as its texts joined by ``|``."""
    import polars as pl

    is_joined = condition.get("any_of") is not None and values.dtype == pl.String
    return meeting(values.str.split(LIST_SEPARATOR) if is_joined else values, condition)


def _predicate(condition: Condition) -> Predicate:
    if condition.any_of is not None:
        return _holds_one_of(frozenset(condition.any_of))
    allowed = None if condition.in_ is None else frozenset(map(_typed, condition.in_))
    denied = frozenset(map(_typed, condition.not_in or ()))
    floor = -math.inf if condition.at_least is None else condition.at_least
    ceiling = condition.below
    measures = condition.at_least is not None or ceiling is not None

    def meets(value: Any) -> bool:
        if value is None:
            return False
        kind, plain = typed = _typed(value)
        if (allowed is not None and typed not in allowed) or typed in denied:
            return False
        return not measures or (kind == "number" and plain >= floor and (ceiling is None or plain < ceiling))

    return meets


def _holds_one_of(options: frozenset[str]) -> Predicate:
    def meets(value: Any) -> bool:
        return isinstance(value, list | tuple) and any(isinstance(held, str) and held in options for held in value)

    return meets


def _typed(value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, Real):
        return "number", value
    if isinstance(value, Decimal):  # what a JSON number of the same digits is to every other implementation
        return "number", math.nan if value.is_nan() else float(value)
    return ("text", value) if isinstance(value, str) else ("other", None)


def _texts(values: pl.Series, stated: Condition) -> pl.Series | None:
    return None if _measures(stated) else _among(values, stated, _of(str, stated.in_), _of(str, stated.not_in))


def _integers(values: pl.Series, stated: Condition) -> pl.Series | None:
    """Whole numbers against bounds rounded up, so that none is rounded to a float on the way."""
    import polars as pl

    def within(options: Sequence[Any] | None) -> list[int]:
        return [int(option) for option in _numbers(options) if float(option).is_integer() and lowest <= option <= highest]

    lowest, highest = (pl.select(bound).item() for bound in (values.dtype.min(), values.dtype.max()))  # type: ignore[attr-defined]
    met = _among(values, stated, within(stated.in_), within(stated.not_in))
    for bound, is_floor in ((stated.at_least, True), (stated.below, False)):
        if bound is None:
            continue
        if bound > highest or bound <= lowest:
            if (bound > highest) == is_floor:
                return None
            continue
        met &= (values >= math.ceil(bound)) if is_floor else (values < math.ceil(bound))
    return met


def _floats(values: pl.Series, stated: Condition) -> pl.Series:
    """Numbers with IEEE's order: a missing number (NaN) is in no list, at or below no bound."""
    number = values.is_not_nan()
    met = _among(values, stated, _numbers(stated.in_), _numbers(stated.not_in))
    if stated.in_ is not None or _measures(stated):
        met &= number
    if stated.at_least is not None:
        met &= values >= stated.at_least
    if stated.below is not None:
        met &= values < stated.below
    return met


def _holding(values: pl.Series, options: Sequence[str]) -> pl.Series | None:
    """Whether a list holds one of the texts; asked of every element at once."""
    import polars as pl

    if isinstance(values.dtype, pl.Array):
        values = values.arr.to_list()
    if not isinstance(values.dtype, pl.List) or values.dtype.inner not in (pl.String, pl.Categorical, pl.Enum):
        return None
    held = values.cast(pl.List(pl.String))
    return held.list.eval(pl.element().is_in(list(options)).any(ignore_nulls=True)).list.first()


def _among(values: pl.Series, stated: Condition, allowed: Sequence[Any], denied: Sequence[Any]) -> pl.Series:
    """Not null, in the allowed ones where any are stated, and in none of the denied ones."""
    import polars as pl

    met = values.is_not_null()
    if stated.in_ is not None:
        met &= values.is_in(pl.Series(allowed, dtype=values.dtype).implode())
    if denied:
        met &= ~values.is_in(pl.Series(denied, dtype=values.dtype).implode())
    return met


def _nobody(values: pl.Series) -> pl.Series:
    import polars as pl

    return pl.repeat(False, len(values), dtype=pl.Boolean, eager=True)


def _measures(stated: Condition) -> bool:
    return stated.at_least is not None or stated.below is not None


def _of(kind: type, options: Sequence[Any] | None) -> list[Any]:
    return [option for option in options or () if type(option) is kind]


def _numbers(options: Sequence[Any] | None) -> list[float]:
    return [option for option in options or () if not isinstance(option, (str, bool))]
