"""How well one feature alone separates the label: the tell-tale of a leak, beside what permuted labels reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.features.cells import Cells, Codes, Rows, shuffles
from retrain_assets.gates.limits import TABLE_ROWS, at_most, listed, number

FOLDS = 5
"""Folds of the out-of-fold target rates."""
BINS = 20
"""Equal-mass bins of a numeric feature for its target rates, nulls a bin of their own."""
SMOOTHING = 20.0
"""Rows of the overall rate mixed into each category's rate (Micci-Barreca 2001, section 3)."""
PERMUTATIONS = 5
"""Permutations of the labels of which the largest area is the level that chance reaches."""
SHOWN = 3.0
"""Standard errors by which an area must be above the limit before it is a leak and not the luck of few labels."""

Targets = Sequence[npt.NDArray[np.bool_]]


def no_single_feature_separates_label(
    cells: Mapping[str, Cells],
    windows: Mapping[str, slice],
    targets: Mapping[str, Targets],
    contract: Contract,
    known_label: Callable[[], float | None] = lambda: None,
) -> Verdict:
    """No feature alone reaches more than ``gates.data.max_feature_auc``, in either window, by three standard errors (J. Hanley,
    B. McNeil, The meaning and use of the area under a ROC curve, Radiology 143, 1982) and more than permuted labels do.

    An area of training above the limit that is not shown to be is inconclusive; one of the hold-out alone is told.

    Where the known labels of a unit separate its next one by themselves, the limit is raised to the middle between that area
    and 1: features of honest history reach as much. Features of ``gates.data.vetted_features`` may separate as they do.

    Args:
        cells: features of the labelled rows of both windows.
        windows: where the rows of ``train`` and ``holdout`` stand in them.
        targets: per window the label as yes/no questions.
        contract: the limit, the label's name.
        known_label: area that the unit's known labels reach alone; asked only where a feature is above the limit.
    """
    check, limit = "no_single_feature_separates_label", contract.gates.data.max_feature_auc
    table: list[dict[str, Any]] = []
    chances = {window: _chances(targets[window]) for window in windows}
    for name, feature in cells.items():
        found: dict[str, tuple[float, float, float]] = {}
        for window, rows in windows.items():
            positives = [np.flatnonzero(target) for target in _judged(targets[window])]
            area = _areas(feature, rows, positives, chances[window], limit)
            if area is not None:
                found[window] = area
        if found:
            auc, chance, _ = max(found.values())
            shown = max(area[2] for area in found.values())
            row: dict[str, Any] = {"feature": name, "auc": auc, "auc_by_chance": chance, "auc_at_least": shown}
            row |= {f"auc_{window}": found[window][0] if window in found else None for window in windows}
            table.append(row | {"vetted": name in contract.gates.data.vetted_features})
    looked = {f"{window}_rows_looked_at": rows.stop - rows.start for window, rows in windows.items()}
    if not table:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "no window has labels of two kinds to separate", None, limit, looked)
    table.sort(key=lambda row: (row["vetted"], -row["auc"], row["feature"]))
    history = known_label() if table[0]["auc"] > limit and not table[0]["vetted"] else None
    limit = max(limit, (1 + history) / 2) if history is not None else limit
    above = [row for row in table if row["auc"] > limit and not row["vetted"]]
    leaks = [row for row in above if row["auc_at_least"] > limit and row["auc"] > row["auc_by_chance"]]
    untold = [row for row in above if (row.get("auc_train") or 0.5) > limit]
    evidence = {"features": table[:TABLE_ROWS], "features_total": len(table), "above_limit": len(above), **looked}
    evidence["auc_of_known_labels"] = history
    if leaks:
        words = listed([f"{row['feature']} (AUC {number(row['auc'])})" for row in leaks])
        message = (
            f"{words} alone separates {contract.source.label} better than {number(limit)}; find out whether it is known before "
            "the prediction: remove it if not, name it in gates.data.vetted_features if it is"
        )
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, leaks[0]["auc"], limit, evidence)
    if untold:
        row = untold[0]
        message = (
            f"{row['feature']} separates {contract.source.label} with AUC {number(row['auc'])}, above {number(limit)}, but with "
            f"so few labels of a kind only {number(row['auc_at_least'])} is certain, and permuted labels reach "
            f"{number(row['auc_by_chance'])}; lengthen window.train"
        )
        return Verdict(Gate.DATA, check, Outcome.INCONCLUSIVE, message, row["auc"], limit, evidence)
    if table[0]["vetted"]:
        message = "every feature is in gates.data.vetted_features; nothing was judged"
        return Verdict(Gate.DATA, check, Outcome.PASS, message, None, limit, evidence)
    if above:
        row = above[0]
        message = (
            f"{row['feature']} has AUC {number(row['auc_train'])} in training, at most {number(limit)} is allowed; that of the "
            f"hold-out, {number(row['auc_holdout'])}, stands on few labels of a kind and shows only {number(row['auc_at_least'])}"
        )
        return Verdict(Gate.DATA, check, Outcome.PASS, message, row["auc_train"], limit, evidence)
    what = f"AUC of the most separating feature ({table[0]['feature']}; chance reaches {number(table[0]['auc_by_chance'])})"
    return at_most(Gate.DATA, check, table[0]["auc"], limit, what=what, evidence=evidence)


