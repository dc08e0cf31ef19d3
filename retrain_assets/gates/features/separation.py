"""How well one feature alone separates the label: the tell-tale of a leak. Used by features.py."""

from __future__ import annotations

import numpy as np
import polars as pl

from retrain_assets.gates.offline.metrics import roc_auc

FOLDS = 5
"""Folds of the out-of-fold target rates."""
BINS = 20
"""Equal-mass bins of a numeric feature for its target rates, nulls a bin of their own."""
SMOOTHING = 20.0
"""Rows of the overall rate mixed into each category's rate (Micci-Barreca 2001, section 3)."""
MOST_CLASSES = 20
"""Classes of a multiclass label that are looked at one against the rest, most frequent first."""


def single_feature_auc(feature: pl.Series, targets: list[np.ndarray]) -> float | None:
    """The largest area under the ROC curve that this feature alone reaches on any of the targets.

    Every feature is tried as categories: each row gets the smoothed share of positives of its category among the
    rows of the other folds (target-rate encoding, Micci-Barreca, A preprocessing scheme for high-cardinality
    categorical attributes, SIGKDD Explorations 2001); an identifier with one row a category therefore scores 0.5.
    A numeric feature is cut into twenty equal-mass bins for that, which finds a relation in any shape, and is also
    tried by its order in either direction, with nulls below or above all values, which finds a thin monotone one.

    Args:
        feature: one value a row; numeric, Boolean, temporal, text or categorical.
        targets: Boolean arrays, one value a row, as :func:`binary_targets` gives them.

    Returns:
        A number from 0.5 to 1; None when no target has both classes.
    """
    judged = [target for target in targets if 0 < target.sum() < target.size]
    if not judged:
        return None
    orders = _orders(feature)
    categories = _categories(feature)
    best = 0.5
    for target in judged:
        for order in orders:
            area = roc_auc(target, order)
            best = max(best, area, 1 - area)
        best = max(best, roc_auc(target, _target_rates(categories, target)))
    return float(best)


def binary_targets(labels: pl.Series, task: str) -> list[np.ndarray]:
    """The label as yes/no questions: itself, one class against the rest, or above its median for a regression."""
    if task == "regression":
        values = labels.cast(pl.Float64).to_numpy()
        return [values > np.median(values)] if values.size else []
    counts = labels.value_counts(sort=True, name="rows").sort(["rows", labels.name], descending=[True, False])
    classes = counts[labels.name].to_list()
    if len(classes) <= 2:
        return [(labels == max(classes)).to_numpy()] if classes else []
    return [(labels == value).to_numpy() for value in classes[:MOST_CLASSES]]


def _orders(feature: pl.Series) -> list[np.ndarray]:
    if not (feature.dtype.is_numeric() or feature.dtype.is_temporal() or feature.dtype == pl.Boolean):
        return []
    ranks = _ordinal(feature).rank("average").cast(pl.Float64)
    if ranks.null_count() == 0:
        return [ranks.to_numpy()]
    return [ranks.fill_null(0.0).to_numpy(), ranks.fill_null(float(len(ranks) + 1)).to_numpy()]


def _ordinal(feature: pl.Series) -> pl.Series:
    if feature.dtype.is_temporal():
        return feature.to_physical()
    if feature.dtype == pl.Boolean:
        return feature.cast(pl.Int8)
    return feature.fill_nan(None) if feature.dtype.is_float() else feature


def _categories(feature: pl.Series) -> np.ndarray:
    """A category number for every row, nulls a category of their own."""
    if feature.dtype.is_numeric() or feature.dtype.is_temporal():
        values = _ordinal(feature)
        share = (values.rank("average") - 0.5) / max(values.len() - values.null_count(), 1)
        return (share * BINS).floor().cast(pl.Int64).clip(0, BINS - 1).fill_null(BINS).to_numpy()
    text = feature.cast(pl.String) if not feature.dtype.is_nested() else pl.Series([str(value) for value in feature.to_list()])
    return (text.rank("dense").cast(pl.Int64)).fill_null(0).to_numpy()


def _target_rates(categories: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The share of positives of each row's category in the other folds, smoothed towards those folds' share."""
    codes, inverse = np.unique(categories, return_inverse=True)
    fold = np.arange(target.size) % FOLDS
    cell = inverse * FOLDS + fold
    size = codes.size * FOLDS
    rows = np.bincount(cell, minlength=size).reshape(-1, FOLDS)
    positives = np.bincount(cell, weights=target.astype(float), minlength=size).reshape(-1, FOLDS)
    others_rows = rows.sum(1, keepdims=True) - rows
    others_positives = positives.sum(1, keepdims=True) - positives
    overall = target.mean()
    rates = (others_positives + SMOOTHING * overall) / (others_rows + SMOOTHING)
    return np.asarray(rates[inverse, fold])
