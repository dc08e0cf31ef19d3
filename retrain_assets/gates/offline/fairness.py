"""How differently a binary decision, and the score behind it, treat the groups of one column: rates by fairlearn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrain_assets.gates.offline.beyond_chance import alikeness, design_effect

Array = np.ndarray
GROUPS_LISTED = 50
"""Groups per column that are looked at, largest first."""


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Rates of one group; ``tpr`` is None without positives, ``fpr`` without negatives: undefined is not zero.

    ``calibration`` is mean prediction minus share of positives. The ``effective`` counts are the denominators of the rates as
    independent rows would have them: fewer than counted where rows of one unit are alike.
    """

    group: str
    rows: int
    positives: int
    selection_rate: float
    tpr: float | None
    fpr: float | None
    calibration: float | None = None
    calibration_error: float | None = None
    """Standard error of ``calibration``."""
    effective_rows: float | None = None
    effective_positives: float | None = None
    effective_negatives: float | None = None


def rates_of_groups(
    labels: Array, scores: Array, member: Array, names: Array, threshold: float, units: Array | None = None
) -> tuple[GroupRates, ...]:
    """Rates of the largest 50 groups, in the order of their names.

    The rates are fairlearn's (Weerts et al., Fairlearn: assessing and improving fairness of AI systems, JMLR 2023), on rows
    counted by group, label and decision, so that their cost does not grow with the rows. Effective counts are those of Korn and
    Graubard (Confidence intervals for proportions with small expected number of positive counts, Survey Methodology 1998).

    Args:
        labels: 0/1, one a row, at least one.
        scores: score of the positive class, one a row.
        member: number of the group, 0..k-1, one a row.
        names: name of the group of each number.
        threshold: the positive decision is taken at or above this score.
        units: number of the unit of every row, 0..k-1; None when every row is a unit of its own.
    """
    sizes = np.bincount(member, minlength=len(names))
    kept = np.lexsort((names, -sizes))[:GROUPS_LISTED]
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    inside = place[member]
    order = np.argsort(inside, kind="stable")
    rows_of = np.split(order, np.cumsum(sizes[kept]))
    positive, selected = labels.astype(bool), scores >= threshold
    cells = _cells(inside, positive, selected, len(kept))
    rates = _by_fairlearn(cells)
    alike = _alike(inside, positive, selected, scores - labels, units)
    found = []
    for k in np.argsort(names[kept]):
        rows = rows_of[k]
        mine = None if units is None else units[rows]
        hit, chosen, residual = positive[rows], selected[rows], scores[rows] - labels[rows]
        positives = int(hit.sum())
        found.append(
            GroupRates(
                group=str(names[kept[k]]),
                rows=len(rows),
                positives=positives,
                selection_rate=rates["selection_rate"][k],
                tpr=rates["tpr"][k] if positives else None,
                fpr=rates["fpr"][k] if positives < len(rows) else None,
                calibration=float(residual.mean()),
                calibration_error=_error_of_mean(residual, mine, alike[3]),
                effective_rows=_effective(chosen, mine, alike[0]),
                effective_positives=_effective(chosen[hit], None if mine is None else mine[hit], alike[1]),
                effective_negatives=_effective(chosen[~hit], None if mine is None else mine[~hit], alike[2]),
            )
        )
    return tuple(found)


def _cells(member: Array, positive: Array, selected: Array, groups: int) -> Array:
    """Rows counted by group, label and decision: groups x 2 x 2. Rows of other groups have a number beyond them."""
    counted = np.bincount(member * 4 + positive * 2 + selected, minlength=(groups + 1) * 4)
    return counted[: groups * 4].reshape(groups, 2, 2)


def _by_fairlearn(cells: Array) -> dict[str, list[float]]:
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    groups = len(cells)
    metrics = {"selection_rate": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}
    frame = MetricFrame(
        metrics=metrics,
        y_true=np.tile([0, 0, 1, 1], groups),
        y_pred=np.tile([0, 1, 0, 1], groups),
        sensitive_features=np.repeat(np.arange(groups), 4),
        sample_params={name: {"sample_weight": cells.ravel()} for name in metrics},
    )
    by_group = frame.by_group
    return {name: [float(by_group[name][k]) for k in range(groups)] for name in metrics}


def _alike(
    member: Array, positive: Array, selected: Array, residuals: Array, units: Array | None
) -> tuple[float, float, float, float]:
    """How alike rows of a unit are within groups: in being selected (of all, positives, negatives) and in the residual."""
    if units is None:
        return 0.0, 0.0, 0.0, 0.0

    def within(values: Array, rows: Array) -> float:
        part, group = values[rows].astype(float), member[rows]
        held = np.bincount(group)
        means = np.bincount(group, weights=part) / np.maximum(held, 1)
        return alikeness(part - means[group], units[rows])

    every = np.ones(len(member), dtype=bool)
    return within(selected, every), within(selected, positive), within(selected, ~positive), within(residuals, every)


def _effective(hits: Array, units: Array | None, alike: float) -> float:
    return len(hits) / design_effect(hits.astype(float), units, alike)


def _error_of_mean(values: Array, units: Array | None, alike: float) -> float | None:
    if len(values) < 2:
        return None
    return float(np.sqrt(values.var(ddof=1) / len(values) * design_effect(values, units, alike)))
