"""The objective thresholds of gate offline: is the candidate good enough to meet traffic?"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, StringConstraints

from retrain_assets.contract.own_checks import OwnMetric
from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import ColumnName, Columns, Portion, named_once

Positive = Annotated[int, Field(gt=0)]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,62}$")]
Limits = TypeVar("Limits", "MetricThreshold", "BacktestThreshold")


class MetricThreshold(Part):
    """Limits of one offline metric; each may be set alone, at least one must be."""

    min: float | None = Field(default=None, description="Absolute lower limit of the candidate's value.")
    max: float | None = Field(default=None, description="Absolute upper limit of the candidate's value.")
    max_regression: float | None = Field(
        default=None,
        ge=0,
        description="Non-inferiority margin: how much worse than the champion, in the metric's unit, is tolerable.",
    )
    min_improvement: float | None = Field(
        default=None, ge=0, description="How much better than the champion the candidate must be, in the metric's unit."
    )

    @rule
    def _something_is_set(self) -> MetricThreshold:
        if self.min is self.max is self.max_regression is self.min_improvement is None:
            raise ValueError("a metric without a threshold would never fail; set min, max, max_regression or min_improvement")
        return self

    @rule
    def _something_is_between(self) -> MetricThreshold:
        return _ordered(self)


class SliceThreshold(Part):
    """What every declared slice must hold."""

    columns: Annotated[Columns, Field(min_length=1)] = Field(description="Columns whose values make the slices.")
    pairs: bool = Field(default=False, description="Whether every pair of values of two of the columns is a slice as well.")
    metric: str = Field(description="The metric compared in each slice; one of gates.offline.metrics.")
    max_regression: float = Field(
        ge=0, description="How much worse than the champion a slice may be; beyond it fails when shown worse, chance allowed for."
    )
    min_support: Positive = Field(default=200, description="Slices with fewer hold-out rows are listed, not judged.")

    @rule
    def _pairs_are_of_two(self) -> SliceThreshold:
        if self.pairs and len(self.columns) < 2:
            raise ValueError(f"pairs needs two columns, and there is only {self.columns[0]}; add a column or remove pairs")
        return self


class FairnessThreshold(Part):
    """Largest differences between the groups of one column."""

    column: ColumnName = Field(description="Column whose values are the groups.")
    max_selection_rate_difference: Portion | None = Field(default=None, description="Demographic parity difference.")
    max_tpr_difference: Portion | None = Field(default=None, description="Equal opportunity difference.")
    max_fpr_difference: Portion | None = Field(default=None, description="Difference of false positive rates.")
    max_equalized_odds_difference: Portion | None = Field(
        default=None, description="The larger one of the differences of true and false positive rates."
    )
    max_calibration_difference: Portion | None = Field(
        default=None, description="Difference of mean prediction minus share of positives."
    )
    min_support: Positive = Field(default=200, description="Groups with fewer hold-out rows are listed, not judged.")

    @rule
    def _something_is_set(self) -> FairnessThreshold:
        if all(getattr(self, name) is None for name in type(self).model_fields if name.startswith("max_")):
            raise ValueError("fairness without a threshold would never fail; set at least one max_..._difference")
        return self


class CalibrationThreshold(Part):
    """How far predicted probabilities may be from what happened. Every classification has these limits, set or not."""

    max_ece: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="Expected calibration error, ten equal-mass bins."
    )
    max_bias: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=0.08, description="Largest absolute difference of mean prediction and label share."
    )
    min_slope: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Smallest calibration slope; below 1 the predictions are too extreme."
    )
    max_slope: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Largest calibration slope; above 1 the predictions are too timid."
    )
    max_slice_bias: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Largest bias of a slice of gates.offline.slices, shown beyond chance."
    )

    @rule
    def _something_is_between(self) -> CalibrationThreshold:
        if self.min_slope is not None and self.max_slope is not None and self.min_slope > self.max_slope:
            raise ValueError(f"min_slope {self.min_slope:g} is above max_slope {self.max_slope:g}; exchange them")
        return self


class StabilityThreshold(Part):
    """How differently from the champion the candidate may treat the same rows."""

    max_flips: Portion | None = Field(
        default=None, description="Largest share of rows whose decision differs from the champion's (classification)."
    )
    max_slice_flips: Portion | None = Field(
        default=None, description="The same in each slice of gates.offline.slices, shown beyond chance (classification)."
    )
    max_shift: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Largest mean absolute change of a prediction, in label standard deviations (regression).",
    )

    @rule
    def _something_is_set(self) -> StabilityThreshold:
        if self.max_flips is self.max_slice_flips is self.max_shift is None:
            raise ValueError("stability without a threshold would never fail; set max_flips, max_slice_flips or max_shift")
        return self


class BacktestThreshold(Part):
    """What the rolling-origin back-tests must hold."""

    metric: str = Field(description="The metric of each back-test; one of gates.offline.metrics.")
    min: float | None = Field(default=None, description="Lower limit that every back-test must hold.")
    max: float | None = Field(default=None, description="Upper limit that every back-test must hold.")
    max_spread: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Largest difference between the best and the worst back-test."
    )

    @rule
    def _something_is_set(self) -> BacktestThreshold:
        if self.min is self.max is self.max_spread is None:
            raise ValueError("backtests without a threshold would never fail; set min, max or max_spread")
        return self

    @rule
    def _something_is_between(self) -> BacktestThreshold:
        return _ordered(self)


class OfflineThresholds(Part):
    """Gate 3: is the candidate good enough to meet traffic?"""

    metrics: Annotated[dict[str, MetricThreshold], Field(min_length=1)] = Field(
        description="Limits per metric, by scikit-learn's scorer vocabulary: roc_auc, log_loss, brier_score, ..."
    )
    own_metrics: dict[MetricName, OwnMetric] = Field(
        default_factory=dict, description="Metrics of the team's own, which metrics, slices and backtests may name."
    )
    slices: SliceThreshold | None = Field(default=None, description="Limits per slice.")
    fairness: list[FairnessThreshold] = Field(default_factory=list, description="Limits per sensitive column.")
    calibration: CalibrationThreshold | None = Field(
        default_factory=CalibrationThreshold,
        description="Limits of calibration (classification); null says that scores are used as ranks only.",
    )
    stability: StabilityThreshold | None = Field(default=None, description="Limits of the change against the champion.")
    backtests: BacktestThreshold | None = Field(default=None, description="Limits of the back-tests.")
    max_latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Largest median latency of scoring one row."
    )
    max_size_mb: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Largest size of the bundle, in MiB.")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="One-sided confidence of every bound (paired bootstrap, DeLong), and of all slices together."
    )

    @rule
    def _own_metrics_are_used(self) -> OfflineThresholds:
        if idle := [name for name in self.own_metrics if name not in self.metrics]:
            raise ValueError(
                f"own_metrics.{idle[0]} has no limit, so it would decide nothing; add it to gates.offline.metrics, or remove it"
            )
        return self

    @rule
    def _groups_are_judged_once(self) -> OfflineThresholds:
        named_once([part.column for part in self.fairness])
        return self

    @rule
    def _slices_are_declared(self) -> OfflineThresholds:
        uses = {
            "calibration.max_slice_bias": self.calibration.max_slice_bias if self.calibration else None,
            "stability.max_slice_flips": self.stability.max_slice_flips if self.stability else None,
        }
        if self.slices is None and (names := [name for name, value in uses.items() if value is not None]):
            raise ValueError(f"{names[0]} needs slices, and there are none; set gates.offline.slices")
        return self

    @rule
    def _slice_metric_exists(self) -> OfflineThresholds:
        for name, part in (("slices", self.slices), ("backtests", self.backtests)):
            if part is not None and part.metric not in self.metrics:
                raise ValueError(
                    f"{name}.metric {part.metric!r} is not among gates.offline.metrics; "
                    f"write one of {', '.join(sorted(self.metrics))}"
                )
        return self


def _ordered(limits: Limits) -> Limits:
    if limits.min is not None and limits.max is not None and limits.min > limits.max:
        raise ValueError(f"min {limits.min:g} is above max {limits.max:g}, so no value could pass; exchange them")
    return limits
