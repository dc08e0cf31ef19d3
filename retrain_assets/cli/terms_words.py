"""A toggle's terms in words: whom its experiment takes in, what must not get worse, where its rollback leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def cohort_words(cohort: Mapping[str, Mapping[str, Any]], share: float) -> str:
    """Who takes part: ``80 % of those with origin one of JFK, EWR and 3 <= seats < 200``.

    Args:
        cohort: condition per attribute, as in the contract.
        share: part of the units meeting them that takes part at all, 0..1.
    """
    conditions = " and ".join(_condition(name, terms) for name, terms in cohort.items())
    if not conditions:
        return "everyone" if share >= 1 else f"{share * 100:g} % of everyone"
    return f"{'' if share >= 1 else f'{share * 100:g} % of '}those with {conditions}"


def guardrail_words(name: str, terms: Mapping[str, Any]) -> str:
    """One guardrail: ``p95 of latency_ms (lower is better): at most 20 % worse``."""
    column = terms.get("column") or name
    measured = f"sum of {column}" if terms.get("aggregate") == "sum" else column
    if (quantile := terms.get("quantile")) is not None:
        measured = f"p{quantile * 100:g} of {column}"
    elif (above := terms.get("above")) is not None:
        measured = f"share with {column} above {above:g}"
    elif (per := terms.get("per")) is not None:
        measured = f"{column} per {'request' if per == 'requests' else per}"
    better = "lower" if terms["direction"] == "decrease" else "higher"
    relative = terms.get("max_regression")
    limit = f"{relative * 100:g} % of the champion's" if relative is not None else f"{terms['margin']:g}"
    called = "" if measured == name else f"{measured}, "
    segments = terms.get("segment_margin")
    each = "" if segments is None else f", in each segment by at most {segments * 100:g} %" if relative is not None else ""
    if segments is not None and relative is None:
        each = f", in each segment by at most {segments:g}"
    return f"{name} ({called}{better} is better) must not be worse by more than {limit}{each}"


def rollback_words(view: Mapping[str, Any]) -> str:
    """Where a rollback leads."""
    if (target := view["rolls_back_to"]) is not None:
        return f"to version {target['version']}, the {'previous ' if view['state'] == 'promoted' else ''}champion"
    if view["state"] == "retired":
        return "none any more; it is retired"
    return f"done; version {view['previous_champion']['version']} was champion then"


def _condition(name: str, terms: Mapping[str, Any]) -> str:
    words = []
    if terms.get("in") is not None:
        words.append(f"{name} {_one_of(terms['in'])}")
    if terms.get("not_in") is not None:
        words.append(f"{name} not {_one_of(terms['not_in'])}")
    if terms.get("any_of") is not None:
        words.append(f"{name} holding {'any of ' if len(terms['any_of']) > 1 else ''}{', '.join(terms['any_of'])}")
    if terms.get("at_least") is not None:
        words.append(f"{name} at least {terms['at_least']:g}")
    if terms.get("below") is not None:
        words.append(f"{name} below {terms['below']:g}")
    return " and ".join(words)


def _one_of(values: list[Any]) -> str:
    return f"{'one of ' if len(values) > 1 else ''}{', '.join(str(value) for value in values)}"
