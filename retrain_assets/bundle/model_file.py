"""The fitted model as a file and back, never a pickle: LightGBM and XGBoost in their own formats, scikit-learn estimators as
skops, Spark ML models as their coefficients or trees, a team's own classes with the digest of their source."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from retrain_assets.bundle.encoding import Encoding
from retrain_assets.bundle.own_file import OWN_FILE, estimator_file, read_own
from retrain_assets.bundle.skops_file import SKOPS_FILE, read_skops
from retrain_assets.bundle.spark_file import SPARK_FILE, read_spark
from retrain_assets.bundle.table_file import TABLE_FILE, TablePredictor
from retrain_assets.bundle.xgboost_file import XGBOOST_FILE, read_xgboost
from retrain_assets.contract import CustodyError

Floats = npt.NDArray[np.float64]

LIGHTGBM_FILE = "model.txt"
MODEL_FILES = (LIGHTGBM_FILE, SKOPS_FILE, TABLE_FILE, XGBOOST_FILE, SPARK_FILE, OWN_FILE)
_FEW_ROWS = 500


class Predictor(Protocol):
    """A fitted model: raw scores of a feature matrix."""

    def predict(self, matrix: Floats) -> Floats:
        """(n,) probability of the positive class or regression value; (n, classes) for a multiclass task."""
        ...

    def file(self) -> tuple[str, bytes]:
        """Name and bytes of the model file.

        Raises:
            StageError: when the model cannot be stored without pickle.
        """
        ...

    def importance(self) -> tuple[str, Floats]:
        """What the importances are (``gain``, ``impurity``, ``coefficient``, ``none``) and one value per feature."""
        ...


class LightGBMPredictor:
    """A LightGBM booster.

    Args:
        booster: the booster.
        threads: threads it scores with; None: one for few rows, all cores otherwise. LightGBM keeps their number for the whole
            process: beside a running fit it must be the fit's own, or that fit would go on with another number.
    """

    def __init__(self, booster: Any, threads: int | None = None) -> None:
        self.booster = booster
        self.threads = threads

    def predict(self, matrix: Floats) -> Floats:
        """See :class:`Predictor`."""
        threads = self.threads if self.threads is not None else 1 if len(matrix) < _FEW_ROWS else 0
        return np.asarray(self.booster.predict(matrix, num_threads=threads), dtype=np.float64)

    def file(self) -> tuple[str, bytes]:
        """See :class:`Predictor`."""
        return LIGHTGBM_FILE, self.booster.model_to_string(num_iteration=-1).encode()

    def importance(self) -> tuple[str, Floats]:
        """See :class:`Predictor`."""
        return "gain", np.asarray(self.booster.feature_importance(importance_type="gain"), dtype=np.float64)


class EstimatorPredictor:
    """A fitted scikit-learn style estimator."""

    def __init__(self, estimator: Any, task: str) -> None:
        self.estimator = estimator
        self.task = task

    def predict(self, matrix: Floats) -> Floats:
        """See :class:`Predictor`."""
        if self.task == "regression":
            return np.asarray(self.estimator.predict(matrix), dtype=np.float64)
        probabilities = np.asarray(self.estimator.predict_proba(matrix), dtype=np.float64)
        return probabilities[:, 1] if self.task == "binary_classification" else probabilities

    def file(self) -> tuple[str, bytes]:
        """See :class:`Predictor`."""
        return estimator_file(self.estimator)

    def importance(self) -> tuple[str, Floats]:
        """See :class:`Predictor`."""
        if (values := getattr(self.estimator, "feature_importances_", None)) is not None:
            return "impurity", np.asarray(values, dtype=np.float64)
        if (values := getattr(self.estimator, "coef_", None)) is not None:
            return "coefficient", np.abs(np.atleast_2d(np.asarray(values, dtype=np.float64))).mean(axis=0)
        return "none", np.zeros(0)


def read_model(
    directory: Path,
    task: str,
    threads: int | None = None,
    *,
    encoding: Encoding | None = None,
    packages: Collection[str] = (),
) -> Predictor:
    """The model of a bundle directory.

    Args:
        directory: the bundle's directory.
        task: its task.
        threads: threads a LightGBM or XGBoost model scores with; see :class:`LightGBMPredictor`.
        encoding: of its features; what a model that reads a table needs.
        packages: top-level packages whose classes the model may be of besides the libraries'.

    Raises:
        StageError: when it is a model of XGBoost, which is not installed here, or of a class that cannot be imported here.
        CustodyError: when there is no model file, it is not one this product wrote, or its classes are not the code that is here.
    """
    if (path := directory / LIGHTGBM_FILE).exists():
        import lightgbm

        try:
            return LightGBMPredictor(lightgbm.Booster(model_str=path.read_text()), threads)
        except lightgbm.basic.LightGBMError as error:
            raise CustodyError(f"is not a LightGBM model ({error})", where=str(path)) from error
    if (path := directory / SKOPS_FILE).exists():
        return EstimatorPredictor(read_skops(path.read_bytes(), str(path)), task)
    if (path := directory / TABLE_FILE).exists() and encoding is not None:
        return TablePredictor(read_skops(path.read_bytes(), str(path)), task, encoding)
    if (path := directory / OWN_FILE).exists():
        return EstimatorPredictor(read_own(path.read_bytes(), str(path), packages), task)
    if (path := directory / XGBOOST_FILE).exists():
        return read_xgboost(path.read_bytes(), str(path), threads)
    if (path := directory / SPARK_FILE).exists():
        return read_spark(path.read_bytes(), str(path), task)
    raise CustodyError(
        f"has none of {', '.join(MODEL_FILES)}", where=str(directory), remedy="take the bundle from the registry again"
    )
