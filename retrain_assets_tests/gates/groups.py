"""Rates of groups that a test gives by the name in each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrain_assets.gates.offline.fairness import GroupRates, rates_of_groups
from retrain_assets_tests.gates.scored import Array


def group_rates(
    labels: Array, scores: Array, groups: Sequence[str] | Array, threshold: float, units: Array | None = None
) -> tuple[GroupRates, ...]:
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return rates_of_groups(labels, scores, member, names, threshold, units)
