"""The estimator of a contract: made from its import path, with what makes its fits repeatable, and what a record says of it."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import numpy as np

from retrain_assets.bundle import require_xgboost
from retrain_assets.compute.code import import_path, source_digest
from retrain_assets.compute.side_by_side import usable_cores, workers_for
from retrain_assets.contract import StageError, Trainer

FIXED_THREADS = 2
"""Threads of a LightGBM or XGBoost fit where the contract sets none: fixed, because their number can change the model file."""

_THREADS = ("n_jobs", "num_threads", "num_thread", "nthread", "nthreads")
_DISTRIBUTIONS = {
    "lightgbm": ("lightgbm",),
    "sklearn": ("scikit-learn",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "pyspark": ("pyspark", "pyspark-client", "databricks-connect"),
}

_CLASSIFICATION = ("LogisticRegression", "DecisionTreeClassifier", "RandomForestClassifier", "GBTClassifier")
_REGRESSION = ("LinearRegression", "DecisionTreeRegressor", "RandomForestRegressor", "GBTRegressor")

FITTED_BY_SPARK = (
    "xgboost.spark.SparkXGBClassifier",
    "xgboost.spark.SparkXGBRegressor",
    *(f"pyspark.ml.classification.{name}" for name in _CLASSIFICATION),
    *(f"pyspark.ml.regression.{name}" for name in _REGRESSION),
)
"""Estimators that a Spark session fits, whose models are stored and scored without Spark."""


def make_estimator(trainer: Trainer, **more: Any) -> Any:
    """The unfitted estimator.

    Args:
        trainer: estimator and its parameters.
        more: parameters that say how it is given its rows.

    Raises:
        StageError: when it cannot be imported or does not take its parameters.
    """
    if is_fitted_by_spark(trainer) and trainer.estimator not in FITTED_BY_SPARK:
        raise StageError(
            "is no estimator whose model can be stored and scored without Spark",
            where=f"trainer.estimator {trainer.estimator}",
            remedy=f"write one of {', '.join(FITTED_BY_SPARK)}, or one that fits on one machine",
        )
    if trainer.estimator.startswith("xgboost."):
        require_xgboost(f"trainer.estimator {trainer.estimator}")
    factory = import_path(trainer.estimator, "trainer.estimator")
    params = keyword_arguments(trainer) | more
    try:
        return factory(**params)
    except (AttributeError, TypeError, ValueError) as error:
        raise StageError(
            f"cannot be made with {', '.join(params)}: {error}",
            where=f"trainer.estimator {trainer.estimator}",
            remedy="correct trainer.params",
        ) from error


def keyword_arguments(trainer: Trainer) -> dict[str, Any]:
    """What the estimator is made with: the contract's parameters, and what makes the fit repeatable."""
    return dict(trainer.params) | _repeatable(trainer)


def complete_params(trainer: Trainer) -> dict[str, Any]:
    """Every parameter of the estimator, JSON-able: what it is made with, and its defaults for the rest where it can say them.

    Raises:
        StageError: as :func:`make_estimator`.
    """
    estimator = make_estimator(trainer)
    if is_fitted_by_spark(trainer):
        defaults = {param.name: value for param, value in estimator.extractParamMap().items()}
    else:
        defaults = estimator.get_params() if hasattr(estimator, "get_params") else {}
    return {name: _plain(value) for name, value in {**defaults, **keyword_arguments(trainer)}.items()}


def threads_of(trainer: Trainer) -> int:
    """Threads one fit uses: as its parameters say; all usable cores where they say so or the estimator cannot be told."""
    for name in _THREADS:
        if name in (params := keyword_arguments(trainer)):
            asked = params[name]
            return int(asked) if isinstance(asked, int) and asked > 0 else usable_cores()
    return usable_cores() if "HistGradientBoosting" in trainer.estimator else 1


def fits_at_once(trainer: Trainer) -> int:
    """How many fits may run at the same time: what the cores hold, and one where fits could meet in a global generator, or each
    have the whole Spark session."""
    if is_fitted_by_spark(trainer):
        return 1
    return workers_for(threads_of(trainer)) if _draws_from_its_own(trainer) else 1


