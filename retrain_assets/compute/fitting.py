"""One repeatable fit: the estimator of the contract on a feature matrix, and its calibration out of time."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Calibration, Encoding, EstimatorPredictor, LightGBMPredictor, Predictor, fit_calibration
from retrain_assets.compute.code import import_path
from retrain_assets.contract import Contract, StageError, Trainer

Floats = npt.NDArray[np.float64]

CALIBRATION_TAIL = 0.25
"""Share of the training rows, the latest ones, that calibration is fitted on."""

LIGHTGBM_THREADS = 2
"""Threads of a LightGBM fit where the contract sets none: fixed, because their number is part of the model file."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels as numbers: class positions (classification) or values (regression), with the classes they stand for."""

    values: Floats
    classes: tuple[str | int, ...]

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Class positions."""
        return self.values.astype(np.int64)


def read_labels(series: pl.Series, task: str, classes: tuple[str | int, ...] | None = None) -> Labels:
    """Labels of a column.

    Args:
        series: the label, without nulls: 0/1 or boolean for a binary task, strings or integers for multiclass, numbers for
            regression.
        task: the contract's task.
        classes: classes of the training window; None when this is the training window.

    Raises:
        StageError: when the type does not fit the task, a class is unknown, or the training window has one class only.
    """
    where = f"label {series.name}"
    if task == "regression":
        if not series.dtype.is_numeric():
            raise StageError(f"is {series.dtype}", where=where, remedy="a regression needs a number")
        return Labels(series.cast(pl.Float64).to_numpy(), ())
    if task == "binary_classification":
        if not (series.dtype.is_numeric() or series.dtype == pl.Boolean) or not series.cast(pl.Float64).is_in([0.0, 1.0]).all():
            raise StageError(
                f"is {series.dtype} with values other than 0 and 1", where=where, remedy="a binary label is 0/1 or boolean"
            )
        known: tuple[str | int, ...] = (0, 1)
        values = series.cast(pl.Float64)
    else:
        text = series.cast(pl.String) if not series.dtype.is_integer() else series
        known = classes or tuple(text.unique().sort().to_list())
        if unknown := sorted(set(text.unique().to_list()) - set(known)):
            raise StageError(f"has classes {unknown} that training never saw", where=where, remedy="widen the training window")
        values = text.replace_strict(list(known), [float(code) for code in range(len(known))], return_dtype=pl.Float64)
    if classes is None and values.n_unique() < 2:
        raise StageError(
            f"the training window has {values.n_unique()} class",
            where=where,
            remedy="widen window.train or correct the label; a classifier needs rows of both",
        )
    return Labels(values.to_numpy(), known)


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model with the calibration that belongs to it."""

    predictor: Predictor
    calibration: Calibration

    def score(self, matrix: Floats) -> Floats:
        """Calibrated scores of a matrix."""
        return self.calibration.apply(self.predictor.predict(matrix))


def fit_candidate(contract: Contract, encoding: Encoding, matrix: Floats, labels: Labels) -> Fit:
    """Fit the estimator on all rows and its calibration out of time.

    The calibration is fitted on the scores of a second model, fitted on the earlier three quarters of the rows, for the
    latest quarter: those rows were not seen, and are the nearest in time to what will be scored. It costs three quarters
    of one fit. Nothing of the hold-out enters.

    Args:
        contract: task and trainer.
        encoding: encoding of the feature frame.
        matrix: (rows, features), in time order.
        labels: one per row.

    Raises:
        StageError: when the estimator cannot be imported or made, or raises while fitting.
    """
    predictor = fit_model(contract, encoding, matrix, labels)
    return Fit(predictor, fit_tail_calibration(contract, encoding, matrix, labels))


def fit_tail_calibration(contract: Contract, encoding: Encoding, matrix: Floats, labels: Labels) -> Calibration:
    """The calibration of :func:`fit_candidate` alone.

    Raises:
        StageError: as :func:`fit_candidate`, and when either part of the training window has one class only.
    """
    kind = contract.trainer.calibration
    if kind == "none":
        return Calibration("none")
    cut = int(len(matrix) * (1 - CALIBRATION_TAIL))
    head, tail = Labels(labels.values[:cut], labels.classes), labels.codes[cut:]
    for name, codes in (("earlier three quarters", head.codes), ("latest quarter", tail)):
        if len(np.unique(codes)) < len(labels.classes):
            raise StageError(
                f"the {name} of the training window lack a class, so calibration cannot be fitted",
                where="trainer.calibration",
                remedy="widen window.train or write calibration: none",
            )
    earlier = fit_model(contract, encoding, matrix[:cut], head)
    return fit_calibration(kind, earlier.predict(matrix[cut:]), tail)


def fit_model(contract: Contract, encoding: Encoding, matrix: Floats, labels: Labels) -> Predictor:
    """One fit of the contract's estimator, without calibration.

    Raises:
        StageError: with the estimator and what it said.
    """
    trainer = contract.trainer
    estimator = _make(trainer)
    targets = labels.values if contract.task == "regression" else labels.codes
    options: dict[str, Any] = {}
    if _is_lightgbm(estimator):
        options = {"categorical_feature": encoding.categorical_positions}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = estimator.fit(matrix, targets, **options)
    except Exception as error:
        raise StageError(
            f"fit raised {type(error).__name__}: {error}",
            where=f"trainer.estimator {trainer.estimator}",
            remedy="correct trainer.params, the features or the estimator",
        ) from error
    return LightGBMPredictor(fitted.booster_) if _is_lightgbm(fitted) else EstimatorPredictor(fitted, contract.task)


def complete_params(trainer: Trainer) -> dict[str, Any]:
    """The estimator's keyword arguments: the contract's, and what makes the fit repeatable."""
    return dict(trainer.params) | _repeatable(trainer)


def _make(trainer: Trainer) -> Any:
    factory = import_path(trainer.estimator, "trainer.estimator")
    params = complete_params(trainer)
    try:
        return factory(**params)
    except (TypeError, ValueError) as error:
        raise StageError(
            f"cannot be made with {', '.join(params)}: {error}",
            where=f"trainer.estimator {trainer.estimator}",
            remedy="correct trainer.params",
        ) from error


def _repeatable(trainer: Trainer) -> dict[str, Any]:
    fixed: dict[str, Any]
    if trainer.estimator.startswith("lightgbm."):
        fixed = {"random_state": trainer.seed, "deterministic": True, "force_row_wise": True, "verbosity": -1}
        if "num_threads" not in trainer.params:
            fixed["n_jobs"] = LIGHTGBM_THREADS
    else:
        accepted = inspect.signature(import_path(trainer.estimator, "trainer.estimator")).parameters
        fixed = {"random_state": trainer.seed} if "random_state" in accepted else {}
    return {name: value for name, value in fixed.items() if name not in trainer.params}


def _is_lightgbm(estimator: Any) -> bool:
    return type(estimator).__module__.startswith("lightgbm.")
