"""One repeatable fit: the estimator of the contract on a feature matrix, and its calibration out of time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import (
    Calibration,
    Encoding,
    EstimatorPredictor,
    LightGBMPredictor,
    Predictor,
    XGBoostPredictor,
    fit_calibration,
)
from retrain_assets.compute.estimator import (
    is_fitted_by_spark,
    is_lightgbm,
    is_xgboost,
    make_estimator,
    repeatable_draws,
    threads_of,
)
from retrain_assets.contract import Contract, StageError

Floats = npt.NDArray[np.float64]

CALIBRATION_TAIL = 0.25
"""Share of the training rows, the latest ones, that calibration is fitted on."""

_ROUNDING = 1e-6


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


def fit_tail_calibration(contract: Contract, encoding: Encoding, matrix: Floats, labels: Labels) -> Calibration:
    """A calibration fitted out of time, inside the training window.

    It is fitted on the scores of a second model, fitted on the earlier three quarters of the rows, for the latest quarter: those
    rows were not seen, and are the nearest in time to what will be scored. It costs three quarters of one fit. Nothing of the
    hold-out enters.

    Args:
        contract: task and trainer.
        encoding: encoding of the feature frame.
        matrix: (rows, features), in time order.
        labels: one per row.

    Raises:
        StageError: as :func:`fit_model`, and when either part of the training window has one class only.
    """

    def scores_of_tail(cut: int) -> Floats:
        earlier = fit_model(contract, encoding, matrix[:cut], Labels(labels.values[:cut], labels.classes))
        return raw_scores(earlier, matrix[cut:], contract, labels)

    return calibration_of_tail(contract, labels, scores_of_tail)


def calibration_of_tail(contract: Contract, labels: Labels, scores_of_tail: Callable[[int], Floats]) -> Calibration:
    """As :func:`fit_tail_calibration`, wherever the rows are.

    Args:
        contract: task and trainer.
        labels: one per row of the training window, in time order.
        scores_of_tail: raw scores of the rows from a position on, by a model that was fitted on the rows before it.
    """
    kind = contract.trainer.calibration
    if kind == "none":
        return Calibration("none")
    cut = int(len(labels.values) * (1 - CALIBRATION_TAIL))
    head, tail = labels.codes[:cut], labels.codes[cut:]
    for name, codes in (("earlier three quarters", head), ("latest quarter", tail)):
        if len(np.unique(codes)) < len(labels.classes):
            raise StageError(
                f"the {name} of the training window lack a class, so calibration cannot be fitted",
                where="trainer.calibration",
                remedy="widen window.train or write calibration: none",
            )
    return fit_calibration(kind, scores_of_tail(cut), tail)


def fit_model(contract: Contract, encoding: Encoding, matrix: Floats, labels: Labels) -> Predictor:
    """One fit of the contract's estimator, without calibration; see :func:`quiet_fits` for its warnings.

    Raises:
        StageError: with the estimator and what it said.
    """
    trainer = contract.trainer
    targets = labels.values if contract.task == "regression" else labels.codes
    if is_fitted_by_spark(trainer):
        return _fit_on_spark(contract, encoding, matrix, targets)
    try:
        with repeatable_draws(trainer):
            estimator = make_estimator(trainer)
            options = {"categorical_feature": encoding.categorical_positions} if is_lightgbm(estimator) else {}
            if is_xgboost(estimator) and encoding.categorical_positions and "feature_types" not in trainer.params:
                estimator.set_params(feature_types=encoding.feature_types, enable_categorical=True)
            fitted = estimator.fit(matrix, targets, **options)
    except StageError:
        raise
    except Exception as error:
        raise _wrong(f"fit raised {type(error).__name__}: {error}", contract) from error
    if is_lightgbm(fitted):
        return LightGBMPredictor(fitted.booster_, threads=threads_of(trainer))
    if is_xgboost(fitted):
        return XGBoostPredictor(fitted.get_booster(), threads=threads_of(trainer))
    return EstimatorPredictor(fitted, contract.task)


def raw_scores(predictor: Predictor, matrix: Floats, contract: Contract, labels: Labels) -> Floats:
    """Scores of a fitted model before calibration.

    Args:
        predictor: of :func:`fit_model`.
        matrix: (rows, features).
        contract: task and trainer.
        labels: of the rows it was fitted on.

    Returns:
        (rows,) probability of the positive class or regression value; (rows, classes) for a multiclass task.

    Raises:
        StageError: when predicting raises, or the scores have another shape, are not finite, or are no probabilities.
    """
    try:
        scores = predictor.predict(matrix)
    except Exception as error:
        raise _wrong(f"predicting raised {type(error).__name__}: {error}", contract) from error
    return usable_scores(scores, len(matrix), contract, labels)


def usable_scores(scores: Floats, rows: int, contract: Contract, labels: Labels) -> Floats:
    """Scores before calibration, when they are fit for use.

    Args:
        scores: of a fitted model.
        rows: how many are wanted.
        contract: task and trainer.
        labels: of the rows it was fitted on.

    Raises:
        StageError: when they have another shape, are not finite, or are no probabilities.
    """
    multiclass, probabilities = contract.task == "multiclass", contract.task != "regression"
    wanted = (rows, len(labels.classes)) if multiclass else (rows,)
    if scores.shape != wanted:
        raise _wrong(f"gives scores of shape {scores.shape} where {wanted} is wanted", contract)
    if unscored := int((~np.isfinite(scores)).reshape(rows, -1).any(axis=1).sum()):
        raise _wrong(f"gives {unscored:,} of {rows:,} rows no finite score", contract)
    if probabilities and len(scores) and not (scores.min() >= -_ROUNDING and scores.max() <= 1 + _ROUNDING):
        raise _wrong(f"gives scores from {scores.min():.4g} to {scores.max():.4g}, which are no probabilities", contract)
    return scores


@contextmanager
def quiet_fits() -> Iterator[None]:
    """Fits in this block do not warn.

    It is entered by the thread that starts them: filters of warnings are the whole process's, and threads that set them each for
    itself would restore each other's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _fit_on_spark(contract: Contract, encoding: Encoding, matrix: Floats, targets: npt.NDArray[Any]) -> Predictor:
    """A fit of rows that the driver holds, by the session of the stage."""
    from retrain_assets.compute.spark.fits import examples_of_matrix, fit_on_spark
    from retrain_assets.compute.spark.under_way import session_under_way

    session, folder = session_under_way(f"trainer.estimator {contract.trainer.estimator}")
    return fit_on_spark(contract, encoding, examples_of_matrix(session, matrix, targets), folder)


def _wrong(what: str, contract: Contract) -> StageError:
    return StageError(
        what,
        where=f"trainer.estimator {contract.trainer.estimator}",
        remedy="correct trainer.params, the features or the estimator",
    )
