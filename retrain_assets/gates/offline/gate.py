"""Gate OFFLINE: is the candidate good enough to meet traffic? The numbers it judges are made in holdout.py."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.limits import counted, number, within
from retrain_assets.gates.offline.backtests import backtests_hold
from retrain_assets.gates.offline.budgets import latency_within_budget, size_within_budget
from retrain_assets.gates.offline.calibration_check import calibrated
from retrain_assets.gates.offline.decision_threshold import decision_rows, decision_words
from retrain_assets.gates.offline.evaluation import Comparison, OfflineEvaluation, problem_of
from retrain_assets.gates.offline.fairness_check import fairness_holds
from retrain_assets.gates.offline.slices import slices_hold, without_champion
from retrain_assets.gates.offline.stability_check import decisions_are_stable, stability_evidence


def offline_checks(contract: Contract) -> tuple[str, ...]:
    """The checks :func:`offline_gate` gives for this contract, in order: one for every limit that is set."""
    offline = contract.gates.offline
    checks = []
    for name, limits in offline.metrics.items():
        checks += [f"meets_{name}"] * (limits.min is not None or limits.max is not None)
        checks += [f"not_worse_{name}"] * (limits.max_regression is not None)
        checks += [f"beats_champion_{name}"] * (limits.min_improvement is not None)
    checks += ["slices_hold"] * (offline.slices is not None)
    checks += [f"fairness_holds_{limits.column}" for limits in offline.fairness]
    checks += ["calibrated"] * (offline.calibration is not None)
    checks += ["decisions_are_stable"] * (offline.stability is not None)
    checks += ["backtests_hold"] * (offline.backtests is not None)
    checks += ["latency_within_budget"] * (offline.max_latency_ms is not None)
    checks += ["size_within_budget"] * (offline.max_size_mb is not None)
    return tuple(checks)


def offline_gate(evaluation: OfflineEvaluation, contract: Contract) -> list[Verdict]:
    """Judge one candidate's evaluation.

    Comparisons use one-sided bounds at ``gates.offline.confidence``: a limit holds when the bound holds it; when only
    the estimate holds it the verdict is ``inconclusive``, and when not even that, ``fail``. Slices and groups have
    rules of their own, see slices.py and fairness_check.py.

    Args:
        evaluation: as :func:`~retrain_assets.gates.offline.holdout.evaluate` gives it.
        contract: limits in ``gates.offline``.

    Returns:
        One verdict per name of :func:`offline_checks`. Scores that cannot be used make all of them ``error``, no
        labelled rows make all of them ``no_data``. Without a champion a comparison is ``no_data``, unless the
        evaluation says explicitly that it is a bootstrap.
    """
    names = offline_checks(contract)
    if problem := evaluation.problems.get("scores"):
        return [Verdict(Gate.OFFLINE, check, Outcome.ERROR, problem) for check in names]
    if evaluation.rows == 0:
        return [Verdict(Gate.OFFLINE, check, Outcome.NO_DATA, "no hold-out row has a label") for check in names]
    offline = contract.gates.offline
    verdicts: list[Verdict] = []
    for name in offline.metrics:
        verdicts += _of_metric(name, evaluation, contract)
    if offline.slices is not None:
        verdicts.append(slices_hold(evaluation, offline.slices.max_regression, offline.slices.metric))
    verdicts += [fairness_holds(evaluation, part) for part in offline.fairness]
    if offline.calibration is not None:
        verdicts.append(calibrated(evaluation, offline.calibration))
    if offline.stability is not None:
        verdicts.append(decisions_are_stable(evaluation, offline.stability))
    if offline.backtests is not None:
        verdicts.append(backtests_hold(evaluation, offline.backtests, contract.window.backtests))
    if offline.max_latency_ms is not None:
        verdicts.append(latency_within_budget(evaluation, offline.max_latency_ms))
    if offline.max_size_mb is not None:
        verdicts.append(size_within_budget(evaluation, offline.max_size_mb))
    return [replace(verdicts[0], evidence={**verdicts[0].evidence, **_shown(evaluation, contract)}), *verdicts[1:]]


def _of_metric(name: str, evaluation: OfflineEvaluation, contract: Contract) -> list[Verdict]:
    """The verdicts on one metric; those of the team's own say which way is better."""
    limits, own = contract.gates.offline.metrics[name], contract.gates.offline.own_metrics.get(name)
    comparison = evaluation.metric(name) or Comparison(name, 0, None, None)
    verdicts: list[Verdict] = []
    if limits.min is not None or limits.max is not None:
        evidence = {"rows": comparison.rows, "rows_without_label": evaluation.rows_without_label}
        check, observed = f"meets_{name}", comparison.candidate
        verdicts.append(within(Gate.OFFLINE, check, observed, lower=limits.min, upper=limits.max, what=name, evidence=evidence))
    if limits.max_regression is not None:
        verdicts.append(_not_worse(evaluation, comparison, limits.max_regression))
    if limits.min_improvement is not None:
        verdicts.append(_beats(evaluation, comparison, limits.min_improvement))
    if problem := evaluation.problems.get(problem_of(name)):
        return [Verdict(Gate.OFFLINE, verdict.check, Outcome.ERROR, problem) for verdict in verdicts]
    if own is None:
        return verdicts
    better = {"better": "higher" if own.direction == "increase" else "lower"}
    return [replace(verdict, evidence={**verdict.evidence, **better}) for verdict in verdicts]


