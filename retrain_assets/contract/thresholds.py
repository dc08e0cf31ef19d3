"""The objective thresholds of the gates that run before traffic: data, training, offline."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, TypeVar

from pydantic import Field, model_validator

from retrain_assets.contract.part import Part
from retrain_assets.contract.quantities import ColumnName, Columns, Period, Portion, Share, named_once

Positive = Annotated[int, Field(gt=0)]
Limits = TypeVar("Limits", "MetricThreshold", "BacktestThreshold")


class DataThresholds(Part):
    """Gate 1: is this data fit to train on, and to judge on?"""

    min_rows: Positive = Field(description="Fewest labelled rows in the training window.")
    min_holdout_rows: Positive = Field(default=200, description="Fewest labelled rows in the held-out window.")
    max_age: Period = Field(description="How old the newest source row may be at the cut-off.")
    max_missing: dict[ColumnName, Portion] = Field(default_factory=dict, description="Largest share of nulls per source column.")
    max_volume_change: Share = Field(
        default=0.5, gt=0, description="Largest relative change of rows a day, hold-out against training window."
    )
    max_feature_auc: Annotated[float, Field(gt=0.5, le=1)] = Field(
        default=0.8, description="A single feature that separates the label better than this is taken for a leak."
    )
    max_duplicate_share: Portion = Field(
        default=0.01, description="Largest share of hold-out rows that also stand, feature by feature, in training."
    )


class TrainingThresholds(Part):
    """Gate 2: is the artifact sound and repeatable?"""

    max_duration: Period = Field(default=timedelta(hours=1), description="Longest allowed fit.")
    min_gain_over_baseline: Share = Field(
        default=0.0, description="Required relative gain in log loss (or squared error) over a constant prediction."
    )


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

    @model_validator(mode="after")
    def _something_is_set(self) -> MetricThreshold:
        if self.min is self.max is self.max_regression is self.min_improvement is None:
            raise ValueError("a metric without a threshold would never fail; set min, max, max_regression or min_improvement")
        return self

    @model_validator(mode="after")
    def _something_is_between(self) -> MetricThreshold:
        return _ordered(self)


class SliceThreshold(Part):
    """What every declared slice must hold."""

    columns: Annotated[Columns, Field(min_length=1)] = Field(description="Columns whose values make the slices.")
    metric: str = Field(description="The metric compared in each slice; one of gates.offline.metrics.")
    max_regression: float = Field(ge=0, description="How much worse than the champion a slice may be.")
    min_support: Positive = Field(default=200, description="Slices with fewer hold-out rows are listed, not judged.")


class FairnessThreshold(Part):
    """Largest differences between the groups of one column."""

    column: ColumnName = Field(description="Column whose values are the groups.")
    max_selection_rate_difference: Portion | None = Field(default=None, description="Demographic parity difference.")
    max_tpr_difference: Portion | None = Field(default=None, description="Equal opportunity difference.")
    max_fpr_difference: Portion | None = Field(default=None, description="Difference of false positive rates.")
    min_support: Positive = Field(default=200, description="Groups with fewer hold-out rows are listed, not judged.")

    @model_validator(mode="after")
    def _something_is_set(self) -> FairnessThreshold:
        if self.max_selection_rate_difference is self.max_tpr_difference is self.max_fpr_difference is None:
            raise ValueError("fairness without a threshold would never fail; set at least one max_..._difference")
        return self


class CalibrationThreshold(Part):
    """How far predicted probabilities may be from what happened."""

    max_ece: Annotated[float, Field(gt=0, lt=1)] = Field(description="Expected calibration error, ten equal-mass bins.")
    max_bias: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Largest absolute difference of mean prediction and label share."
    )


class BacktestThreshold(Part):
    """What the rolling-origin back-tests must hold."""

    metric: str = Field(description="The metric of each back-test; one of gates.offline.metrics.")
    min: float | None = Field(default=None, description="Lower limit that every back-test must hold.")
    max: float | None = Field(default=None, description="Upper limit that every back-test must hold.")

    @model_validator(mode="after")
    def _something_is_set(self) -> BacktestThreshold:
        if self.min is self.max is None:
            raise ValueError("backtests without a threshold would never fail; set min or max")
        return self

    @model_validator(mode="after")
    def _something_is_between(self) -> BacktestThreshold:
        return _ordered(self)


class OfflineThresholds(Part):
    """Gate 3: is the candidate good enough to meet traffic?"""

    metrics: Annotated[dict[str, MetricThreshold], Field(min_length=1)] = Field(
        description="Limits per metric, by scikit-learn's scorer vocabulary: roc_auc, log_loss, brier_score, ..."
    )
    slices: SliceThreshold | None = Field(default=None, description="Limits per slice.")
    fairness: list[FairnessThreshold] = Field(default_factory=list, description="Limits per sensitive column.")
    calibration: CalibrationThreshold | None = Field(default=None, description="Limits of calibration (classification).")
    backtests: BacktestThreshold | None = Field(default=None, description="Limits of the back-tests.")
    max_latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Largest median latency of scoring one row."
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="One-sided confidence of every comparison with the champion (paired bootstrap)."
    )

    @model_validator(mode="after")
    def _groups_are_judged_once(self) -> OfflineThresholds:
        named_once([part.column for part in self.fairness])
        return self

    @model_validator(mode="after")
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


class GateThresholds(Part):
    """Thresholds of the gates before traffic. The canary gate's are in ``experiment``, promotion's in ``approval``."""

    data: DataThresholds
    training: TrainingThresholds = Field(default_factory=TrainingThresholds)
    offline: OfflineThresholds
