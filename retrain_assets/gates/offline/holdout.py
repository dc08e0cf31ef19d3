"""Both models on the same held-out rows: comparisons, slices, groups, calibration. Numbers only; verdicts are in gate.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Contract
from retrain_assets.gates.limits import counted, listed
from retrain_assets.gates.offline.behaviour import behaviour
from retrain_assets.gates.offline.beyond_chance import repeated
from retrain_assets.gates.offline.comparison import Pair
from retrain_assets.gates.offline.evaluation import Backtest, Comparison, OfflineEvaluation, Slice, problem_of
from retrain_assets.gates.offline.fairness import GroupRates, rates_of_groups
from retrain_assets.gates.offline.own_comparison import OwnPair
from retrain_assets.gates.offline.own_metrics import LabelledRows, MetricFault, OwnMeasure
from retrain_assets.gates.offline.scored_rows import label_numbers, score_problem, unit_numbers
from retrain_assets.gates.offline.slice_members import Slicing, column_codes, slicing

Array = np.ndarray
RESAMPLES = 1000
"""Bootstrap samples of every comparison."""


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
    latency_p95_ms: float | None = None,
    size_mb: float | None = None,
    resamples: int = RESAMPLES,
    own_metrics: Mapping[str, OwnMeasure] | None = None,
    problems: Mapping[str, str] | None = None,
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
        latency_p95_ms: 95th percentile of them.
        size_mb: size of the bundle in MiB.
        resamples: bootstrap samples.
        own_metrics: the team's own metrics, ready to be called; one that is missing has no value, and a problem.
        problems: what is known to be wrong already, as :attr:`OfflineEvaluation.problems` says it.

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
        latency_p95_ms=latency_p95_ms,
        size_mb=size_mb,
    )
    labels, problem = label_numbers(rows[source.label], contract.task, candidate, classes)
    units, unit_problem = unit_numbers(rows[source.unit])
    problem = problem or score_problem(candidate, champion, contract.task) or unit_problem
    if problem or rows.height == 0:
        return replace(evaluation, problems={**(problems or {}), **({"scores": problem} if problem else {})})
    found = dict(problems or {})
    pair = Pair(
        labels=labels,
        candidate=candidate,
        champion=champion,
        units=repeated(units),
        confidence=offline.confidence,
        threshold=contract.decision.threshold if contract.decision else 0.5,
        seed=seed,
        resample_count=resamples,
    )
    slices = _slicing(rows, contract, found)
    fairness, left_out = _fairness(rows, contract, pair, found)
    measured = LabelledRows(labels, rows, contract.task, pair.threshold)
    own = {name: OwnPair(one, measured, pair) for name, one in (own_metrics or {}).items()}
    return replace(
        evaluation,
        metrics=tuple(_compared(name, pair, own, contract, found) for name in offline.metrics),
        slices=_slices(offline.slices.metric, pair, own, slices, contract, found) if offline.slices else (),
        slices_left_out=slices.left_out,
        fairness=fairness,
        groups_left_out=left_out,
        **behaviour(contract, labels, candidate, champion, units=pair.units, members=slices.members, classes=classes),
        problems=found,
    )


def _compared(name: str, pair: Pair, own: Mapping[str, OwnPair], contract: Contract, problems: dict[str, str]) -> Comparison:
    """One metric; of an own one that cannot be taken no value, and why."""
    if name not in contract.gates.offline.own_metrics:
        return pair.compared(name)
    key, nothing = problem_of(name), Comparison(name, len(pair.labels), None, None)
    if name not in own:
        problems.setdefault(key, f"{name} is a metric of the team's own, and its function was not given")
        return nothing
    try:
        return own[name].compared()
    except MetricFault as fault:
        problems[key] = str(fault)
        return nothing


def _slices(
    name: str, pair: Pair, own: Mapping[str, OwnPair], slices: Slicing, contract: Contract, problems: dict[str, str]
) -> tuple[Slice, ...]:
    if name not in contract.gates.offline.own_metrics:
        return pair.slices(name, slices.members)
    if (problem := problems.get(problem_of(name))) is not None:
        problems["slices"] = problem
        return ()
    try:
        return own[name].slices(slices.members)
    except MetricFault as fault:
        problems["slices"] = str(fault)
        return ()


def _slicing(rows: pl.DataFrame, contract: Contract, problems: dict[str, str]) -> Slicing:
    limits = contract.gates.offline.slices
    if limits is None:
        return Slicing((), 0)
    try:
        return slicing(rows, limits)
    except ValueError as error:
        problems["slices"] = str(error)
        return Slicing((), 0)


def _fairness(
    rows: pl.DataFrame, contract: Contract, pair: Pair, problems: dict[str, str]
) -> tuple[dict[str, tuple[GroupRates, ...]], dict[str, int]]:
    """Rates of the groups of each column, and the number of groups that were left out where there were too many."""
    groups: dict[str, tuple[GroupRates, ...]] = {}
    left_out: dict[str, int] = {}
    for limits in contract.gates.offline.fairness:
        column, key = limits.column, f"fairness_{limits.column}"
        if contract.decision is None:
            problems[key] = f"fairness is judged on binary decisions, and {contract.task} takes none"
            continue
        try:
            member, names = column_codes(rows, column)
        except ValueError as error:
            problems[key] = str(error)
            continue
        groups[column] = rates_of_groups(pair.labels, pair.candidate, member, names, pair.threshold, pair.units)
        if len(names) > len(groups[column]):
            left_out[column] = len(names) - len(groups[column])
    return groups, left_out
