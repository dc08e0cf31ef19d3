"""Labels, units and scores of the hold-out as numbers, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.gates.limits import counted, listed
from retrain_assets.gates.offline.slice_members import value_codes

Array = np.ndarray
LARGEST = 1e100
"""Largest amount of a regression; the squares of what is beyond are not far from infinity."""
SUMS_TO_ONE = 1e-3
"""By how much class probabilities of a row may miss 1; else a model that is sure of every class has a log loss of 0."""


def label_numbers(labels: pl.Series, task: str, scores: Array, classes: Sequence[Any] | None) -> tuple[Array, str]:
    """Labels as numbers: of a regression as they are, otherwise the position of the class; and what is wrong with them.

    Args:
        labels: without nulls.
        task: as in the contract.
        scores: the candidate's, of the same rows.
        classes: the label's values in the order of the scores; 0..k-1 when None.
    """
    if task == "regression":
        if not labels.dtype.is_numeric():
            return np.empty(0), f"the label is {labels.dtype}; a regression needs numbers"
        amounts = labels.cast(pl.Float64).to_numpy()
        if not np.isfinite(amounts).all():
            return amounts, "the label has values that are not finite"
        return amounts, f"the label has values beyond {LARGEST:g}" if np.abs(amounts).max(initial=0.0) > LARGEST else ""
    if (scores.ndim == 2) != (task == "multiclass"):
        return np.empty(0), f"scores have {scores.ndim} dimensions; {task} needs {2 if task == 'multiclass' else 1}"
    order = list(classes) if classes is not None else list(range(scores.shape[1] if scores.ndim == 2 else 2))
    if scores.ndim == 2 and len(order) != scores.shape[1]:
        return np.empty(0), f"scores have {scores.shape[1]} columns for {counted(len(order), 'class')}"
    try:
        codes, _ = value_codes(labels)
    except ValueError as error:
        return np.empty(0), str(error)
    first = np.empty(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    known = {value: position for position, value in enumerate(order)}
    values = [_hashable(labels[int(row)]) for row in first]
    if foreign := sorted({str(value) for value in values if value not in known}):
        return np.empty(0), f"labels {listed(foreign)} are not among the classes {listed([str(value) for value in order])}"
    return np.array([known[value] for value in values], dtype=float)[codes], ""


def score_problem(candidate: Array, champion: Array | None, task: str) -> str:
    """What makes the scores of one of the models unusable; nothing when both are fine."""
    for who, scores in (("candidate", candidate), ("champion", champion)):
        if scores is None:
            continue
        if scores.shape != candidate.shape:
            return f"the {who}'s scores have shape {scores.shape}, the candidate's {candidate.shape}"
        by_row = scores if scores.ndim == 2 else scores[:, None]
        if broken := int((~np.isfinite(by_row)).any(axis=1).sum()):
            return f"the {who}'s score is not a finite number in {counted(broken, 'row')}"
        if task == "regression" and (absurd := int((np.abs(scores) > LARGEST).sum())):
            return f"the {who}'s score is beyond {LARGEST:g} in {counted(absurd, 'row')}; its squares could not be summed"
        if task != "regression" and (outside := int(((by_row < 0) | (by_row > 1)).any(axis=1).sum())):
            return f"the {who}'s score is outside 0..1 in {counted(outside, 'row')}; a probability is needed"
        if scores.ndim == 2 and (apart := int((np.abs(scores.sum(axis=1) - 1) > SUMS_TO_ONE).sum())):
            return f"the {who}'s probabilities of the classes do not sum to 1 in {counted(apart, 'row')}"
    return ""


def unit_numbers(units: pl.Series) -> tuple[Array, str]:
    """The number of the unit of every row, 0..k-1, every number in use, and what is wrong with them.

    Rows without a unit are together one unit, the cautious reading.
    """
    try:
        if units.null_count() == 0 and units.n_unique() == len(units):
            return np.arange(len(units)), ""
        return value_codes(units)[0], ""
    except (ValueError, pl.exceptions.PolarsError):
        return np.empty(0, dtype=np.int64), f"units in {units.name} are {units.dtype} and cannot be told apart"


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
