"""The statistics of a canary: sufficient statistics -> anytime-valid intervals -> states -> action. Pure; no I/O, no clock."""

from retrain_assets.experiment.analysis import analyse
from retrain_assets.experiment.confidence_sequence import one_sided_radius, tuning, two_sided_radius
from retrain_assets.experiment.data import ArmCounts, CanaryData, StageCounts
from retrain_assets.experiment.decision import stage_units
from retrain_assets.experiment.difference import Difference, information_clock, radius
from retrain_assets.experiment.economics import NetValue, Worth, net_value
from retrain_assets.experiment.health import health_checks
from retrain_assets.experiment.health_check import HealthCheck
from retrain_assets.experiment.intervals import Interval, Limits, Tuning, interval_of
from retrain_assets.experiment.look import Action, Cause, Look, PlannedLook
from retrain_assets.experiment.measures import MeasureResult, MeasureState, PlannedBoundary, judge
from retrain_assets.experiment.plan import MeasureSpec, Plan, stage_label
from retrain_assets.experiment.rare_events import expected_events_bounds, mean_bounds, share_bounds
from retrain_assets.experiment.sample_ratio import log_e_value, p_value
from retrain_assets.experiment.statistics import (
    SHADOW,
    ArmStatistics,
    MeasureStatistics,
    Overlap,
    Stratum,
    StratumStatistics,
)
from retrain_assets.experiment.stratified import stratified_difference

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
