"""The losses of a candidate and of what could be said without one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrain_assets.compute.fitting import Labels
from retrain_assets.contract import Contract
from retrain_assets.gates import metric_value

Floats = npt.NDArray[np.float64]


def loss_of(contract: Contract, labels: Labels, scores: Floats) -> float | None:
    """Log loss (classification) or mean squared error (regression); None where it is not defined."""
    return metric_value("mean_squared_error" if contract.task == "regression" else "log_loss", labels.values, scores)


def constant_scores(contract: Contract, known: Labels, rows: int) -> Floats:
    """The same score for every row: the shares of the classes, or the mean, of the known labels.

    Args:
        contract: the task.
        known: labels the rate is taken from, at least one; a class that is not among them keeps a share above 0 (one row is added
            to each class, the rule of succession), or one surprise would make the loss infinite.
        rows: how many scores.
    """
    if contract.task == "regression":
        return np.full(rows, known.values.mean())
    counts = np.bincount(known.codes, minlength=len(known.classes))
    shares = (counts + (0 if counts.all() else 1)) / (counts.sum() + (0 if counts.all() else len(counts)))
    return np.full(rows, shares[1]) if contract.task == "binary_classification" else np.tile(shares, (rows, 1))
