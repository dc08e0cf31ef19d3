"""The contracts of faults and months: the shipped one, and one with windows short enough for twelve months of a year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import Contract
from retrain_assets.replay.demo import contract_of_flights


@dataclass(frozen=True, slots=True)
class Change:
    """One field of the monthly contract that differs from the shipped one."""

    field: str
    value: Any
    why: str


ADDED: dict[str, Any] = {
    "gates.training.max_memory_mb": 4000.0,
    "gates.offline.max_size_mb": 1.0,
    "gates.offline.stability": {"max_flips": 0.5},
    "gates.offline.calibration.min_slope": 0.4,
    "gates.offline.calibration.max_slope": 3.0,
}
"""Limits that are set here where the shipped contract sets none."""

MONTHLY = (
    Change("window.train", "21d", "a year has twelve monthly cut-offs only if both windows together are at most 31 days"),
    Change("window.holdout", "10d", "the rest of the 31 days"),
    Change("window.backtests", 1, "21 days hold one back-test of 10 days and rows to fit on"),
    Change("gates.data.min_rows", 14000, "21 days have about 19,000 flights"),
    Change("gates.data.min_holdout_rows", 5000, "9 days with known labels have about 7,500 flights"),
    Change(
        "gates.offline.metrics.roc_auc.max_regression", 0.05, "a month's champion is another model; unchanged data go to 0.042"
    ),
    Change(
        "gates.offline.metrics.brier_score.max_regression",
        0.02,
        "the same; unchanged data go to 0.016 (April, after March's storms)",
    ),
    Change("gates.offline.slices.max_regression", 0.05, "the same; unchanged data go to 0.046, in pairs of 300 flights"),
    Change("gates.offline.backtests.max_spread", None, "one back-test has no spread"),
    Change(
        "gates.offline.calibration.min_slope", 0.4, "calibration is fitted on the latest five days; unchanged data go to 0.50"
    ),
    Change(
        "gates.offline.calibration.max_ece",
        0.13,
        "the share of late flights moves by up to 12 points between 21 days and the next 10",
    ),
    Change("gates.offline.calibration.max_bias", 0.125, "the same"),
)
"""The fields of the shipped contract that the short windows force, and why."""


def shipped(uri: str) -> dict[str, Any]:
    """The shipped contract of the flights model on a source of ours, as JSON."""
    added = {field: value for field, value in ADDED.items() if shipped_value(field) is None}
    return _with(contract_of_flights().to_json(), {"source.uri": uri, **added})


def monthly(uri: str) -> dict[str, Any]:
    """The shipped contract with short windows and the limits that follow from them, as JSON."""
    return _with(shipped(uri), {change.field: change.value for change in MONTHLY})


def shipped_value(field: str) -> Any:
    """A field's value in the shipped contract."""
    value: Any = contract_of_flights().to_json()
    for part in field.split("."):
        value = value[part]
    return value


def with_trainer(contract: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The contract with fields of its trainer changed; ``params`` are added to, unless the estimator is another one."""
    trainer = contract["trainer"]
    params = {**(trainer["params"] if "estimator" not in changes else {}), **changes.get("params", {})}
    return {**contract, "trainer": {**trainer, **changes, "params": params}}


def _with(contract: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = Contract.model_validate(contract).to_json()
    for field, value in changes.items():
        *path, name = field.split(".")
        part = values
        for step in path:
            part = part[step]
        part[name] = value
    return Contract.model_validate(values).to_json()
