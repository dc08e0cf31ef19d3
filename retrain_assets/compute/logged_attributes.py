"""Attributes that are logged beside an exposure, each as its one kind: what a contract names, taken from what a caller sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from numbers import Real
from typing import Any

from retrain_assets.contract import Condition, Experiment
from retrain_assets.routing.cohort import LIST_SEPARATOR as SEPARATOR

Convert = Callable[[Any], Any]


def attribute_kinds(experiment: Experiment) -> dict[str, str]:
    """By attribute ``text``, ``number``, ``boolean``, ``list`` or, for what only a segment is made of, ``label``."""
    covariates = experiment.adjust_for.columns if experiment.adjust_for else []
    return {
        **dict.fromkeys(experiment.segments, "label"),
        **{name: _kind_of_values(values) for name, values in experiment.high_value.items()},
        **dict.fromkeys(covariates, "number"),
        **cohort_kinds({name: one.model_dump(mode="json", by_alias=True) for name, one in experiment.cohort.items()}),
    }


def cohort_kinds(cohort: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The kind each attribute of a cohort has, so that its condition can be met.

    Args:
        cohort: JSON form of ``contract.Condition`` per attribute.
    """
    return {name: _kind_of_condition(Condition.model_validate(condition)) for name, condition in cohort.items()}


class AttributeReader:
    """Takes the attributes that are logged from a row, each as its one kind.

    Args:
        kinds: kind per attribute.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._columns = tuple((name, _CONVERT[kind]) for name, kind in kinds.items())
        self._lists = tuple(name for name, kind in kinds.items() if kind == "list")

    def read(self, attributes: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
        """Value per attribute; None where it is not given, or of another kind.

        Args:
            attributes: as the caller gave them.
            features: the row's features; an attribute that is not given is the feature of the same name.
        """
        return {name: convert(attributes[name] if name in attributes else features.get(name)) for name, convert in self._columns}

    def logged(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values as columns of an exposure; lists as one text, null for those of nothing."""
        for name in self._lists:
            values[name] = SEPARATOR.join(values[name]) if values[name] else None
        return values


def _kind_of_condition(condition: Condition) -> str:
    if condition.any_of is not None:
        return "list"
    if condition.at_least is not None or condition.below is not None:
        return "number"
    return _kind_of_values([*(condition.in_ or ()), *(condition.not_in or ())])


def _kind_of_values(values: Iterable[str | float | bool]) -> str:
    kinds = {"boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number" for value in values}
    return kinds.pop() if len(kinds) == 1 else "text"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    if type(value) is float:
        return value if isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _list(value: Any) -> list[str] | None:
    """Without what no condition can ask for, as it could not be told from two texts where it is logged."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [one for one in value if SEPARATOR not in one]
    return None


def _label(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    number = _number(value)
    return None if number is None else str(int(number)) if number.is_integer() else repr(number)


_CONVERT: Mapping[str, Convert] = {
    "text": _text,
    "number": _number,
    "boolean": _boolean,
    "list": _list,
    "label": _label,
}
