"""Cohort conditions as JsonLogic for flagd, with the meaning they have in ``cohort``.

flagd implementations disagree wherever types would be converted (``true`` and 1, ``"5"`` and 5, an error for text in arithmetic),
so the rules never let it come to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrain_assets.contract import Condition

Rule = dict[str, Any]


def json_logic(cohort: Mapping[str, Mapping[str, Any]]) -> list[Rule]:
    """The same conditions as JsonLogic rules, to be joined by ``and`` in this order; attributes in alphabetical order."""
    rules: list[Rule] = []
    for name in sorted(cohort):
        rules += _rules({"var": name}, Condition.model_validate(cohort[name]))
    return rules


def _rules(value: Rule, condition: Condition) -> list[Rule]:
    rules: list[Rule] = [{"!==": [value, None]}]
    if condition.any_of is not None:
        return [*rules, *_holds_one(value, condition.any_of)]
    if condition.in_ is not None:
        rules.append(_is_one_of(value, condition.in_))
    if condition.not_in is not None:
        rules.append({"!": [_is_one_of(value, condition.not_in)]})
    if condition.at_least is not None or condition.below is not None:
        rules += [_is_no_list(value), {"!==": [_as_text(value), value]}, {"!": [_is_boolean(value)]}]
    if condition.at_least is not None:
        rules.append({">=": [value, condition.at_least]})
    if condition.below is not None:
        rules.append({"<": [value, condition.below]})
    return rules


def _holds_one(value: Rule, options: Sequence[str]) -> list[Rule]:
    """A list that holds one of the texts; the text itself is no list. ``some`` would not do: JavaScript fails where the attribute
    is no list, and Go looks up the element in the whole context."""
    if not options:
        return [{"in": [value, []]}]
    return [
        {"!": [{"in": [value, list(options)]}]},
        {"or": [{"in": [option, {"merge": [value]}]} for option in options]},
    ]


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


def _is_no_list(value: Rule) -> Rule:
    """An empty list would count as 0, and a list of one number as that number."""
    return {"in": [value, {"merge": [value]}]}


def _is_boolean(value: Rule) -> Rule:
    """True for booleans and, which the rules allow for, their text; ``cat`` writes them in either case."""
    return {"in": [_as_text(value), ["true", "false", "True", "False"]]}


def _as_text(value: Rule) -> Rule:
    return {"cat": [value, ""]}