def single_feature_auc(feature: pl.Series, targets: Targets) -> float | None:
    """The largest area under the ROC curve that this feature alone reaches on any of the targets.

    Every feature is tried as categories: each row gets the smoothed share of positives of its category among the
    rows of the other folds (target-rate encoding, Micci-Barreca, A preprocessing scheme for high-cardinality
    categorical attributes, SIGKDD Explorations 2001); an identifier with one row a category therefore scores 0.5.
    A numeric feature is cut into twenty equal-mass bins for that, which finds a relation in any shape, and is also
    tried by its order in either direction, with nulls below or above all values, which finds a thin monotone one.

    Args:
        feature: one value a row; numeric, Boolean, temporal, text or categorical.
        targets: Boolean arrays, one value a row, as ``binary_targets`` gives them.

    Returns:
        A number from 0.5 to 1; None when no target has both classes.
    """
    found = _areas(Cells.of(feature), slice(0, len(feature)), [np.flatnonzero(target) for target in _judged(targets)], [], 0.5)
    return None if found is None else found[0]


def _judged(targets: Targets) -> list[npt.NDArray[np.bool_]]:
    return [target for target in targets if 0 < target.sum() < target.size]


def _chances(targets: Targets) -> list[Rows]:
    """For each target and permutation the positions of the rows that permuted labels make positive."""
    judged = _judged(targets)
    sizes = sorted({int(target.sum()) for target in judged})
    return [order[:size] for order in shuffles(judged[0].size, PERMUTATIONS) for size in sizes] if judged else []


def _areas(
    cells: Cells, window: slice, targets: Sequence[Rows], chances: Sequence[Rows], limit: float
) -> tuple[float, float, float] | None:
    """Largest area on the targets and on the permuted ones, both as positions of positive rows, and what of it is certain."""
    if not targets:
        return None
    codes = cells.codes[window]
    rows = np.bincount(codes, minlength=cells.size)
    bin_of_code, bins = cells.bins(rows, BINS)
    folded = bin_of_code[codes] * FOLDS + np.arange(codes.size) % FOLDS
    folded_rows = np.bincount(folded, minlength=bins * FOLDS)

    def area(positives: Rows) -> float:
        found = [_area_of_rates(folded_rows, np.bincount(folded[positives], minlength=bins * FOLDS))]
        if cells.ordered:
            hits = np.bincount(codes[positives], minlength=cells.size)
            found.append(_area(hits, rows))
            if rows[0]:
                found.append(_area(np.roll(hits, -1), np.roll(rows, -1)))
        return max(max(value, 1 - value) if at else value for at, value in enumerate(found))

    found = [area(target) for target in targets]
    certain = [one - SHOWN * _standard_error(limit, len(target), codes.size) for one, target in zip(found, targets, strict=True)]
    return max(0.5, *found), max(0.5, 0.5, *map(area, chances)), max(0.5, *certain)


def _standard_error(area: float, positives: int, rows: int) -> float:
    """Standard error of an area (Hanley and McNeil 1982, the bound that assumes exponential scores)."""
    negatives = rows - positives
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return math.sqrt(spread / (positives * negatives))


def _area(positives: Codes, rows: Codes) -> float:
    """Area under the ROC curve from counts per score in ascending order, ties counted one half."""
    negatives = rows - positives
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum() / (float(positives.sum()) * float(negatives.sum())))


def _area_of_rates(rows: Codes, positives: Codes) -> float:
    rates = _target_rates(rows, positives)
    held = np.flatnonzero(rows)
    _, place = np.unique(rates[held], return_inverse=True)
    size = int(place.max()) + 1
    tied = np.bincount(place, weights=positives[held], minlength=size), np.bincount(place, weights=rows[held], minlength=size)
    return _area(*tied)


def _target_rates(rows: Codes, positives: Codes) -> npt.NDArray[np.float64]:
    """For each category and fold the share of positives of the category in the other folds, smoothed towards the overall share.

    Args:
        rows: rows per category and fold, the folds of a category side by side.
        positives: positive rows, likewise.
    """
    overall = positives.sum() / rows.sum()
    by_category, hits = rows.reshape(-1, FOLDS), positives.reshape(-1, FOLDS)
    others_rows = by_category.sum(1, keepdims=True) - by_category
    others_positives = hits.sum(1, keepdims=True) - hits
    return np.asarray((others_positives + SMOOTHING * overall) / (others_rows + SMOOTHING)).ravel()