def _shown(evaluation: OfflineEvaluation, contract: Contract) -> dict[str, Any]:
    """What is shown and no declared check carries: it stands with the gate's first check, and so in the record."""
    offline, shown = contract.gates.offline, dict[str, Any]()
    if evaluation.decision is not None:
        shown["decision_in_words"] = decision_words(evaluation.decision)
        if offline.calibration is None:
            shown["decision"] = decision_rows(evaluation.decision)
    if evaluation.stability is not None and offline.stability is None:
        shown |= stability_evidence(evaluation.stability)
    return shown


def _not_worse(evaluation: OfflineEvaluation, comparison: Comparison, margin: float) -> Verdict:
    check, found = f"not_worse_{comparison.metric}", comparison.improvement
    if (without := without_champion(evaluation, check, margin)) is not None:
        return without
    if found.estimate is None or found.lower is None:
        return _undefined(evaluation, check, comparison, margin)
    loss, bound = -found.estimate, 0.0 - found.lower
    outcome = Outcome.PASS if bound <= margin else Outcome.INCONCLUSIVE if loss <= margin else Outcome.FAIL
    message = (
        f"{comparison.metric} is {_worse(loss)} than the champion's, at most {number(max(bound, 0.0))} worse "
        f"with confidence {number(evaluation.confidence)}; the margin is {number(margin)}"
    )
    return Verdict(Gate.OFFLINE, check, outcome, message, bound, margin, _evidence(evaluation, comparison))


def _beats(evaluation: OfflineEvaluation, comparison: Comparison, required: float) -> Verdict:
    check, found = f"beats_champion_{comparison.metric}", comparison.improvement
    if (without := without_champion(evaluation, check, required)) is not None:
        return without
    if found.estimate is None or found.lower is None:
        return _undefined(evaluation, check, comparison, required)
    if found.lower >= required and found.lower > 0:
        outcome = Outcome.PASS
    else:
        outcome = Outcome.INCONCLUSIVE if found.estimate >= required and found.estimate > 0 else Outcome.FAIL
    message = (
        f"{comparison.metric} is {_worse(-found.estimate)} than the champion's, better by at least {number(found.lower)} "
        f"with confidence {number(evaluation.confidence)}; required is an improvement of {number(required)}"
    )
    return Verdict(Gate.OFFLINE, check, outcome, message, found.lower, required, _evidence(evaluation, comparison))


def _undefined(evaluation: OfflineEvaluation, check: str, comparison: Comparison, threshold: float) -> Verdict:
    rows, estimate = counted(comparison.rows, "hold-out row"), comparison.improvement.estimate
    if estimate is None:
        message = f"{comparison.metric} is undefined on {rows}, so nothing was compared"
    else:
        message = (
            f"{comparison.metric} is {_worse(-estimate)} than the champion's, but of {rows} too few units tell (positives of a "
            f"rare class, or units with many rows) to bound it; take a longer hold-out"
        )
    return Verdict(Gate.OFFLINE, check, Outcome.NO_DATA, message, None, threshold, _evidence(evaluation, comparison))


def _evidence(evaluation: OfflineEvaluation, comparison: Comparison) -> dict[str, Any]:
    return {
        "candidate": comparison.candidate,
        "champion": comparison.champion,
        "improvement": asdict(comparison.improvement),
        "rows": comparison.rows,
        "confidence": evaluation.confidence,
        "method": comparison.method,
        "seed": evaluation.seed,
        "bootstrap": evaluation.bootstrap,
    }


def _worse(loss: float) -> str:
    return f"{number(loss)} worse" if loss > 0 else f"{number(-loss)} better"
