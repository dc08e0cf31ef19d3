"""Which way each number of a contract is stricter: a table by field, complete for every limit there is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any


class Tendency(StrEnum):
    """Which way a change goes."""

    STRICTER = "stricter"
    LOOSER = "looser"
    DIFFERENT = "different"


class Stricter(StrEnum):
    """Which value of a field lets less through."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


_HIGHER = (
    "gates.data.min_rows",
    "gates.data.min_holdout_rows",
    "gates.training.min_gain_over_baseline",
    "gates.offline.metrics.*.min",
    "gates.offline.metrics.*.min_improvement",
    "gates.offline.calibration.min_slope",
    "gates.offline.backtests.min",
    "gates.offline.slices.pairs",
    "gates.offline.confidence",
    "experiment.success.*.min_effect",
    "experiment.success.*.min_gain",
    "experiment.min_stage.units",
    "experiment.min_stage.duration",
    "experiment.min_duration",
    "experiment.full_weeks",
    "approval.required",
    "approval.separation_of_duties",
    "economics.min_net_value",
    "cadence.min_interval",
    "retention.records",
    "retention.snapshots",
    "serving.durability",
)
_LOWER = (
    "gates.data.max_*",
    "gates.training.max_*",
    "gates.offline.metrics.*.max",
    "gates.offline.metrics.*.max_regression",
    "gates.offline.slices.max_regression",
    "gates.offline.slices.min_support",
    "gates.offline.fairness.*.max_*",
    "gates.offline.fairness.*.min_support",
    "gates.offline.calibration.max_*",
    "gates.offline.stability.max_*",
    "gates.offline.backtests.max",
    "gates.offline.backtests.max_spread",
    "gates.offline.max_*",
    "experiment.guardrails.*.max_regression",
    "experiment.guardrails.*.margin",
    "experiment.guardrails.*.segment_margin",
    "experiment.stop_loss.max_harm",
    "experiment.stop_loss.looks",
    "experiment.stop_loss.confirm_after",
    "experiment.segment_min_share",
    "experiment.missing_data.grace",
    "experiment.max_duration",
    "experiment.extend_to",
    "experiment.alpha",
    "experiment.max_missing_outcomes",
    "toggle.expires_after",
    "toggle.remove_after",
    "toggle.review_every",
    "approval.valid_for",
    "approval.overrides",
    "cadence.on_drift.limits.*",
    "cadence.on_drift.at_least",
    "cadence.on_drift.min_rows",
    "retention.traffic",
)
_NEITHER = (
    "source.version",
    "source.label_delay",
    "window.*",
    "trainer.*",
    "decision.threshold",
    "gates.training.cost_per_hour",
    "experiment.cohort.*",
    "experiment.cohort_share",
    "experiment.*.winsorise.*",
    "experiment.*.above",
    "experiment.*.quantile",
    "experiment.adjust_for.*",
    "experiment.look_every",
    "experiment.outcome_window",
    "experiment.expected_units_per_day",
    "experiment.planned_units",
    "approval.policy.timeout",
    "economics.value_per_unit",
    "economics.horizon",
    "economics.training_cost_per_hour",
    "economics.serving_cost_per_1k",
    "economics.review_cost",
    "cadence.on_drift.window",
    "cadence.on_drift.false_alarms",
    "cadence.on_drift.of_last",
    "cadence.wait_for_cron",
    "serving.challenger_timeout",
    "serving.champion_timeout",
    "serving.max_rows",
    "serving.shadow_queue",
    "compute.*",
)
"""Numbers that say what is measured, planned or paid, not how much is let through."""

_DEMANDS = (
    "gates.own.*",
    "gates.offline.metrics.*",
    "gates.offline.slices",
    "gates.offline.fairness.*",
    "gates.offline.calibration",
    "gates.offline.stability",
    "gates.offline.backtests",
    "gates.data.max_missing.*",
    "experiment.success.*",
    "experiment.guardrails.*",
    "approval.policy",
    "approval.roles.*",
    "approval.allowed_signers",
    "cadence.on_drift",
    "cadence.freeze.*",
    "promoted_from",
)
"""Parts that ask for something by being there: one more is stricter, one less looser."""

_RANKS: Mapping[str, tuple[Any, ...]] = {"serving.durability": ("process", "machine")}
_TABLE = {
    **dict.fromkeys(_NEITHER, Stricter.NEITHER),
    **dict.fromkeys(_LOWER, Stricter.LOWER),
    **dict.fromkeys(_HIGHER, Stricter.HIGHER),
}


def stricter_when(field: str) -> Stricter | None:
    """Which value of a field lets less through; None for one that the table does not know.

    Args:
        field: dotted, with the name of a metric, a measure or a column where the contract has one.
    """
    exact = [found for pattern, found in _TABLE.items() if fnmatchcase(field, pattern)]
    return exact[-1] if exact else None


def tendency_of(field: str, before: Any, after: Any) -> Tendency:
    """Which way a change of one field goes; a limit that is not there lets everything through.

    Args:
        field: dotted, as in :func:`stricter_when`.
        before: number, duration, bool, word or None.
        after: the same.
    """
    if before is None or after is None:
        limit = stricter_when(field) in (Stricter.HIGHER, Stricter.LOWER)
        if limit or any(fnmatchcase(field, pattern) for pattern in _DEMANDS):
            return Tendency.STRICTER if before is None else Tendency.LOOSER
        return Tendency.DIFFERENT
    direction = stricter_when(field)
    old, new = (_rank(field, value) for value in (before, after))
    if direction in (None, Stricter.NEITHER) or old is None or new is None:
        return Tendency.DIFFERENT
    return Tendency.STRICTER if (new > old) is (direction is Stricter.HIGHER) else Tendency.LOOSER


def _rank(field: str, value: Any) -> float | None:
    if field in _RANKS:
        return float(_RANKS[field].index(value))
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, (bool, int, float)) else None
