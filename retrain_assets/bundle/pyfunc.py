"""The MLflow flavour of a bundle: ``mlflow.pyfunc`` calls :func:`_load_pyfunc` with the bundle's directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle.store import Bundle, load_bundle


class BundleModel:
    """A bundle behind MLflow's ``predict``: feature rows in, calibrated scores out."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> npt.NDArray[np.float64]:
        """Scores of a pandas or polars frame of features; see :meth:`Bundle.score`."""
        frame = model_input if isinstance(model_input, pl.DataFrame) else pl.from_pandas(model_input)
        return self.bundle.score(frame)


def _load_pyfunc(path: str) -> BundleModel:
    return BundleModel(load_bundle(Path(path)))
