"""The statistics of a canary: sufficient statistics -> anytime-valid intervals -> states -> action. Pure; no I/O, no clock."""

from retrain_assets.experiment.data import ArmCounts, CanaryData, StageCounts
from retrain_assets.experiment.decision.analysis import analyse
from retrain_assets.experiment.decision.economics import NetValue, Worth, net_value
from retrain_assets.experiment.decision.rule import stage_units
from retrain_assets.experiment.estimation.confidence_sequence import one_sided_radius, tuning, two_sided_radius
from retrain_assets.experiment.estimation.difference import Difference, information_clock, radius
from retrain_assets.experiment.estimation.intervals import Interval, Limits, Tuning, interval_of
from retrain_assets.experiment.estimation.measures import MeasureResult, MeasureState, PlannedBoundary, judge
from retrain_assets.experiment.estimation.rare_events import expected_events_bounds, mean_bounds, share_bounds
from retrain_assets.experiment.estimation.statistics import (
    SHADOW,
    ArmStatistics,
    MeasureStatistics,
    Overlap,
    Stratum,
    StratumStatistics,
)
from retrain_assets.experiment.estimation.stratified import stratified_difference
from retrain_assets.experiment.health.checks import health_checks
from retrain_assets.experiment.health.health_check import HealthCheck
from retrain_assets.experiment.health.sample_ratio import log_e_value, p_value
from retrain_assets.experiment.look import Action, Cause, Look, PlannedLook
from retrain_assets.experiment.plan import MeasureSpec, Plan, stage_label

__all__ = [
    "SHADOW",
    "Action",
    "ArmCounts",
    "ArmStatistics",
    "CanaryData",
    "Cause",
    "Difference",
    "HealthCheck",
    "Interval",
    "Limits",
    "Look",
    "MeasureResult",
    "MeasureSpec",
    "MeasureState",
    "MeasureStatistics",
    "NetValue",
    "Overlap",
    "Plan",
    "PlannedBoundary",
    "PlannedLook",
    "StageCounts",
    "Stratum",
    "StratumStatistics",
    "Tuning",
    "Worth",
    "analyse",
    "expected_events_bounds",
    "health_checks",
    "information_clock",
    "interval_of",
    "judge",
    "log_e_value",
    "mean_bounds",
    "net_value",
    "one_sided_radius",
    "p_value",
    "radius",
    "share_bounds",
    "stage_label",
    "stage_units",
    "stratified_difference",
    "tuning",
    "two_sided_radius",
]
