"""Why a challenger lost: one failure mode for every rejection and rollback, each from named evidence, strongest first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict, finite
from retrain_assets.experiment.estimation.measures import MeasureResult, MeasureState
from retrain_assets.experiment.look import Action, Cause, Look
from retrain_assets.experiment.loss.threshold_effect import Rule, ThresholdEffect


class FailureMode(StrEnum):
    """What a lost retrain failed by, in the order in which the modes are looked for.

    What would make the following ones unbelievable comes first: of broken records no effect can be believed; answers that fail
    or come late are no weakness of the model; a threshold that stands wrong can be moved; features that moved say why the model
    is weak where it is; what is left is the model.
    """

    DATA_QUALITY = "data_quality"
    LEAKAGE = "leakage"
    INFRASTRUCTURE = "infrastructure"
    THRESHOLD_SELECTION = "threshold_selection"
    FEATURE_DRIFT = "feature_drift"
    GENUINE_WEAKNESS = "genuine_weakness"
    NOT_WORTH_IT = "not_worth_it"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece of evidence for a mode.

    Args:
        mode: what it speaks for.
        name: what was looked at: a health check, a measure, a feature, a gate's check.
        sentence: what an auditor reads.
        observed: the measured value; None where there is none.
        limit: the value beyond which it speaks for the mode; None where there is none.
        decisive: whether it tells why this challenger lost to this champion; what is only true besides comes last.
    """

    mode: FailureMode
    name: str
    sentence: str
    observed: float | None = None
    limit: float | None = None
    decisive: bool = True

    @property
    def excess(self) -> float:
        """How many times the observed value is beyond its limit, on whichever side; 1 where one of them is missing or 0."""
        if not self.observed or not self.limit or not (math.isfinite(self.observed) and math.isfinite(self.limit)):
            return 1.0
        times = abs(self.observed / self.limit)
        return max(times, 1 / times)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; every number is finite or None."""
        return {name: finite(getattr(self, name)) for name in self.__slots__} | {"mode": self.mode.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Evidence:
        """The inverse of :meth:`to_json`."""
        return cls(**{**value, "mode": FailureMode(value["mode"])})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a challenger lost.

    Args:
        mode: the failure mode, that of the first piece of evidence.
        evidence: all evidence, strongest first: what is decisive, then by the order of the modes, within a mode by how far it is
            beyond its limit.
    """

    mode: FailureMode
    evidence: tuple[Evidence, ...]

    @property
    def sentence(self) -> str:
        """The strongest evidence as a sentence."""
        return self.evidence[0].sentence

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return {"mode": self.mode.value, "sentence": self.sentence, "evidence": [one.to_json() for one in self.evidence]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Failure:
        """The inverse of :meth:`to_json`."""
        return cls(FailureMode(value["mode"]), tuple(map(Evidence.from_json, value["evidence"])))


def failure_of_look(
    look: Look,
    *,
    technical_measures: Iterable[str] = (),
    thresholds: Sequence[ThresholdEffect] = (),
    found: Iterable[Evidence] = (),
) -> Failure:
    """Why a challenger lost at a look that rolls back or rejects, or at the last one before it was stopped otherwise.

    - ``data_quality``: health checks that fail, measures that could not be computed, records that did not come.
    - ``infrastructure``: technical guardrails (latency, errors) that are shown worse, when no business measure is, or besides.
    - ``threshold_selection``: a lost measure whose effect would have changed sign at a re-chosen threshold, by at least
      :data:`SHOWN` standard errors of the change; decisive when that is so of every lost measure.
    - ``feature_drift`` and further ``infrastructure`` as found on the technical side.
    - ``genuine_weakness``: a measure that is shown worse, with its size.
    - ``not_worth_it``: the net value's upper limit is below the contract's minimum.
    - ``inconclusive``: none of these, with the units it would have needed.

    Args:
        look: the look.
        technical_measures: names of the measures of latency and errors.
        thresholds: lost measures at a re-chosen threshold.
        found: evidence of other rooms (technical side of the view).
    """
    technical = set(technical_measures)
    worse = [result for result in look.results if result.state is MeasureState.WORSE]
    evidence = [*_unsound(look), *_silent(look), *found, *_missing(look)]
    evidence += [_lost(result, FailureMode.INFRASTRUCTURE) for result in worse if result.spec.name in technical]
    evidence += _thresholds(thresholds)
    evidence += [_lost(result, FailureMode.GENUINE_WEAKNESS) for result in worse if result.spec.name not in technical]
    evidence += _not_worth_it(look)
    if look.action is Action.REJECT or not any(one.decisive for one in evidence):
        evidence += _undecided(look)
    return strongest(evidence)


def failure_of_verdicts(verdicts: Iterable[Verdict]) -> Failure | None:
    """Why a candidate never met traffic, from the verdicts of gates data, training and offline; None where all passed.

    A check of gate data speaks for data quality, for leakage where it looks for leakage, for feature drift where it compares the
    hold-out with training. Gate training speaks for infrastructure, but a model no better than a naive one is weak. Gate offline
    speaks for weakness, calibration for the threshold (which stands on probabilities that are wrong), budgets for
    infrastructure. A check that ended in an error without judging speaks for infrastructure, one without enough rows for
    ``inconclusive``.
    """
    evidence = [_closed(verdict) for verdict in verdicts if not verdict.passed and verdict.gate in _OF_GATE]
    return strongest(evidence) if evidence else None


def failure_of_stage(stage: str, message: str) -> Failure:
    """Why a retrain failed whose stage could not produce its result: data where data are read, else infrastructure."""
    mode = FailureMode.DATA_QUALITY if stage in ("dataset", "features") else FailureMode.INFRASTRUCTURE
    return strongest([Evidence(mode, stage, f"stage {stage} could not produce its result: {message}")])


def strongest(evidence: Iterable[Evidence]) -> Failure:
    """The failure that evidence speaks for.

    Raises:
        ValueError: without any evidence.
    """
    ordered = sorted(evidence, key=lambda one: (not one.decisive, _PLACE[one.mode], -one.excess))
    if not ordered:
        raise ValueError("a failure needs evidence; there is none")
    return Failure(ordered[0].mode, tuple(ordered))


SHOWN = 1.96
"""Standard errors a change of the effect by a re-chosen threshold must have to be evidence."""

_PLACE = {mode: place for place, mode in enumerate(FailureMode)}

_OF_GATE = {
    Gate.DATA: FailureMode.DATA_QUALITY,
    Gate.TRAINING: FailureMode.INFRASTRUCTURE,
    Gate.OFFLINE: FailureMode.GENUINE_WEAKNESS,
}

_OF_CHECK = {
    "columns_are_known_in_time": FailureMode.LEAKAGE,
    "features_are_known_in_time": FailureMode.LEAKAGE,
    "labels_are_mature": FailureMode.LEAKAGE,
    "time_order_holds": FailureMode.LEAKAGE,
    "groups_are_separate": FailureMode.LEAKAGE,
    "no_single_feature_separates_label": FailureMode.LEAKAGE,
    "no_value_determines_label": FailureMode.LEAKAGE,
    "no_rows_shared_across_split": FailureMode.LEAKAGE,
    "holdout_resembles_training": FailureMode.FEATURE_DRIFT,
    "beats_baseline": FailureMode.GENUINE_WEAKNESS,
    "calibrated": FailureMode.THRESHOLD_SELECTION,
    "latency_within_budget": FailureMode.INFRASTRUCTURE,
    "size_within_budget": FailureMode.INFRASTRUCTURE,
}
"""Checks that speak for another mode than their gate does."""

_UNJUDGED = {Outcome.ERROR: FailureMode.INFRASTRUCTURE, Outcome.NO_DATA: FailureMode.INCONCLUSIVE}


def _closed(verdict: Verdict) -> Evidence:
    mode = _OF_CHECK.get(verdict.check, _OF_GATE[verdict.gate])
    if verdict.gate is not Gate.DATA:
        mode = _UNJUDGED.get(verdict.outcome, mode)
        if verdict.outcome is Outcome.INCONCLUSIVE:
            mode = FailureMode.INCONCLUSIVE
    observed, threshold = (value if isinstance(value, int | float) else None for value in (verdict.observed, verdict.threshold))
    return Evidence(mode, f"{verdict.gate.value}.{verdict.check}", verdict.message, observed, threshold)


def _unsound(look: Look) -> Iterator[Evidence]:
    for check in look.health:
        if not check.ok:
            sentence = f"the records are not sound, so no effect can be believed: {check.message}"
            yield Evidence(FailureMode.DATA_QUALITY, check.name, sentence, check.observed, check.threshold)


def _missing(look: Look) -> Iterator[Evidence]:
    for result in look.results:
        if result.state is MeasureState.ERROR:
            sentence = f"a measure could not be computed, so nothing it shows counts: {result.message}"
            yield Evidence(FailureMode.DATA_QUALITY, result.spec.name, sentence)


def _silent(look: Look) -> Iterator[Evidence]:
    if look.cause is Cause.MISSING_DATA:
        sentence = f"usable records did not come within the contract's grace: {look.reason}"
        yield Evidence(FailureMode.DATA_QUALITY, "missing_data", sentence)


def _lost(result: MeasureResult, mode: FailureMode) -> Evidence:
    harm = result.relative_estimate if result.relative_estimate is not None else result.estimate
    size = f" ({result.relative_estimate:+.1%})" if result.relative_estimate is not None else ""
    units = f"{result.n_champion + result.n_challenger} units"
    if mode is FailureMode.INFRASTRUCTURE:
        sentence = f"the challenger answers worse than the champion, on {units}: {result.message}"
    else:
        means = ""
        if result.champion_mean is not None and result.challenger_mean is not None:
            means = f" is {result.challenger_mean:.4g} against the champion's {result.champion_mean:.4g}{size} and"
        sentence = f"the challenger is weaker: {result.spec.name}{means} is shown to be worse, on {units}: {result.message}"
    return Evidence(mode, result.spec.name, sentence, harm, _limit(result))


def _limit(result: MeasureResult) -> float | None:
    spec = result.spec
    return spec.max_harm or spec.margin or spec.max_regression


def _thresholds(effects: Sequence[ThresholdEffect]) -> Iterator[Evidence]:
    cured = all(effect.changes_sign for effect in effects)
    for effect in effects:
        if not effect.changes_sign or effect.z < SHOWN:
            continue
        basis = (
            "on the champion's calibration"
            if effect.rule is Rule.SAME_PROBABILITY
            else "so that it decides positively as often as the champion"
        )
        yield Evidence(
            FailureMode.THRESHOLD_SELECTION,
            effect.measure,
            f"the effect changes sign when the decision threshold is re-chosen {basis}: {effect.measure} {effect.effect:+.3g} "
            f"(±{effect.effect_error:.2g}) at {effect.threshold:.3g} would have been {effect.rechosen_effect:+.3g} "
            f"(±{effect.rechosen_error:.2g}) at {effect.rechosen:.3g}; {effect.changed:,} of its decisions change, "
            f"{effect.rechosen_share:.1%} instead of {effect.share:.1%} are positive (champion {effect.champion_share:.1%})",
            effect.z if math.isfinite(effect.z) else None,
            SHOWN,
            decisive=cured,
        )


def _not_worth_it(look: Look) -> Iterator[Evidence]:
    value = look.net_value
    if value is not None and value.worth.value == "not_worth_it":
        yield Evidence(FailureMode.NOT_WORTH_IT, value.measure, value.message, value.upper, value.minimum or None)


def _undecided(look: Look) -> Iterator[Evidence]:
    """What was not shown in time, with the units it would have needed."""
    for result in look.results:
        if result.state not in (MeasureState.INCONCLUSIVE, MeasureState.NO_DATA) and not (
            result.spec.role == "success" and result.state is MeasureState.NON_INFERIOR
        ):
            continue
        had, needed, more = result.n_champion + result.n_challenger, units_needed(result), ""
        if needed is not None and math.isinf(needed):
            more = "; the effect seen is not on the side it would have to be on, so more units would not have shown it"
        elif needed is not None:
            more = f"; at the effect seen it would have needed about {max(needed, had + 1):,.0f} units, and had {had:,}"
        sentence = f"time ran out before it was shown: {result.message}{more}"
        yield Evidence(FailureMode.INCONCLUSIVE, result.spec.name, sentence, float(had), needed)
    if all(result.state in _SHOWN for result in look.results):
        sentence = f"nothing spoke against the challenger when it ended: {look.reason}"
        yield Evidence(FailureMode.INCONCLUSIVE, "experiment", sentence)


_SHOWN = (MeasureState.BETTER, MeasureState.NON_INFERIOR, MeasureState.WORSE)


def units_needed(result: MeasureResult) -> float | None:
    """Units of both arms at which the effect seen so far would have been shown, if it stays as it is.

    The distance of the limit from the estimate falls as one over the root of the units (the slow growth of the sequence's
    boundary left aside, so it is a lower estimate). None where there are no limits; infinity where the estimate itself is not
    beyond what must be shown.
    """
    spec = result.spec
    relative = spec.max_regression is not None or (spec.role == "success" and spec.min_effect > 0)
    estimate, lower, upper = (
        (result.relative_estimate, result.relative_lower, result.relative_upper)
        if relative
        else (result.estimate, result.lower, result.upper)
    )
    if estimate is None or lower is None or upper is None:
        return None
    gain, at_least = (estimate, lower) if spec.direction == "increase" else (-estimate, -upper)
    goal = (spec.min_effect or spec.min_gain) if spec.role == "success" else -(spec.margin or spec.max_regression or 0.0)
    if gain <= goal:
        return math.inf
    return (result.n_champion + result.n_challenger) * ((gain - at_least) / (gain - goal)) ** 2
