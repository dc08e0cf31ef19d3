"""Cohort conditions in three forms with one meaning: a Python predicate, the same over a column, JsonLogic for flagd.

All conditions must hold. A missing or null attribute meets none of them. Values are compared within their type: text with text,
numbers with numbers, booleans with booleans; ``at_least`` and ``below`` hold for numbers only. flagd implementations disagree
wherever types would be converted (``true`` and 1, ``"5"`` and 5, an error for text in arithmetic), so the rules never let it
come to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from retrain_assets.contract import Condition

if TYPE_CHECKING:
    import polars as pl

Predicate = Callable[[Any], bool]
Rule = dict[str, Any]


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
        values: the attribute, any type.
        condition: JSON form of ``contract.Condition``.

    Raises:
        pydantic.ValidationError: where the condition is not one.
    """
    import polars as pl

    stated = Condition.model_validate(condition)
    meets = _predicate(stated)
    if values.dtype == pl.String:  # a text is asked about once, however often it stands there
        accepted = [value for value in values.unique() if meets(value)]
        return values.is_in(accepted).fill_null(False)
    bounds = [bound for bound in (stated.at_least, stated.below) if bound is not None]
    if values.dtype.is_float() and bounds and stated.in_ is None and not stated.not_in and all(map(math.isfinite, bounds)):
        inside = values.is_not_nan().fill_null(False)
        if stated.at_least is not None:
            inside &= values >= stated.at_least
        if stated.below is not None:
            inside &= values < stated.below
        return inside.fill_null(False)
    return pl.Series([meets(value) for value in values], dtype=pl.Boolean)


def json_logic(cohort: Mapping[str, Mapping[str, Any]]) -> list[Rule]:
    """The same conditions as JsonLogic rules, to be joined by ``and`` in this order; attributes in alphabetical order."""
    rules: list[Rule] = []
    for name in sorted(cohort):
        rules += _rules({"var": name}, Condition.model_validate(cohort[name]))
    return rules


def _predicate(condition: Condition) -> Predicate:
    allowed = None if condition.in_ is None else frozenset(map(_typed, condition.in_))
    denied = frozenset(map(_typed, condition.not_in or ()))
    floor = -math.inf if condition.at_least is None else condition.at_least
    ceiling = condition.below
    measures = condition.at_least is not None or ceiling is not None
    texts = None if allowed is None else frozenset(option for kind, option in allowed if kind == "text")
    only_measures = measures and allowed is None and not denied
    denied_texts = frozenset(option for kind, option in denied if kind == "text")

    def meets(value: Any) -> bool:
        if value is None:
            return False
        if type(value) is str:  # most attributes; the rest says the same for every type
            return not measures and (texts is None or value in texts) and value not in denied_texts
        if only_measures and type(value) is float:
            return value >= floor and (ceiling is None or value < ceiling)
        typed = _typed(value)
        if (allowed is not None and typed not in allowed) or typed in denied:
            return False
        return not measures or (typed[0] == "number" and value >= floor and (ceiling is None or value < ceiling))

    return meets


def _typed(value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, Real):
        return "number", value
    return ("text", value) if isinstance(value, str) else ("other", None)


def _rules(value: Rule, condition: Condition) -> list[Rule]:
    rules: list[Rule] = [{"!==": [value, None]}]
    if condition.in_ is not None:
        rules.append(_is_one_of(value, condition.in_))
    if condition.not_in is not None:
        rules.append({"!": [_is_one_of(value, condition.not_in)]})
    if condition.at_least is not None or condition.below is not None:
        rules += [{"!==": [_as_text(value), value]}, {"!": [_is_boolean(value)]}]
    if condition.at_least is not None:
        rules.append({">=": [value, condition.at_least]})
    if condition.below is not None:
        rules.append({"<": [value, condition.below]})
    return rules


def _is_one_of(value: Rule, options: Sequence[str | float | bool]) -> Rule:
    texts = [option for option in options if isinstance(option, str)]
    booleans = [option for option in options if isinstance(option, bool)]
    numbers = [option for option in options if not isinstance(option, (str, bool))]
    rule: Rule = {"in": [value, texts]}
    if numbers:
        rule = {"or": [rule, {"and": [{"!": [_is_boolean(value)]}, {"in": [value, numbers]}]}]}
    if booleans:
        rule = {"or": [rule, {"and": [_is_boolean(value), {"in": [value, booleans]}]}]}
    return rule


def _is_boolean(value: Rule) -> Rule:
    """True for booleans and, which the rules allow for, their text; ``cat`` writes them in either case."""
    return {"in": [_as_text(value), ["true", "false", "True", "False"]]}


def _as_text(value: Rule) -> Rule:
    return {"cat": [value, ""]}
