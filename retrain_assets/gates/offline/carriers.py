"""Which units a metric's change rests on: of 1,000 rows with three positives, three tell what the recall is."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
ENOUGH = 50
"""Carriers from which resampling them gives bounds that hold; fewer take Student's t."""

_OF_BOTH_CLASSES = frozenset({"roc_auc", "average_precision", "balanced_accuracy", "matthews_corrcoef"})
_OF_POSITIVES = frozenset({"recall", "f1"})
_OF_EVERY_CLASS = frozenset({"roc_auc_ovr", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro"})
CARRIED = _OF_BOTH_CLASSES | _OF_POSITIVES | _OF_EVERY_CLASS | {"precision"}
"""Metrics that some rows tell more about than others."""


def carriers(name: str, labels: Array, scores: tuple[Array, Array], units: Array | None, *, threshold: float) -> int | None:
    """The number of units of the scarcest kind of rows that the metric needs; None where every row counts alike.

    These are the units of the rarer class (areas, balanced accuracy, Matthews correlation), those with positives (recall, f1),
    those with rows that the more sparing model selects (precision), those of the rarest class that is there (means over classes).

    Args:
        name: metric; ``labels`` and ``threshold`` as in :func:`retrain_assets.gates.offline.metrics.metric_value`.
        labels: one a row.
        scores: of candidate and champion.
        units: number of the unit of each row; None when every row is a unit of its own.
        threshold: of the positive decision.
    """
    if scores[0].ndim == 2:
        if name not in _OF_EVERY_CLASS:
            return None
        return min((_units(labels == k, units) for k in np.flatnonzero(np.bincount(labels.astype(np.int64)))), default=0)
    if name == "precision":
        return min(_units(part >= threshold, units) for part in scores)
    if name in _OF_POSITIVES:
        return _units(labels.astype(bool), units)
    if name in _OF_BOTH_CLASSES:
        positive = labels.astype(bool)
        return min(_units(positive, units), _units(~positive, units))
    return None


def too_few(count: int, confidence: float) -> bool:
    """Whether so few units all point to one side by chance too often, when either side is as likely for each."""
    return 0.5**count > 1 - confidence + 1e-12


def _units(rows: Array, units: Array | None) -> int:
    return int(np.count_nonzero(rows)) if units is None else int(np.count_nonzero(np.bincount(units[rows])))
