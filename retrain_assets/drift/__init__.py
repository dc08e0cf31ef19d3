"""Sketches of a data set, distances between them, drift reports and alarms. Pure."""

from retrain_assets.drift.alarms import DriftAlarm, distinct_windows, drift_verdicts, judged
from retrain_assets.drift.arms import ArmPair, counted_quantile, mixed_mean, standardised
from retrain_assets.drift.batches import sketch_batches
from retrain_assets.drift.bounds import Bounded, Quantile, kolmogorov_smirnov, quantile, wasserstein
from retrain_assets.drift.chance import Homogeneity, adjusted_p_values, chance_of_difference, homogeneity
from retrain_assets.drift.changes import LiveLabels, MeasureChange, MetricTest
from retrain_assets.drift.column import ColumnSketch, aligned_counts
from retrain_assets.drift.comparison import ColumnDrift, column_drift
from retrain_assets.drift.distances import (
    ChiSquare,
    chi_square,
    jensen_shannon,
    jensen_shannon_divergence,
    kolmogorov_smirnov_binned,
    kolmogorov_smirnov_bound,
    population_stability_index,
    wasserstein_binned,
)
from retrain_assets.drift.estimation import Estimate, estimate
from retrain_assets.drift.report import DriftReport
from retrain_assets.drift.reporting import drift_report
from retrain_assets.drift.samples import KolmogorovSmirnov, kolmogorov_smirnov_exact, wasserstein_exact
from retrain_assets.drift.segments import SegmentDrift, SegmentLoss
from retrain_assets.drift.sketch import Sketch, sketch_frame

__all__ = [
    "ArmPair",
    "Bounded",
    "ChiSquare",
    "ColumnDrift",
    "ColumnSketch",
    "DriftAlarm",
    "DriftReport",
    "Estimate",
    "Homogeneity",
    "KolmogorovSmirnov",
    "LiveLabels",
    "MeasureChange",
    "MetricTest",
    "Quantile",
    "SegmentDrift",
    "SegmentLoss",
    "Sketch",
    "adjusted_p_values",
    "aligned_counts",
    "chance_of_difference",
    "chi_square",
    "column_drift",
    "counted_quantile",
    "distinct_windows",
    "drift_report",
    "drift_verdicts",
    "estimate",
    "homogeneity",
    "jensen_shannon",
    "jensen_shannon_divergence",
    "judged",
    "kolmogorov_smirnov",
    "kolmogorov_smirnov_binned",
    "kolmogorov_smirnov_bound",
    "kolmogorov_smirnov_exact",
    "mixed_mean",
    "population_stability_index",
    "quantile",
    "sketch_batches",
    "sketch_frame",
    "standardised",
    "wasserstein",
    "wasserstein_binned",
    "wasserstein_exact",
]
