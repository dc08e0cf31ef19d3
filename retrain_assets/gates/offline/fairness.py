"""How differently a binary decision treats the groups of one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Rates of one group; ``tpr`` is None without positives, ``fpr`` without negatives: undefined is not zero."""

    group: str
    rows: int
    positives: int
    selection_rate: float
    tpr: float | None
    fpr: float | None


def group_rates(labels: Array, scores: Array, groups: Sequence[str] | Array, threshold: float) -> tuple[GroupRates, ...]:
    """Rates of every group, in the order of their names.

    Args:
        labels: 0/1, one a row.
        scores: score of the positive class, one a row.
        groups: name of the group, one a row.
        threshold: the positive decision is taken at or above this score.
    """
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    positive, selected = labels.astype(bool), scores >= threshold

    def count(rows: Array) -> Array:
        return np.bincount(member[rows], minlength=len(names))

    rows, positives = np.bincount(member, minlength=len(names)), count(positive)
    chosen, hits = count(selected), count(selected & positive)
    return tuple(
        GroupRates(
            group=str(name),
            rows=int(rows[k]),
            positives=int(positives[k]),
            selection_rate=float(chosen[k] / rows[k]),
            tpr=float(hits[k] / positives[k]) if positives[k] else None,
            fpr=float((chosen[k] - hits[k]) / (rows[k] - positives[k])) if rows[k] > positives[k] else None,
        )
        for k, name in enumerate(names)
    )


def largest_difference(rates: Sequence[GroupRates], rate: str) -> float | None:
    """Largest minus smallest value of one rate (``selection_rate``, ``tpr``, ``fpr``) over the groups that have it.

    Demographic parity difference, equal opportunity difference (Hardt, Price and Srebro, Equality of opportunity in
    supervised learning, NIPS 2016) and its counterpart for false alarms. None with fewer than two groups to compare.
    """
    values = [value for group in rates if (value := getattr(group, rate)) is not None]
    return max(values) - min(values) if len(values) > 1 else None
