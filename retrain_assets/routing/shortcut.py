"""The quick way to a rule's answer: Python written for this one rule, for the requests that nearly all are.

It answers text units in ASCII with attributes of plain types. Whatever is anything else it hands to the router that knows every
case, so it can only be quicker, never different.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import mmh3

from retrain_assets.contract import Condition
from retrain_assets.routing.bucketing import HASHES, cohort_salt, hash_below
from retrain_assets.routing.cohort import predicates
from retrain_assets.routing.rule import Assignment, RoutingRule

TEMPLATE = """
def assign(unit, attributes, now):
    try:
        if now >= expiry:
            return expired
        if {is_plain}:
            {decision}
    except (TypeError, AttributeError):
        pass
    return otherwise(unit, attributes, now)
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a rule can answer to a unit that is named."""

    expired: Assignment
    excluded: Assignment
    champion: Assignment
    challenger: Assignment


def shortcut(
    rule: RoutingRule, answers: Answers, *, expiry: datetime, otherwise: Callable[[Any, Any, datetime], Assignment]
) -> Callable[[Any, Any, datetime], Assignment]:
    """The rule as one function without loops and inner calls.

    Nothing of the rule becomes program text: names, texts and bounds are bound to numbered names.

    Args:
        rule: the rule.
        answers: what the function answers.
        expiry: first moment at which the rule is expired.
        otherwise: answers what the function does not know.
    """
    known: dict[str, Any] = {
        "expired": answers.expired,
        "excluded": answers.excluded,
        "champion": answers.champion,
        "challenger": answers.challenger,
        "expiry": expiry,
        "otherwise": otherwise,
        "hashed": mmh3.hash,
    }
    lines = [line for place, name in enumerate(rule.cohort) for line in _condition(place, name, rule, known)]
    taking_part = below("cohort_salt", hash_below(rule.cohort_share))
    challenged = below("salt", hash_below(rule.effective_share))
    known |= {"salt": rule.salt, "cohort_salt": cohort_salt(rule.salt)}
    if taking_part != "True":
        lines += [f"if not ({taking_part}): return excluded"]
    lines += [f"return challenger if {challenged} else champion"]
    hashes = any("hashed(" in line for line in lines)
    source = TEMPLATE.format(
        is_plain="unit.isascii() and unit" if hashes else "type(unit) is str and unit",
        decision="\n            ".join(lines),
    )
    exec(compile(source, f"<routing rule of {rule.model}, revision {rule.revision}>", "exec"), known)
    assign: Callable[[Any, Any, datetime], Assignment] = known["assign"]
    return assign


def _condition(place: int, name: str, rule: RoutingRule, known: dict[str, Any]) -> Iterator[str]:
    """The lines that return where the condition does not hold; what they refer to is put into ``known``."""
    stated = Condition.model_validate(rule.cohort[name])
    attribute, options, meets = f"attribute_{place}", f"options_{place}", f"meets_{place}"
    known |= {attribute: name, meets: predicates({name: rule.cohort[name]})[name]}
    value = f"attributes.get({attribute})"
    measures = stated.at_least is not None or stated.below is not None
    kinds = {type(option) for option in (*(stated.in_ or ()), *(stated.not_in or ()))}
    if stated.any_of is None and not measures and kinds <= {str}:
        if stated.in_ is not None:
            known[options] = frozenset(stated.in_) - frozenset(stated.not_in or ())
            yield f"if {value} not in {options}: return excluded"
        else:
            known[options] = frozenset([None, *(stated.not_in or ())])
            yield f"if {value} in {options}: return excluded"
    elif measures and stated.in_ is None and not stated.not_in:
        floor, ceiling = f"floor_{place}", f"ceiling_{place}"
        known |= {floor: stated.at_least, ceiling: stated.below}
        at_least = f"{floor} <= " if stated.at_least is not None else ""
        below = f" < {ceiling}" if stated.below is not None else ""
        yield f"value = {value}"
        yield "if type(value) is float or type(value) is int:"
        yield f"    if not ({at_least}value{below}): return excluded"
        yield f"elif not {meets}(value): return excluded"
    else:
        yield f"if not {meets}({value}): return excluded"


def below(salt: str, limit: int) -> str:
    """The expression that is true where the unsigned hash is below a limit; mmh3 is quickest with its signed one."""
    if limit == 0:
        return "False"
    if limit == HASHES:
        return "True"
    if limit <= HASHES // 2:
        return f"0 <= hashed({salt} + unit) < {limit}"
    return f"not {limit - HASHES} <= hashed({salt} + unit) < 0"
