"""How far predicted probabilities are from what happened: on all rows, in bins of the score, by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from retrain_assets.gates.offline.beyond_chance import design_effect
from retrain_assets.gates.offline.fairness_intervals import wilson
from retrain_assets.gates.offline.recalibration import recalibration

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One bin of a reliability diagram: ``rows``, mean predicted probability and share of positives in it.

    ``lower`` and ``upper`` are the ends of the 95 % interval of that share.
    """

    rows: int
    mean_score: float
    positive_share: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class ClassBias:
    """One class of a multiclass model: its share of the rows, its mean probability, and the difference of the two."""

    name: str
    share: float
    mean_score: float
    bias: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of one model.

    ``ece`` is the expected calibration error, ``bias`` mean score minus share of positives, ``bins`` the bins used. ``slope``,
    ``intercept`` and ``in_the_large`` are those of :class:`~retrain_assets.gates.offline.recalibration.Recalibration`.
    ``ece_by_chance``, ``bias_by_chance`` and ``slope_by_chance`` are what a perfectly calibrated model stays below on as many
    rows (ECE; absolute bias; absolute distance of the slope from 1), with the confidence of the gate.
    """

    ece: float
    bias: float
    bins: tuple[CalibrationBin, ...]
    slope: float | None = None
    intercept: float | None = None
    in_the_large: float | None = None
    clipped: int = 0
    ece_by_chance: float | None = None
    bias_by_chance: float | None = None
    slope_by_chance: float | None = None
    classes: tuple[ClassBias, ...] = ()


def model_calibration(
    labels: Array, scores: Array, *, units: Array | None, confidence: float, classes: Sequence[Any] = ()
) -> Calibration:
    """Everything about the calibration of one model; for multiclass that of the decided class, and the bias of each class.

    Args:
        labels: 0/1, or the number of the class, one a row, at least one row.
        scores: probability of 1, one a row; multiclass: rows x k.
        units: number of the unit of each row; None when every row is a unit of its own.
        confidence: of what chance alone explains.
        classes: names of the classes in the order of the scores (multiclass).
    """
    hits, certainty = decided(labels, scores)
    effect = design_effect(certainty - hits, units)
    found = calibration_of(hits, certainty, effect=effect, confidence=confidence)
    fit = recalibration(hits, certainty)
    reach = NormalDist().inv_cdf((1 + confidence) / 2)
    noise = float((certainty * (1 - certainty)).mean())
    return replace(
        found,
        slope=fit.slope,
        intercept=fit.intercept,
        in_the_large=fit.in_the_large,
        clipped=fit.clipped,
        bias_by_chance=reach * (noise * effect / len(labels)) ** 0.5,
        slope_by_chance=None if fit.slope_error is None else reach * fit.slope_error * effect**0.5,
        classes=_class_biases(labels, scores, classes) if scores.ndim == 2 else (),
    )


def calibration_of(
    labels: Array,
    scores: Array,
    *,
    bins: int = 10,
    strategy: Literal["quantile", "uniform"] = "quantile",
    effect: float = 1.0,
    confidence: float = 0.95,
) -> Calibration:
    """Expected calibration error: the row-weighted mean distance of score and share of positives over bins.

    Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
    ``quantile`` cuts at the linear percentiles of the scores (equal mass), ``uniform`` at equal widths of 0..1; bins
    are closed on the right and the empty ones are skipped, as in ``sklearn.calibration.calibration_curve``. The interval
    of a bin is Wilson's (Probable inference, JASA 1927) on the effective number of rows.

    Args:
        labels: 0/1, one a row.
        scores: probability of 1, one a row.
        bins: number of bins.
        strategy: how the edges are placed.
        effect: design effect of the rows, at least 1.
        confidence: of ``ece_by_chance``.

    Raises:
        ValueError: when there are no rows.
    """
    if len(labels) == 0:
        raise ValueError("calibration needs rows; none were given")
    rows, mean_score, positive, variance = _binned(labels, scores, bins, strategy)
    lower, upper = wilson(positive, rows / effect, NormalDist().inv_cdf(0.975))
    parts = zip(rows, mean_score, positive, lower, upper, strict=True)
    return Calibration(
        ece=float((rows * np.abs(positive - mean_score)).sum() / len(labels)),
        bias=float(scores.mean() - labels.mean()),
        bins=tuple(CalibrationBin(int(n), *(float(value) for value in values)) for n, *values in parts),
        ece_by_chance=_ece_by_chance(rows, variance, effect, confidence),
    )


def decided(labels: Array, scores: Array) -> tuple[Array, Array]:
    """Whether the predicted event happened, and its probability; for class probabilities the event is the decided class."""
    if scores.ndim == 1:
        return labels.astype(float), scores
    return (scores.argmax(axis=1) == labels).astype(float), scores.max(axis=1)


def _binned(labels: Array, scores: Array, bins: int, strategy: str) -> tuple[Array, Array, Array, Array]:
    """Rows, mean score, share of positives and mean variance of a label of every bin that has rows; by sorting alone."""
    ordered, positive = np.sort(scores), np.sort(scores[labels.astype(bool)])
    shares = np.linspace(0, 1, bins + 1)
    inner = (_quantiles(ordered, shares) if strategy == "quantile" else shares)[1:-1]
    ends = np.concatenate([np.searchsorted(ordered, inner, side="right"), [len(ordered)]])
    rows = np.diff(ends, prepend=0)
    hits = np.diff(np.concatenate([np.searchsorted(positive, inner, side="right"), [len(positive)]]), prepend=0)
    filled = rows > 0
    starts = (ends - rows)[filled]
    total, squares = np.add.reduceat(ordered, starts), np.add.reduceat(ordered * ordered, starts)
    rows = rows[filled]
    return rows, total / rows, hits[filled] / rows, (total - squares) / rows


def _quantiles(ordered: Array, shares: Array) -> Array:
    """What ``np.quantile`` gives by linear interpolation, of values that are sorted already."""
    at = shares * (len(ordered) - 1)
    below = np.floor(at).astype(int)
    low, high, part = ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)], at - below
    return np.asarray(np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part)))


def _ece_by_chance(rows: Array, variance: Array, effect: float, confidence: float) -> float:
    """Quantile of the ECE of a perfectly calibrated model: a sum of half-normal distances, taken as normal itself."""
    error = rows / rows.sum() * np.sqrt(np.maximum(variance, 0.0) / rows * effect)
    mean, spread = np.sqrt(2 / np.pi) * error.sum(), np.sqrt((1 - 2 / np.pi) * (error**2).sum())
    return float(mean + NormalDist().inv_cdf(confidence) * spread)


def _class_biases(labels: Array, scores: Array, classes: Sequence[Any]) -> tuple[ClassBias, ...]:
    names = [str(name) for name in classes] if classes else [str(k) for k in range(scores.shape[1])]
    shares = np.bincount(labels.astype(int), minlength=scores.shape[1]) / len(labels)
    parts = zip(names, shares.tolist(), scores.mean(axis=0).tolist(), strict=True)
    return tuple(ClassBias(name, share, score, score - share) for name, share, score in parts)
