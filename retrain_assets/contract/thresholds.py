"""The objective thresholds of gates data and training. Gate offline's are in offline.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from retrain_assets.contract.offline import OfflineThresholds
from retrain_assets.contract.own_checks import OwnCheck
from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import ColumnName, Columns, Period, Portion, Share, named_once

Positive = Annotated[int, Field(gt=0)]


class DataThresholds(Part):
    """Gate 1: is this data fit to train on, and to judge on?"""

    min_rows: Positive = Field(description="Fewest labelled rows in the training window.")
    min_holdout_rows: Positive = Field(default=200, description="Fewest labelled rows in the held-out window.")
    max_age: Period = Field(description="How old the newest source row, labelled or not, may be at the cut-off.")
    max_missing: dict[ColumnName, Portion] = Field(default_factory=dict, description="Largest share of nulls per source column.")
    max_silence: Annotated[float, Field(gt=0)] = Field(
        default=3.0,
        description="Longest time without a row, hold-out and cut-off included, as a multiple of the longest in training.",
    )
    max_missing_rise: Portion = Field(
        default=0.1,
        description="Largest rise of a column's share of nulls, against training and against earlier retrains; "
        "columns of max_missing are left to their own limit.",
    )
    max_volume_change: Share = Field(
        default=0.5,
        gt=0,
        description="Largest relative change of rows a day: hold-out against training, training against earlier retrains.",
    )
    max_day_change: Share = Field(
        default=0.45, gt=0, description="Largest relative change of one hold-out day's rows against the same weekday in training."
    )
    max_new_categories: Portion = Field(
        default=0.01, description="Largest share of hold-out rows with a category that training does not have."
    )
    max_vanished_categories: Portion = Field(
        default=0.01, description="Largest share of training rows with a category that the hold-out no longer has."
    )
    open_categories: Columns = Field(
        default_factory=list,
        description="Text columns whose categories come and go (app versions, campaigns); their categories are not judged.",
    )
    max_label_shift: Portion = Field(
        default=0.3,
        description="Largest change of the label's distribution, hold-out against training, training against earlier retrains: "
        "of a class's share, or of the mean in standard deviations (regression).",
    )
    max_unlabelled: Portion = Field(
        default=0.25, description="Largest share of rows that should have a label by now and have none; they are left out."
    )
    max_feature_auc: Annotated[float, Field(gt=0.5, le=1)] = Field(
        default=0.8, description="A single feature that separates the label better than this is taken for a leak."
    )
    max_value_agreement: Annotated[float, Field(gt=0.5, le=1)] = Field(
        default=0.98,
        description="Rows that share a feature's value and agree in the label more than this are taken for a leak.",
    )
    vetted_features: Columns = Field(
        default_factory=list,
        description="Features that somebody has made sure are known when the prediction is made (is the shop open); they may "
        "separate or determine the label.",
    )
    max_feature_shift: Annotated[float, Field(gt=1)] = Field(
        default=2.0,
        description="Largest distance of a feature's hold-out values from training, as a multiple of the farthest stretch of "
        "training from the rest.",
    )
    max_duplicate_share: Portion = Field(
        default=0.01, description="Largest share of hold-out rows that also stand, feature by feature, in training."
    )


class TrainingThresholds(Part):
    """Gate 2: is the artifact sound and repeatable?"""

    max_duration: Period = Field(default=timedelta(hours=1), description="Longest allowed fit, its calibration included.")
    max_memory_mb: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Largest peak memory of the process that trains, during the fit, in MiB."
    )
    max_cost: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Largest cost of the fit: its duration times cost_per_hour, in the same currency."
    )
    cost_per_hour: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Cost of an hour of the training machine."
    )
    min_gain_over_baseline: Share = Field(
        default=0.0,
        description="Required relative gain in log loss (or squared error) over the better of two naive predictions: the rate of "
        "the training window and the last known rate.",
    )

    @rule
    def _cost_is_known(self) -> TrainingThresholds:
        if self.max_cost is not None and self.cost_per_hour is None:
            raise ValueError("max_cost needs cost_per_hour, or no cost could be told; set cost_per_hour")
        return self


class GateThresholds(Part):
    """Thresholds of the gates before traffic, and own checks. The canary gate's limits are in ``experiment``, promotion's in
    ``approval``."""

    data: DataThresholds
    training: TrainingThresholds = Field(default_factory=TrainingThresholds)
    offline: OfflineThresholds
    own: list[OwnCheck] = Field(default_factory=list, description="Checks of the team's own, each in one of the gates.")

    @rule
    def _own_checks_are_named_once(self) -> GateThresholds:
        named_once([one.check for one in self.own])
        return self

    def own_in(self, gate: str) -> list[OwnCheck]:
        """The team's own checks of one gate, in their order."""
        return [one for one in self.own if one.gate == gate]
