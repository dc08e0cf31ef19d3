"""Rolling-origin back-tests: how the same recipe would have done at earlier cut-offs inside the training window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Encoding
from retrain_assets.compute.estimator import fits_at_once
from retrain_assets.compute.fitting import fit_model, quiet_fits, raw_scores, read_labels
from retrain_assets.compute.own_code import own_measures
from retrain_assets.compute.side_by_side import side_by_side
from retrain_assets.compute.stages.source import bounds
from retrain_assets.contract import Contract, StageError
from retrain_assets.gates import Backtest, metric_value
from retrain_assets.gates.offline.own_metrics import LabelledRows, MetricFault, OwnMeasure

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Backtests:
    """Back-tests in the order of time, the seconds each took (in no digest), and what an own metric did wrong."""

    found: list[Backtest]
    seconds: dict[str, float]
    problem: str = ""


def backtests(
    train: pl.DataFrame,
    about: Mapping[str, Any],
    contract: Contract,
    dataset: Callable[[], pl.DataFrame] = pl.DataFrame,
) -> Backtests:
    """Fit and judge the estimator at ``window.backtests`` origins, a hold-out length apart, the last one ending with the window.

    Each fit uses the rows whose label was known at its origin, from the start of the training window on; each is judged on
    the following hold-out length by ``gates.offline.backtests.metric``. Scores are the estimator's own, without
    calibration, which would need three quarters of a fit more each time; the champion is not fitted again. They run side by side
    where cores allow, with the same values. Source: L. J. Tashman, "Out-of-sample tests of forecasting accuracy", International
    Journal of Forecasting 16 (2000), section 4 (rolling origin).

    Args:
        train: feature frame of the training window.
        about: of the feature snapshot.
        contract: the contract; without ``gates.offline.backtests`` there are none.
        dataset: reads the data set's rows of the training window, in the same order; asked for where an own metric takes rows.

    Returns:
        Values; None where the metric is undefined or the rows before the origin do not allow a fit (none, or one class).

    Raises:
        StageError: when the estimator raises or gives no usable scores.
    """
    rule, holdout = contract.gates.offline.backtests, contract.window.holdout
    if rule is None:
        return Backtests([], {})
    end = datetime.fromisoformat(about["window"]["train_end"])
    starts = [end - step * holdout for step in range(contract.window.backtests, 0, -1)]
    names = about["feature_names"]
    own, broken = own_measures(contract, lambda: train)
    if problem := broken.get(rule.metric):
        return Backtests([], {}, problem)
    measure = own.get(rule.metric)
    if measure is not None and "rows" in measure.takes:
        rows = dataset()
        train = rows.hstack(train.select(name for name in train.columns if name not in rows.columns))
    value = partial(_taken, metric=rule.metric, measure=measure, contract=contract)
    tasks = [partial(_backtest, train, names, start, start + holdout, contract, value) for start in starts]
    try:
        with quiet_fits():
            done = side_by_side(tasks, fits_at_once(contract.trainer))
    except MetricFault as fault:
        return Backtests([], {}, str(fault))
    seconds = {f"back-test from {start:%Y-%m-%d}": one.seconds for start, one in zip(starts, done, strict=True)}
    return Backtests([one.value for one in done], seconds)


def _backtest(
    train: pl.DataFrame, names: list[str], start: datetime, end: datetime, contract: Contract, taken: Callable[..., float | None]
) -> Backtest:
    source = contract.source
    moment = pl.col(source.event_time)
    known, low, high = bounds(train.schema[source.event_time], start - source.label_delay, start, end)
    earlier, judged = train.filter((moment <= known) & (moment < low)), train.filter((moment >= low) & (moment < high))
    value = _value(earlier, judged, names, contract, taken) if earlier.height and judged.height else None
    return Backtest(start=start.isoformat(), end=end.isoformat(), rows=judged.height, value=value, fitted_rows=earlier.height)


def _value(
    earlier: pl.DataFrame, judged: pl.DataFrame, names: list[str], contract: Contract, taken: Callable[..., float | None]
) -> float | None:
    column = contract.source.label
    encoding = Encoding.of(earlier, names)
    try:
        labels = read_labels(earlier[column], contract.task)
        unseen = read_labels(judged[column], contract.task, labels.classes)
    except StageError:
        return None
    predictor = fit_model(contract, encoding, encoding.matrix(earlier), labels)
    scores = raw_scores(predictor, encoding.matrix(judged), contract, labels)
    return taken(judged, np.asarray(unseen.values), scores)


def _taken(
    rows: pl.DataFrame, labels: Floats, scores: Floats, *, metric: str, measure: OwnMeasure | None, contract: Contract
) -> float | None:
    threshold = contract.decision.threshold if contract.decision else 0.5
    if measure is None:
        return metric_value(metric, labels, scores, threshold=threshold)
    return measure.value(LabelledRows(labels, rows, contract.task, threshold), scores)
