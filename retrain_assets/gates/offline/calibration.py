"""How far predicted probabilities are from what happened, and where the decision threshold would lie on the hold-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One bin of a reliability diagram: ``rows``, mean predicted probability and share of positives in it."""

    rows: int
    mean_score: float
    positive_share: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of one model: expected calibration error, bias (mean score minus share of positives), bins used."""

    ece: float
    bias: float
    bins: tuple[CalibrationBin, ...]


def calibration_of(
    labels: Array, scores: Array, *, bins: int = 10, strategy: Literal["quantile", "uniform"] = "quantile"
) -> Calibration:
    """Expected calibration error: the row-weighted mean distance of score and share of positives over bins.

    Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
    ``quantile`` cuts at the linear percentiles of the scores (equal mass), ``uniform`` at equal widths of 0..1; bins
    are closed on the right and the empty ones are skipped, as in ``sklearn.calibration.calibration_curve``.

    Args:
        labels: 0/1, one a row.
        scores: probability of 1, one a row.
        bins: number of bins.
        strategy: how the edges are placed.

    Raises:
        ValueError: when there are no rows.
    """
    if len(labels) == 0:
        raise ValueError("calibration needs rows; none were given")
    shares = np.linspace(0, 1, bins + 1)
    edges = np.percentile(scores, shares * 100) if strategy == "quantile" else shares
    position = np.searchsorted(edges[1:-1], scores)
    rows = np.bincount(position, minlength=bins)
    filled = rows > 0
    mean_score = np.bincount(position, weights=scores, minlength=bins)[filled] / rows[filled]
    positive = np.bincount(position, weights=labels.astype(float), minlength=bins)[filled] / rows[filled]
    ece = float((rows[filled] * np.abs(positive - mean_score)).sum() / len(labels))
    parts = zip(rows[filled], mean_score, positive, strict=True)
    return Calibration(
        ece=ece,
        bias=float(scores.mean() - labels.mean()),
        bins=tuple(CalibrationBin(int(n), float(score), float(share)) for n, score, share in parts),
    )


def cheapest_threshold(labels: Array, scores: Array, threshold: float) -> tuple[float, float, float]:
    """The threshold the hold-out itself would choose, for the costs that the contract's threshold implies.

    Deciding at or above t is right for a calibrated score when a false alarm costs t and a miss costs 1 - t (Elkan, The
    foundations of cost-sensitive learning, IJCAI 2001, section 2). A cheapest threshold far from t means that scores
    near the decision are off.

    Args:
        labels: 0/1, one a row, at least one.
        scores: probability of 1, one a row.
        threshold: the contract's threshold t, between 0 and 1.

    Returns:
        Cheapest threshold, its cost a row, and the cost a row at ``threshold``, costs in units of one false alarm
        plus one miss. Above every score (nothing selected) the threshold is reported as 1.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order], labels[order].astype(bool)
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    alarms = np.concatenate([[0], np.cumsum(~positive)[ends]])
    misses = positive.sum() - np.concatenate([[0], np.cumsum(positive)[ends]])
    costs = (threshold * alarms + (1 - threshold) * misses) / len(labels)
    candidates = np.concatenate([[1.0], ordered[ends]])
    lowest = np.flatnonzero(costs <= costs.min() + 1e-15)
    best = lowest[np.argmin(np.abs(candidates[lowest] - threshold))]
    selected = scores >= threshold
    here = (
        threshold * (selected & ~labels.astype(bool)).sum() + (1 - threshold) * (~selected & labels.astype(bool)).sum()
    ) / len(labels)
    return float(candidates[best]), float(costs[best]), float(here)