def room_beside_a_fit(trainer: Trainer) -> bool:
    """Whether a core is left while one fit runs. Threads of a fit that have to share a core wait for each other busily."""
    return usable_cores() > threads_of(trainer)


@contextmanager
def repeatable_draws(trainer: Trainer) -> Iterator[None]:
    """For estimators that may draw from Python's or numpy's global generator: both seeded for the block, and as before after it.

    LightGBM and scikit-learn estimators with a seed have generators of their own; for them nothing is done, so that their fits
    can run side by side.
    """
    if _draws_from_its_own(trainer):
        yield
        return
    python, arrays = random.getstate(), np.random.get_state()
    random.seed(trainer.seed)
    np.random.seed(trainer.seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


def estimator_version(trainer: Trainer) -> str:
    """``package version`` of a library's estimator; of others also the digest of the source, which may change without one.

    Raises:
        StageError: when it is of no package and has no source file.
    """
    root = trainer.estimator.partition(".")[0]
    if root in _DISTRIBUTIONS:
        return " ".join(_release(root))
    released = [f"{name} {version(name)}" for name in packages_distributions().get(root, [])[:1]]
    try:
        source = [f"source {source_digest(trainer.estimator, 'trainer.estimator')}"]
    except StageError:
        if not released:
            raise
        source = []
    return ", ".join(released + source)


def scoring_packages(trainer: Trainer) -> list[str]:
    """Packages that score the estimator's model, beyond those every bundle names."""
    if not trainer.estimator.startswith("xgboost."):
        return []
    return [_release("xgboost")[0]]


def is_lightgbm(estimator: Any) -> bool:
    """Whether an estimator is LightGBM's own."""
    return type(estimator).__module__.startswith("lightgbm.")


def is_xgboost(estimator: Any) -> bool:
    """Whether an estimator is XGBoost's own, for one machine."""
    return type(estimator).__module__ == "xgboost.sklearn"


def is_fitted_by_spark(trainer: Trainer) -> bool:
    """Whether the contract names an estimator that needs a Spark session."""
    return trainer.estimator.startswith(("pyspark.", "xgboost.spark."))


def needs_spark(where: str) -> StageError:
    """The error of a stage on one machine whose estimator a Spark session fits."""
    return StageError(
        "is fitted by a Spark session, and this stage runs on one machine",
        where=where,
        remedy="write compute: {spark: {stages: [training, evaluation]}}, or engine: spark below compute.databricks",
    )


def _release(root: str) -> tuple[str, str]:
    """Distribution and version of a known library; its import name where no distribution is recorded, as on Databricks.

    Raises:
        StageError: when it is not installed.
    """
    for name in _DISTRIBUTIONS[root]:
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return root, str(import_path(f"{root}.__version__", "trainer.estimator"))


def _draws_from_its_own(trainer: Trainer) -> bool:
    root = trainer.estimator.partition(".")[0]
    return root in _DISTRIBUTIONS and keyword_arguments(trainer).get("random_state", trainer.seed) is not None


def _repeatable(trainer: Trainer) -> dict[str, Any]:
    fixed: dict[str, Any]
    if trainer.estimator.startswith("lightgbm."):
        fixed = {"random_state": trainer.seed, "deterministic": True, "force_row_wise": True, "verbosity": -1}
        if not set(_THREADS) & set(trainer.params):
            fixed["n_jobs"] = FIXED_THREADS
    elif trainer.estimator.startswith("xgboost.spark."):
        fixed = {"random_state": trainer.seed, "verbose": False, "verbosity": 0}
    elif trainer.estimator.startswith("xgboost."):
        require_xgboost(f"trainer.estimator {trainer.estimator}")
        fixed = {"random_state": trainer.seed, "verbosity": 0}
        if not set(_THREADS) & set(trainer.params):
            fixed["n_jobs"] = FIXED_THREADS
    else:
        accepted = inspect.signature(import_path(trainer.estimator, "trainer.estimator")).parameters
        seed = "random_state" if "random_state" in accepted and not is_fitted_by_spark(trainer) else "seed"
        fixed = {seed: trainer.seed} if seed in accepted else {}
    return {name: value for name, value in fixed.items() if name not in trainer.params}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, type) or callable(value):
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}.{named.__qualname__}"
    return f"{type(value).__module__}.{type(value).__qualname__}"
