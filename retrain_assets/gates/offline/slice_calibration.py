"""Calibration of the candidate in each slice of the hold-out, and which slices are biased beyond a limit and beyond chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrain_assets.drift import adjusted_p_values
from retrain_assets.gates.offline.beyond_chance import alikeness, design_effect, excess_p_value
from retrain_assets.gates.offline.calibration import calibration_of, decided
from retrain_assets.gates.offline.evaluation import SliceCalibration
from retrain_assets.gates.offline.slice_members import SliceMembers

Array = np.ndarray


def slice_calibration(
    labels: Array, scores: Array, members: Sequence[SliceMembers], *, units: Array | None, limit: float | None
) -> tuple[SliceCalibration, ...]:
    """Bias and ECE of every slice; with a limit of bias, the corrected p-value of "not beyond it" for every judged one.

    Args:
        labels: 0/1, or the number of the class, one a row.
        scores: probability of 1, one a row; multiclass: rows x k, and then calibration is that of the decided class.
        members: rows of every slice.
        units: number of the unit of each row; None when every row is a unit of its own.
        limit: largest absolute bias of a slice; None where the contract sets none.
    """
    hits, certainty = decided(labels, scores)
    residuals = certainty - hits
    found = [calibration_of(hits[part.rows], certainty[part.rows]) for part in members]
    judged = [k for k, part in enumerate(members) if part.judged]
    adjusted: dict[int, float] = {}
    if limit is not None and judged:
        sums = [_sums(hits[members[k].rows], certainty[members[k].rows]) for k in judged]
        alike = alikeness(residuals, units)
        effects = [
            design_effect(residuals[members[k].rows], None if units is None else units[members[k].rows], alike) for k in judged
        ]
        rows, hit, score, squares = np.array(sums).T
        p_values = bias_p_values(rows, hit, score, squares, limit=limit, effect=np.array(effects))
        adjusted = adjusted_p_values(dict(zip(judged, p_values.tolist(), strict=True)))
    return tuple(
        SliceCalibration(part.column, part.value, len(part.rows), part.judged, one.bias, one.ece, adjusted.get(k))
        for k, (part, one) in enumerate(zip(members, found, strict=True))
    )


def bias_p_values(rows: Array, hits: Array, scores: Array, squares: Array, *, limit: float, effect: Array) -> Array:
    """How likely a bias as large as the one seen is when the true one lies at the limit, on the side of the one seen.

    At the limit every probability is the predicted one, drawn towards 0 (or 1) by the same factor; see
    :func:`~retrain_assets.gates.offline.beyond_chance.excess_p_value`.

    Args:
        rows: of each group.
        hits: positives in each group.
        scores: sum of the predicted probabilities.
        squares: sum of their squares.
        limit: largest absolute bias.
        effect: design effect of each group.
    """
    too_high = scores > hits
    certainty = np.where(too_high, scores, rows - scores)
    certainty_squares = np.where(too_high, squares, rows - 2 * scores + squares)
    kept = np.clip(np.divide(certainty - rows * limit, certainty, out=np.zeros_like(certainty), where=certainty > 0), 0.0, None)
    misses = np.where(too_high, rows - hits, hits)
    expected = rows - kept * certainty
    expected_squares = rows - 2 * kept * certainty + kept**2 * certainty_squares
    return np.where(kept > 0, excess_p_value(misses, expected, expected_squares, effect), 1.0)


def _sums(hits: Array, scores: Array) -> tuple[float, float, float, float]:
    return float(len(hits)), float(hits.sum()), float(scores.sum()), float(scores @ scores)
