"""Stricter and looser are right for every limit a contract has."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from retrain_assets.contract import Contract
from retrain_assets.reports.contract_diff.directions import (
    _DEMANDS,
    _HIGHER,
    _LOWER,
    _NEITHER,
    Stricter,
    Tendency,
    stricter_when,
    tendency_of,
)

NUMBERS = (int, float, timedelta)


def kinds(annotation: Any) -> Iterator[Any]:
    """What an annotation may hold, without the wrappings."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from kinds(typing.get_args(annotation)[0])
    elif origin in (None, dict, list, typing.Literal):
        yield annotation
    else:
        for one in typing.get_args(annotation):
            yield from kinds(one)


def numbers(part: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every field of a part that may hold a number or a duration, dotted; ``any`` for a name that a team chooses."""
    for name, info in part.model_fields.items():
        field = before + (info.alias or name)
        for kind in kinds(info.annotation):
            inside = list(kinds(typing.get_args(kind)[-1])) if typing.get_origin(kind) in (dict, list) else [kind]
            below = f"{field}.any" if inside != [kind] else field
            for one in inside:
                if isinstance(one, type) and typing.get_origin(one) is None and issubclass(one, BaseModel):
                    yield from numbers(one, f"{below}.")
                elif one in NUMBERS and typing.get_origin(kind) is not list:
                    yield below


FIELDS = sorted(set(numbers(Contract)))


def test_there_are_numbers_of_every_part() -> None:
    assert len(FIELDS) > 100
    assert {"gates", "experiment", "toggle", "approval", "cadence", "economics", "compute"} <= {
        field.partition(".")[0] for field in FIELDS
    }


@pytest.mark.parametrize("field", FIELDS)
def test_every_number_of_the_contract_has_a_direction(field: str) -> None:
    assert stricter_when(field) is not None, "add it to the table of directions"


@pytest.mark.parametrize("field", [field for field in FIELDS if field.rpartition(".")[2].startswith(("max_", "min_"))])
def test_what_is_called_a_most_is_stricter_when_lower_and_a_least_when_higher(field: str) -> None:
    name = field.rpartition(".")[2]
    lower = name.startswith("max_") or name in ("min_support", "min_share")
    if field in ("cadence.on_drift.min_rows",):
        lower = True
    if stricter_when(field) is not Stricter.NEITHER:
        assert stricter_when(field) is (Stricter.LOWER if lower else Stricter.HIGHER)


def test_no_pattern_of_the_table_is_idle() -> None:
    flags = ("approval.separation_of_duties", "approval.overrides", "gates.offline.slices.pairs", "serving.durability")
    from fnmatch import fnmatchcase

    for pattern in (*_HIGHER, *_LOWER, *_NEITHER):
        assert pattern in flags or any(fnmatchcase(field, pattern) for field in FIELDS), pattern
    assert len({*_HIGHER, *_LOWER, *_NEITHER}) == len(_HIGHER) + len(_LOWER) + len(_NEITHER)
    assert all(pattern.partition(".")[0] in Contract.model_fields for pattern in _DEMANDS)


@pytest.mark.parametrize(
    ("field", "before", "after", "tendency"),
    [
        ("gates.data.min_rows", 1000, 2000, Tendency.STRICTER),
        ("gates.offline.metrics.roc_auc.max_regression", 0.01, 0.03, Tendency.LOOSER),
        ("gates.offline.metrics.log_loss.max", 0.5, 0.4, Tendency.STRICTER),
        ("gates.offline.metrics.roc_auc.min", None, 0.6, Tendency.STRICTER),
        ("gates.training.max_cost", 5.0, None, Tendency.LOOSER),
        ("gates.offline.calibration", {"max_ece": 0.05}, None, Tendency.LOOSER),
        ("experiment.guardrails.error_rate.margin", 0.01, 0.02, Tendency.LOOSER),
        ("experiment.guardrails.error_rate", {"margin": 0.01}, None, Tendency.LOOSER),
        ("experiment.success.cost.min_effect", 0.01, 0.02, Tendency.STRICTER),
        ("experiment.alpha", 0.05, 0.01, Tendency.STRICTER),
        ("experiment.min_stage.duration", timedelta(days=1), timedelta(hours=36), Tendency.STRICTER),
        ("approval.required", 1, 2, Tendency.STRICTER),
        ("approval.separation_of_duties", True, False, Tendency.LOOSER),
        ("approval.overrides", False, True, Tendency.LOOSER),
        ("approval.policy", None, {"command": ["opa"]}, Tendency.STRICTER),
        ("cadence.on_drift.limits.calibration_bias", 0.07, 0.1, Tendency.LOOSER),
        ("experiment.expected_units_per_day", 100.0, 200.0, Tendency.DIFFERENT),
        ("experiment.ramp", ["shadow", 5], ["shadow", 10], Tendency.DIFFERENT),
        ("gates.own.seasons", None, {"gate": "data"}, Tendency.STRICTER),
    ],
)
def test_the_word_is_right(field: str, before: Any, after: Any, tendency: Tendency) -> None:
    assert tendency_of(field, before, after) is tendency
