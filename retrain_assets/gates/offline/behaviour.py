"""What the candidate's predictions are like beyond its metrics: calibration, cost of its decisions, change from the champion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retrain_assets.contract import Contract
from retrain_assets.gates.offline.calibration import model_calibration
from retrain_assets.gates.offline.decision_threshold import decision_of
from retrain_assets.gates.offline.evaluation import Stability
from retrain_assets.gates.offline.slice_calibration import slice_calibration
from retrain_assets.gates.offline.slice_members import SliceMembers
from retrain_assets.gates.offline.stability import decision_stability, regression_stability

Array = np.ndarray


def behaviour(
    contract: Contract,
    labels: Array,
    candidate: Array,
    champion: Array | None,
    *,
    units: Array | None,
    members: Sequence[SliceMembers],
    classes: Sequence[Any] | None,
) -> dict[str, Any]:
    """The fields ``calibration``, ``slice_calibration``, ``decision`` and ``stability`` of an offline evaluation.

    Args:
        contract: task, limits, decision threshold.
        labels: as numbers, one a row, at least one row.
        candidate: scores of the candidate, of the task's shape.
        champion: the champion's, None without one.
        units: number of the unit of each row, 0..k-1, every number in use; None when every row is a unit of its own.
        members: rows of every slice; none when slices cannot be made.
        classes: names of the classes in the order of the scores.
    """
    offline = contract.gates.offline
    if contract.task == "regression":
        return {"stability": None if champion is None else regression_stability(labels, candidate, champion)}
    limit = offline.calibration.max_slice_bias if offline.calibration else None
    return {
        "calibration": model_calibration(labels, candidate, units=units, confidence=offline.confidence, classes=classes or ()),
        "slice_calibration": slice_calibration(labels, candidate, members, units=units, limit=limit),
        "decision": decision_of(labels, candidate, champion, contract.decision.threshold) if contract.decision else None,
        "stability": None if champion is None else _stability(contract, candidate, champion, members, units),
    }


def _stability(
    contract: Contract, candidate: Array, champion: Array, members: Sequence[SliceMembers], units: Array | None
) -> Stability:
    limits = contract.gates.offline.stability
    return decision_stability(
        candidate,
        champion,
        members,
        threshold=contract.decision.threshold if contract.decision else 0.5,
        units=units,
        limit=limits.max_slice_flips if limits else None,
    )
