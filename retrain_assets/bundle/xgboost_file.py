"""XGBoost models as the library's own JSON: fitted on one machine or on Spark, scored by XGBoost without Spark."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain_assets.contract import CustodyError, StageError

Floats = npt.NDArray[np.float64]

XGBOOST_FILE = "model.xgboost.json"


class XGBoostPredictor:
    """An XGBoost booster.

    Args:
        booster: the booster.
        threads: threads it scores with; None: one.
    """

    def __init__(self, booster: Any, threads: int | None = None) -> None:
        self.booster = booster
        booster.set_param({"nthread": threads or 1})

    def predict(self, matrix: Floats) -> Floats:
        """See :class:`~retrain_assets.bundle.Predictor`."""
        return np.asarray(self.booster.inplace_predict(matrix, missing=np.nan, validate_features=False), dtype=np.float64)

    def file(self) -> tuple[str, bytes]:
        """See :class:`~retrain_assets.bundle.Predictor`."""
        return XGBOOST_FILE, bytes(self.booster.save_raw(raw_format="json"))

    def importance(self) -> tuple[str, Floats]:
        """See :class:`~retrain_assets.bundle.Predictor`; of a linear booster the size of its coefficients."""
        try:
            kind, found = "gain", self.booster.get_score(importance_type="total_gain")
        except _xgboost("a model").core.XGBoostError:
            kind, found = "coefficient", self.booster.get_score(importance_type="weight")
        names = self.booster.feature_names or [f"f{place}" for place in range(self.booster.num_features())]
        return kind, np.array([np.mean(np.abs(found.get(name, 0.0))) for name in names], dtype=np.float64)


def read_xgboost(data: bytes, where: str, threads: int | None = None) -> XGBoostPredictor:
    """The model of an XGBoost file.

    Args:
        data: contents of the file.
        where: the file, for messages.
        threads: threads it scores with.

    Raises:
        StageError: when XGBoost is not installed here.
        CustodyError: when it is no model of XGBoost.
    """
    xgboost = _xgboost(where)
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(data))
    except xgboost.core.XGBoostError as error:
        said = str(error).strip().splitlines()[-1]
        raise CustodyError(f"is not an XGBoost model ({said})", where=where) from error
    return XGBoostPredictor(booster, threads)


def require_xgboost(where: str) -> None:
    """Nothing, where XGBoost is installed.

    Raises:
        StageError: with what to install.
    """
    if find_spec("xgboost") is None:
        raise StageError(
            "needs XGBoost, which is not installed",
            where=where,
            remedy="install xgboost (or xgboost-cpu) wherever the model is trained, judged or served",
        )


def _xgboost(where: str) -> Any:
    require_xgboost(where)
    import xgboost

    return xgboost
