"""Whether a challenger is healthy technically: the limits, from the contract where it has them, and what is beyond them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from retrain_assets.contract import Contract, finite
from retrain_assets.gates.technical_side import LEAST_REQUESTS, Problem, TechnicalSide

LARGE_SHIFT = 0.25
"""Population stability index, chance taken off, from which a shift is called large; the custom among practitioners."""

MAX_LATENCY_RATIO = 1.5
"""Largest ratio of the arms' p95 latency, where no guardrail of the contract says how much slower is tolerated."""

LATENCY_NOTICED_MS = 1.0
"""Difference of the p95 latency below which nobody notices, whatever the ratio."""

MAX_ERROR_DIFFERENCE = 0.01
"""Largest difference of the arms' error shares, where no guardrail of the contract says it."""

MAX_BIAS_STDS = 0.2
"""Largest bias of a regression, in standard deviations of the label (a small effect after Cohen, 1988)."""

FARTHER = 2.0
"""How many times as far as elsewhere, or as from the champion's training, a feature must have moved: less is drift both met."""

LEAST_LABELS = 100
"""Requests with a known label the challenger needs before its calibration is judged."""

SHIFT_ALPHA = 0.01
"""Chance at or below which a difference of errors or scores is more than chance."""


@dataclass(frozen=True, slots=True)
class TechnicalLimits:
    """What is called unhealthy; from the contract where it says it, else the constants of this module.

    Args:
        error_difference: largest difference of the error shares.
        latency_ratio: largest ratio of the p95 latencies.
        bias: largest absolute calibration bias (regression: in standard deviations of the label); None: not judged.
        calibration_error: largest expected calibration error; None for a regression.
        feature_shift: largest corrected population stability index of a feature that counts, times its importance.
        prediction_shift: the same between the arms' scores; judged only while no labels can say whether they are right.
    """

    error_difference: float = MAX_ERROR_DIFFERENCE
    latency_ratio: float = MAX_LATENCY_RATIO
    bias: float | None = 0.08
    calibration_error: float | None = 0.1
    feature_shift: float = LARGE_SHIFT
    prediction_shift: float = LARGE_SHIFT

    @classmethod
    def from_contract(cls, contract: Contract) -> TechnicalLimits:
        """Guardrails on ``error`` and ``latency_ms``, ``gates.offline.calibration`` and the drift limit of features."""
        guardrails = {name: one for name, one in contract.experiment.guardrails.items() if one.above is None and one.per is None}
        margins = [one.margin for name, one in guardrails.items() if one.column_of(name) == "error" and one.margin is not None]
        slower = [
            one.max_regression
            for name, one in guardrails.items()
            if one.column_of(name) == "latency_ms" and one.quantile is not None and one.max_regression is not None
        ]
        calibration = contract.gates.offline.calibration
        regression = contract.task == "regression"
        drift = contract.cadence.on_drift.limits if contract.cadence.on_drift else {}
        return cls(
            error_difference=min(margins, default=MAX_ERROR_DIFFERENCE),
            latency_ratio=1 + min(slower) if slower else MAX_LATENCY_RATIO,
            bias=MAX_BIAS_STDS if regression else calibration.max_bias if calibration else None,
            calibration_error=None if regression or calibration is None else calibration.max_ece,
            feature_shift=drift.get("feature_psi", LARGE_SHIFT),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return {name: finite(getattr(self, name)) for name in self.__slots__}


def judged(side: TechnicalSide, limits: TechnicalLimits) -> TechnicalSide:
    """The same side with its problems, the farthest beyond its limit first, and with what could not be judged."""
    problems = sorted(_problems(side, limits), key=lambda one: -_excess(one))
    return replace(side, problems=tuple(problems), unjudged=tuple(_unjudged(side, limits)))


def _problems(side: TechnicalSide, limits: TechnicalLimits) -> Iterator[Problem]:
    champion, challenger = side.champion, side.challenger
    answered = min(champion.requests, challenger.requests) >= LEAST_REQUESTS
    if answered and challenger.error_share is not None and champion.error_share is not None:
        more = challenger.error_share - champion.error_share
        if more > limits.error_difference and (side.error_p_value is None or side.error_p_value <= SHIFT_ALPHA):
            text = f"it fails on {challenger.error_share:.2%} of its requests (champion {champion.error_share:.2%})"
            yield Problem("no_answers" if challenger.error_share == 1 else "error_share", text, more, limits.error_difference)
    ratio = side.latency_ratio
    if answered and ratio is not None and ratio > limits.latency_ratio:
        mine, theirs = challenger.latency_p95_ms or 0.0, champion.latency_p95_ms or 0.0
        if mine - theirs > LATENCY_NOTICED_MS:
            text = f"p95 latency is {ratio:.2g} × the champion's ({mine:.3g} ms against {theirs:.3g} ms)"
            yield Problem("latency_p95", text, ratio, limits.latency_ratio)
    if challenger.labelled >= LEAST_LABELS:
        yield from _calibration(side, limits)
    elif answered and (shift := side.prediction_shift) is not None and shift.corrected_psi is not None:
        beyond = shift.p_value is not None and shift.p_value <= SHIFT_ALPHA
        if beyond and shift.corrected_psi > limits.prediction_shift:
            text = (
                f"its scores are far from the champion's (PSI {shift.corrected_psi:.2g}) and no labels are there to say "
                "which are right"
            )
            yield Problem("prediction_shift", text, shift.corrected_psi, limits.prediction_shift)
    yield from _features(side, limits)


def _calibration(side: TechnicalSide, limits: TechnicalLimits) -> Iterator[Problem]:
    mine = side.challenger
    bias, scale = mine.calibration_bias, side.label_std or 1.0
    if bias is not None and limits.bias is not None and abs(bias) > max(limits.bias * scale, mine.bias_by_chance or 0.0):
        text = f"its calibration bias is {bias:+.2g} on {mine.labelled:,} matured outcomes"
        yield Problem("calibration_bias", text, abs(bias), max(limits.bias * scale, mine.bias_by_chance or 0.0))
    error, limit = mine.calibration_error, limits.calibration_error
    if error is not None and limit is not None and error > max(limit, mine.error_by_chance or 0.0):
        text = f"its expected calibration error is {error:.2g} on {mine.labelled:,} matured outcomes"
        yield Problem("calibration_error", text, error, max(limit, mine.error_by_chance or 0.0))


def _features(side: TechnicalSide, limits: TechnicalLimits) -> Iterator[Problem]:
    champions = {one.feature: one.corrected_psi for one in side.champion_features if one.shown}
    moved = [
        one
        for one in side.challenger_features
        if one.shown
        and one.same_segment
        and one.weighted > limits.feature_shift
        and one.corrected_psi >= FARTHER * champions.get(one.feature, 0.0)
    ]
    if moved:
        worst = max(moved, key=lambda one: one.weighted)
        text = f"feature {worst.feature} moved by PSI {worst.psi:.2g} since its training"
        if worst.feature in champions:
            text += f" (since the champion's by {champions[worst.feature]:.2g})"
        yield Problem("feature_shift", text, worst.corrected_psi, limits.feature_shift)


def _unjudged(side: TechnicalSide, limits: TechnicalLimits) -> Iterator[str]:
    for name, arm in (("champion", side.champion), ("challenger", side.challenger)):
        if arm.requests < LEAST_REQUESTS:
            yield f"the {name} has {arm.requests} of {LEAST_REQUESTS} requests needed to judge latency and errors"
    if side.challenger.labelled < LEAST_LABELS:
        yield f"calibration: {side.challenger.labelled} of {LEAST_LABELS} labels needed of the challenger's requests are known"
    elif limits.bias is None and limits.calibration_error is None:
        yield "calibration: the contract sets no limit"
    if not side.challenger_features:
        yield "features: live rows were not compared with training"


def _excess(problem: Problem) -> float:
    return problem.observed / problem.limit if problem.observed is not None and problem.limit else 1.0
