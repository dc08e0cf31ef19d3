"""scikit-learn models that read a table with names and texts, not a matrix of numbers: pipelines fitted on a data frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from retrain_assets.bundle.encoding import BOOLEAN, CATEGORICAL, Encoding
from retrain_assets.bundle.skops_file import skops_bytes

Floats = npt.NDArray[np.float64]

TABLE_FILE = "model.table.skops"


class TablePredictor:
    """A fitted scikit-learn estimator that is given a pandas frame.

    Args:
        estimator: the estimator.
        task: the task of the bundle.
        encoding: names, kinds and categories of the features.
    """

    def __init__(self, estimator: Any, task: str, encoding: Encoding) -> None:
        self.estimator, self.task, self.encoding = estimator, task, encoding

    def predict(self, matrix: Floats) -> Floats:
        """See :class:`~retrain_assets.bundle.Predictor`."""
        frame = self.table(matrix)
        if self.task == "regression":
            return np.asarray(self.estimator.predict(frame), dtype=np.float64)
        probabilities = np.asarray(self.estimator.predict_proba(frame), dtype=np.float64)
        return probabilities[:, 1] if self.task == "binary_classification" else probabilities

    def table(self, matrix: Floats) -> Any:
        """The matrix as the frame it stands for: numbers, booleans where none is missing, texts; None for a missing text."""
        import pandas as pd  # type: ignore[import-untyped]

        columns: dict[str, Any] = {}
        for place, name in enumerate(self.encoding.names):
            values = matrix[:, place]
            if self.encoding.kinds[name] == CATEGORICAL:
                known = np.array([*self.encoding.categories[name], None], dtype=object)
                columns[name] = known[np.where(np.isnan(values), len(known) - 1, values).astype(np.int64)]
            elif self.encoding.kinds[name] == BOOLEAN and not np.isnan(values).any():
                columns[name] = values.astype(np.bool_)
            else:
                columns[name] = values
        return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})

    def file(self) -> tuple[str, bytes]:
        """See :class:`~retrain_assets.bundle.Predictor`."""
        return TABLE_FILE, skops_bytes(self.estimator)

    def importance(self) -> tuple[str, Floats]:
        """None: what a pipeline weighs are its own columns, not the features."""
        return "none", np.zeros(0)
