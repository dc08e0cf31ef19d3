"""Both models on the same held-out rows: comparisons, slices, groups, calibration. Numbers only; verdicts are in offline.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Contract
from retrain_assets.gates.limits import counted, listed
from retrain_assets.gates.offline.calibration import Calibration, calibration_of, cheapest_threshold
from retrain_assets.gates.offline.evaluation import Backtest, Comparison, Decision, OfflineEvaluation, Slice
from retrain_assets.gates.offline.fairness import GroupRates, group_rates
from retrain_assets.gates.offline.intervals import (
    UNDEFINED,
    Improvement,
    bootstrap_improvement,
    delong_improvement,
    resampling_weights,
)
from retrain_assets.gates.offline.metrics import metric_value

Array = np.ndarray
RESAMPLES = 300
"""Bootstrap samples of every comparison."""
SLICES_LISTED = 50
"""Slices per column that are kept in the evaluation, largest first."""


def evaluate(
    holdout: pl.DataFrame,
    score_candidate: Array,
    score_champion: Array | None,
    *,
    contract: Contract,
    seed: int,
    bootstrap: bool = False,
    classes: Sequence[Any] | None = None,
    backtests: Sequence[Backtest] = (),
    latency_ms: float | None = None,
    size_mb: float | None = None,
    resamples: int = RESAMPLES,
) -> OfflineEvaluation:
    """Compare two models on the same held-out rows.

    Args:
        holdout: one row a prediction, with the contract's label, unit, slice and fairness columns.
        score_candidate: one score a row: probability of the positive class or predicted number; multiclass: rows x k.
        score_champion: the same of the champion; None when there is none.
        contract: metrics, slices, fairness columns, calibration, confidence, decision threshold, roles of columns.
        seed: of the resampling.
        bootstrap: say True for a first champion, explicitly; only then may comparisons pass without a champion.
        classes: the label's values in the order of the scores, negative first; by default 0 and 1 (False and True), or
            for multiclass 0..k-1.
        backtests: results of the rolling-origin back-tests for ``gates.offline.backtests.metric``.
        latency_ms: median milliseconds for scoring one row.
        size_mb: size of the bundle in MiB.
        resamples: bootstrap samples.

    Raises:
        ValueError: when scores and rows differ in number, the label or unit column is missing, or ``bootstrap`` is said
            together with a champion.
    """
    source, offline = contract.source, contract.gates.offline
    if bootstrap and score_champion is not None:
        raise ValueError("bootstrap=True says there is no champion, but its scores were given; pass one of the two")
    if absent := [column for column in (source.label, source.unit) if column not in holdout.columns]:
        raise ValueError(f"the hold-out has no column {listed(absent)}; pass the rows with label and unit")
    for who, scores in (("candidate", score_candidate), ("champion", score_champion)):
        if scores is not None and len(scores) != holdout.height:
            raise ValueError(f"{counted(len(scores), 'score')} of the {who} for {counted(holdout.height, 'hold-out row')}")
    known = holdout[source.label].is_not_null().to_numpy()
    rows = holdout.filter(pl.Series(known, dtype=pl.Boolean))
    candidate = np.asarray(score_candidate, dtype=float)[known]
    champion = None if score_champion is None else np.asarray(score_champion, dtype=float)[known]
    evaluation = OfflineEvaluation(
        task=contract.task,
        rows=rows.height,
        rows_without_label=holdout.height - rows.height,
        bootstrap=bootstrap,
        compared=champion is not None,
        confidence=offline.confidence,
        seed=seed,
        resamples=resamples,
        backtests=tuple(backtests),
        latency_ms=latency_ms,
        size_mb=size_mb,
    )
    labels, problem = _labels(rows[source.label], contract.task, candidate, classes)
    problem = problem or _score_problem(candidate, champion, contract.task)
    if problem or rows.height == 0:
        return replace(evaluation, problems={"scores": problem} if problem else {})
    compare = _Compare(contract, labels, candidate, champion, rows[source.unit].cast(pl.String).to_numpy(), seed, resamples)
    slices, slice_problems = _slices(rows, contract, compare)
    fairness, fairness_problems = _fairness(rows, contract, labels, candidate)
    return replace(
        evaluation,
        metrics=tuple(compare(name) for name in offline.metrics),
        slices=slices,
        fairness=fairness,
        calibration=_calibration(contract.task, labels, candidate),
        decision=_decision(contract, labels, candidate),
        problems={**slice_problems, **fairness_problems},
    )


class _Compare:
    """Both models on the same rows, or a part of them, under one set of resampling weights."""

    def __init__(
        self, contract: Contract, labels: Array, candidate: Array, champion: Array | None, units: Array, seed: int, resamples: int
    ) -> None:
        self.confidence = contract.gates.offline.confidence
        self.threshold = contract.decision.threshold if contract.decision else 0.5
        self.labels, self.candidate, self.champion = labels, candidate, champion
        self.units = np.unique(units, return_inverse=True)[1]
        self._draw = (resamples, seed)
        self._weights: Array | None = None

    def __call__(self, metric: str, rows: Array | None = None, *, bounds: bool = True) -> Comparison:
        labels, candidate, champion = self.labels, self.candidate, self.champion
        if rows is not None:
            labels, candidate = labels[rows], candidate[rows]
            champion = None if champion is None else champion[rows]
        ours = metric_value(metric, labels, candidate, threshold=self.threshold)
        if champion is None:
            return Comparison(metric, len(labels), ours, None)
        theirs = metric_value(metric, labels, champion, threshold=self.threshold)
        improvement = self._improvement(metric, labels, candidate, champion, rows) if bounds else UNDEFINED
        return Comparison(metric, len(labels), ours, theirs, improvement)

    def _improvement(self, metric: str, labels: Array, candidate: Array, champion: Array, rows: Array | None) -> Improvement:
        if metric == "roc_auc":
            units = self.units if rows is None else self.units[rows]
            return delong_improvement(labels, candidate, champion, units, confidence=self.confidence)
        if self._weights is None:
            resamples, seed = self._draw
            self._weights = resampling_weights(self.units, resamples=resamples, seed=seed)
        weights = self._weights if rows is None else self._weights[:, rows]
        return bootstrap_improvement(
            metric, labels, candidate, champion, weights, confidence=self.confidence, threshold=self.threshold
        )


def _labels(labels: pl.Series, task: str, scores: Array, classes: Sequence[Any] | None) -> tuple[Array, str]:
    """Labels as numbers, and what is wrong with them."""
    if task == "regression":
        if not labels.dtype.is_numeric():
            return np.empty(0), f"the label is {labels.dtype}; a regression needs numbers"
        values = labels.cast(pl.Float64).to_numpy()
        return values, "" if np.isfinite(values).all() else "the label has values that are not finite"
    if (scores.ndim == 2) != (task == "multiclass"):
        return np.empty(0), f"scores have {scores.ndim} dimensions; {task} needs {2 if task == 'multiclass' else 1}"
    order = list(classes) if classes is not None else list(range(scores.shape[1] if scores.ndim == 2 else 2))
    known = {value: position for position, value in enumerate(order)}
    foreign = sorted({str(value) for value in labels.unique().to_list() if value not in known})
    if foreign:
        return np.empty(0), f"labels {listed(foreign)} are not among the classes {listed([str(value) for value in order])}"
    return np.array([known[value] for value in labels.to_list()], dtype=float), ""


def _score_problem(candidate: Array, champion: Array | None, task: str) -> str:
    for who, scores in (("candidate", candidate), ("champion", champion)):
        if scores is None:
            continue
        by_row = scores if scores.ndim == 2 else scores[:, None]
        if broken := int((~np.isfinite(by_row)).any(axis=1).sum()):
            return f"the {who}'s score is not a finite number in {counted(broken, 'row')}"
        if task != "regression" and (outside := int(((by_row < 0) | (by_row > 1)).any(axis=1).sum())):
            return f"the {who}'s score is outside 0..1 in {counted(outside, 'row')}; a probability is needed"
    return ""


def _slices(rows: pl.DataFrame, contract: Contract, compare: _Compare) -> tuple[tuple[Slice, ...], dict[str, str]]:
    limits = contract.gates.offline.slices
    if limits is None:
        return (), {}
    if absent := [column for column in limits.columns if column not in rows.columns]:
        return (), {"slices": f"the hold-out has no slice column {listed(absent)}"}
    slices = []
    for column in limits.columns:
        names, member = np.unique(_names(rows[column]), return_inverse=True)
        sizes = np.bincount(member)
        for k in np.argsort(-sizes, kind="stable")[:SLICES_LISTED]:
            judged = bool(sizes[k] >= limits.min_support)
            comparison = compare(limits.metric, np.flatnonzero(member == k), bounds=judged)
            slices.append(Slice(column, str(names[k]), judged, comparison))
    return tuple(slices), {}


def _fairness(
    rows: pl.DataFrame, contract: Contract, labels: Array, candidate: Array
) -> tuple[dict[str, tuple[GroupRates, ...]], dict[str, str]]:
    groups: dict[str, tuple[GroupRates, ...]] = {}
    problems: dict[str, str] = {}
    for limits in contract.gates.offline.fairness:
        if contract.decision is None:
            problems[f"fairness_{limits.column}"] = f"fairness is judged on binary decisions, and {contract.task} takes none"
        elif limits.column not in rows.columns:
            problems[f"fairness_{limits.column}"] = f"the hold-out has no column {limits.column}"
        else:
            groups[limits.column] = group_rates(labels, candidate, _names(rows[limits.column]), contract.decision.threshold)
    return groups, problems


def _names(values: pl.Series) -> Array:
    return values.cast(pl.String).fill_null("(none)").to_numpy().astype(str)


def _calibration(task: str, labels: Array, scores: Array) -> Calibration | None:
    if task == "regression":
        return None
    if task == "multiclass":
        return calibration_of((scores.argmax(axis=1) == labels).astype(float), scores.max(axis=1))
    return calibration_of(labels, scores)


def _decision(contract: Contract, labels: Array, scores: Array) -> Decision | None:
    if contract.decision is None:
        return None
    threshold = contract.decision.threshold
    cheapest, cheapest_cost, cost = cheapest_threshold(labels, scores, threshold)
    return Decision(threshold, cost, cheapest, cheapest_cost)
