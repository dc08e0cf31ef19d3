"""A model as MLflow keeps it, on this disk: what it says of itself, how it is loaded, and the scores MLflow gives with it.

Nothing is loaded before what stands in its files is known to be safe: a pickle, code that comes with the model and types that
skops does not know need the word of a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain_assets.bundle.skops_file import TRUSTED_TYPES
from retrain_assets.contract import StageError, first_line

Floats = npt.NDArray[np.float64]

FLAVORS = ("lightgbm", "xgboost", "sklearn")
"""Flavors that become a bundle, the more special ones first."""

NATIVE = (".lgb", ".txt", ".ubj", ".json", ".xgb")
"""Endings of the formats of LightGBM and XGBoost, which hold numbers and no code."""

SAFE_TYPES = frozenset(
    {
        *TRUSTED_TYPES,
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRegressor",
    }
)
"""Types besides skops' own that a model of another system may hold and be read without anybody's word."""

TRUST = "if you know who wrote it, say so: --trust-pickle"


@dataclass(frozen=True, slots=True)
class MLflowModel:
    """What an MLflow model says of itself.

    Args:
        directory: the folder with its ``MLmodel``.
        flavor: one of :data:`FLAVORS`.
        library: library and version it was made with, as MLflow noted.
        inputs: name and MLflow type of each column, in order; empty where it has no signature with names.
        unsafe: why loading it can run code of whoever wrote it; None when it cannot.
        predicts: name of the method behind MLflow's ``predict``.
    """

    directory: Path
    flavor: str
    library: str
    inputs: tuple[tuple[str, str], ...]
    unsafe: str | None
    predicts: str

    @classmethod
    def read(cls, directory: Path) -> MLflowModel:
        """What stands in a folder; loads nothing.

        Raises:
            StageError: when there is no MLmodel, none of its flavors becomes a bundle, or its signature has no names.
        """
        import yaml

        where = str(directory / "MLmodel")
        try:
            said = yaml.safe_load((directory / "MLmodel").read_text(encoding="utf-8"))
            flavors = dict(said["flavors"])
            signature = said.get("signature") or {}
            columns = json.loads(signature.get("inputs") or "[]")
        except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise StageError(f"is no MLflow model ({first_line(error)})", where=where, remedy="name a logged model") from error
        flavor = next((name for name in FLAVORS if name in flavors), None)
        if flavor is None:
            raise StageError(
                f"has the flavors {', '.join(sorted(flavors)) or 'none'}",
                where=where,
                remedy=f"only {', '.join(FLAVORS)} can be adopted; for others write a trainer of your own and retrain",
            )
        if any("name" not in column for column in columns):
            raise StageError(
                "has a signature without names of columns",
                where=where,
                remedy="give it one that names them: mlflow.models.set_signature(uri, infer_signature(frame))",
            )
        facts = flavors[flavor]
        version = next((value for key, value in facts.items() if key.endswith("_version")), "of unknown version")
        return cls(
            directory,
            flavor,
            f"{flavor} {version}",
            tuple((str(column["name"]), str(column["type"])) for column in columns),
            _unsafe(directory, facts, flavors.get("python_function", {})),
            str(flavors.get("python_function", {}).get("predict_fn", "predict")),
        )

    def load(self, *, trust_pickle: bool) -> LoadedModel:
        """The model, loaded by MLflow.

        Raises:
            StageError: when it is not safe and nobody has said that it is, or MLflow cannot load it.
        """
        if self.unsafe is not None and not trust_pickle:
            raise StageError(f"is not loaded: {self.unsafe}", where=str(self.directory), remedy=TRUST)
        import mlflow.pyfunc
        from mlflow.exceptions import MlflowException

        try:
            loaded = mlflow.pyfunc.load_model(str(self.directory))
            return LoadedModel(self, loaded, loaded.get_raw_model())
        except (MlflowException, ImportError, AttributeError, TypeError, ValueError, OSError) as error:
            raise StageError(
                f"cannot be loaded by MLflow here ({first_line(error)})",
                where=str(self.directory),
                remedy=f"install what it was made with: {self.library}",
            ) from error


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """An MLflow model in memory.

    Args:
        about: what it says of itself.
        pyfunc: MLflow's face of it.
        raw: the model itself: a booster or an estimator.
    """

    about: MLflowModel
    pyfunc: Any
    raw: Any

    @property
    def estimator(self) -> str:
        """Import path of the model's class."""
        return f"{type(self.raw).__module__}.{type(self.raw).__qualname__}"

    def scores(self, frame: Any, task: str) -> tuple[Floats, str]:
        """What MLflow says of some rows, and by which method, in words.

        MLflow's ``predict`` of a classifier of scikit-learn's kind gives classes; then the scores are its ``predict_proba``, and
        the classes are held against them.

        Args:
            frame: pandas frame in the types of the signature.
            task: the task of the bundle.

        Raises:
            StageError: when MLflow cannot score the rows, or its classes are not the likeliest of its own probabilities.
        """
        where = str(self.about.directory)
        try:
            said = np.asarray(self.pyfunc.predict(frame))
            if task == "regression" or not self._gives_classes():
                found, how = np.asarray(said, dtype=np.float64), "mlflow.pyfunc predict"
            else:
                found = np.asarray(self.raw.predict_proba(frame), dtype=np.float64)
                how = "predict_proba of the model that mlflow.pyfunc loads, whose predict gives classes"
                likeliest = np.asarray(self.raw.classes_)[found.argmax(axis=1)]
                if not np.array_equal(said.ravel().astype(likeliest.dtype), likeliest):
                    raise ValueError("its classes are not the likeliest by its own probabilities")
        except Exception as error:
            raise StageError(
                f"MLflow cannot score rows of these features ({type(error).__name__}: {first_line(error)})",
                where=where,
                remedy="make the features as they were made when the model was fitted",
            ) from error
        if task == "binary_classification" and found.ndim == 2:
            found = found[:, -1]
        return (found.ravel() if task != "multiclass" else found), how

    def _gives_classes(self) -> bool:
        return hasattr(self.raw, "predict_proba") and self.about.predicts == "predict"


def _unsafe(directory: Path, facts: Mapping[str, Any], face: Mapping[str, Any]) -> str | None:
    loader = str(face.get("loader_module", ""))
    if loader not in {f"mlflow.{name}" for name in FLAVORS}:
        return f"its loader {loader or '(none)'} is not MLflow's own"
    if face.get("code") or facts.get("code"):
        return "code comes with it that would be run"
    data = str(face.get("data") or facts.get("data") or facts.get("pickled_model") or "")
    path = directory / data
    if not path.resolve().is_relative_to(directory.resolve()):
        return "its data lie outside its folder"
    how = str(facts.get("serialization_format") or "pickle")
    if path.suffix in NATIVE:
        return None
    if path.suffix == ".skops":
        from skops.io import get_untrusted_types

        unknown = sorted(set(get_untrusted_types(file=path)) - SAFE_TYPES)
        return f"it holds types that are not known to be data: {', '.join(unknown)}" if unknown else None
    return f"it is a {how}, and reading a pickle runs whatever its writer put in"
