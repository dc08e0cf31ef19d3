"""Sketches of a data set, distances between them, drift reports and alarms. Pure."""

from retrain_assets.drift.alarms import DriftAlarm, drift_verdicts
from retrain_assets.drift.column import ColumnSketch, aligned_counts
from retrain_assets.drift.distances import (
    jensen_shannon,
    jensen_shannon_divergence,
    kolmogorov_smirnov_binned,
    population_stability_index,
)
from retrain_assets.drift.report import DriftReport, LiveLabels, MeasureChange, drift_report
from retrain_assets.drift.sketch import Sketch, sketch_frame

__all__ = [
    "ColumnSketch",
    "DriftAlarm",
    "DriftReport",
    "LiveLabels",
    "MeasureChange",
    "Sketch",
    "aligned_counts",
    "drift_report",
    "drift_verdicts",
    "jensen_shannon",
    "jensen_shannon_divergence",
    "kolmogorov_smirnov_binned",
    "population_stability_index",
    "sketch_frame",
]
