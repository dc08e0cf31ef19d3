"""The one view of a canary: business measures beside the technical side, in total and per segment, and what each of them says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from statistics import median
from typing import Any

from retrain_assets.contract import Contract, finite
from retrain_assets.contract.experiment import EXPOSURE_MEASURES
from retrain_assets.experiment.estimation.measures import MeasureResult, MeasureState
from retrain_assets.experiment.look import Action, Look
from retrain_assets.experiment.loss.failure_modes import Evidence, Failure, FailureMode, failure_of_look
from retrain_assets.experiment.loss.threshold_effect import ThresholdEffect
from retrain_assets.gates.technical_health import FARTHER, TechnicalLimits, judged
from retrain_assets.gates.technical_side import FeatureShift, Health, Problem, TechnicalSide

TOTAL = "total"
"""Name of the row over all segments."""

MOVED = 0.25
"""Population stability index, chance taken off and times its importance, from which a feature is called moved since training."""


SHOWN_FEATURES = 3
"""Moved features that are given as evidence."""


class Commercial(StrEnum):
    """What the business measures say."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class BusinessLine:
    """One measure of the look, short: the arms' means, the change and its limits as in its ``MeasureResult``."""

    measure: str
    role: str
    state: MeasureState
    technical: bool
    champion: float | None
    challenger: float | None
    estimate: float | None
    lower: float | None
    upper: float | None
    relative_estimate: float | None

    @classmethod
    def of(cls, result: MeasureResult, technical: bool) -> BusinessLine:
        """The line of a result."""
        return cls(
            measure=result.spec.name,
            role=result.spec.role,
            state=result.state,
            technical=technical,
            champion=result.champion_mean,
            challenger=result.challenger_mean,
            estimate=result.estimate,
            lower=result.lower,
            upper=result.upper,
            relative_estimate=result.relative_estimate,
        )

    @property
    def words(self) -> str:
        """The measure with both means: ``cost 10 → 10.8``."""
        if self.champion is None or self.challenger is None:
            return self.measure
        change = f" ({self.relative_estimate:+.1%})" if self.relative_estimate is not None else ""
        return f"{self.measure} {self.champion:.4g} → {self.challenger:.4g}{change}"


@dataclass(frozen=True, slots=True)
class ViewRow:
    """One row of the view: the total or a segment.

    Args:
        name: ``total`` or the segment (``column=value``).
        business: the measures, in the order of the contract.
        technical: the technical side.
    """

    name: str
    business: tuple[BusinessLine, ...]
    technical: TechnicalSide

    @property
    def commercial(self) -> Commercial:
        """Worse when any business measure is shown worse; better when a success measure is and none is worse; else unclear."""
        lines = [line for line in self.business if not line.technical]
        if any(line.state is MeasureState.WORSE for line in lines):
            return Commercial.WORSE
        if any(line.state is MeasureState.BETTER for line in lines):
            return Commercial.BETTER
        return Commercial.UNCLEAR

    @property
    def health(self) -> Health:
        """Whether the challenger is healthy technically; a technical guardrail that is lost makes it unhealthy."""
        return Health.UNHEALTHY if self.problems else self.technical.health

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is not healthy, lost technical guardrails first."""
        lost = tuple(
            Problem(line.measure, f"guardrail {line.words} is shown worse", line.estimate)
            for line in self.business
            if line.technical and line.state is MeasureState.WORSE
        )
        return (*lost, *self.technical.problems)

    @property
    def sentence(self) -> str:
        """Technically healthy or not, commercially better, worse or unclear, in one sentence."""
        return _sentence(self)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; every number is finite or None."""
        return {
            "name": self.name,
            "business": [
                {name: finite(getattr(line, name)) for name in line.__slots__} | {"state": line.state.value}
                for line in self.business
            ],
            "technical": self.technical.to_json(),
            "commercial": self.commercial.value,
            "health": self.health.value,
            "problems": [{name: finite(getattr(one, name)) for name in one.__slots__} for one in self.problems],
            "sentence": self.sentence,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ViewRow:
        """The inverse of :meth:`to_json`."""
        return cls(
            name=value["name"],
            business=tuple(BusinessLine(**{**line, "state": MeasureState(line["state"])}) for line in value["business"]),
            technical=TechnicalSide.from_json(value["technical"]),
        )


@dataclass(frozen=True, slots=True)
class CanaryView:
    """Everything a release owner looks at, side by side.

    Args:
        at: when, UTC.
        stage: stage of the ramp.
        total: the row over everything.
        segments: one row per segment, the largest first.
        thresholds: lost measures at a re-chosen decision threshold; empty where none was lost or labels are missing.
        limits: what is called unhealthy.
        notes: what is not available and why, what was sampled; sentences.
        worst_segment: the segment the losing measure is worst in; None without segments or without a loss.
    """

    at: datetime
    stage: str
    total: ViewRow
    segments: tuple[ViewRow, ...] = ()
    thresholds: tuple[ThresholdEffect, ...] = ()
    limits: TechnicalLimits = field(default_factory=TechnicalLimits)
    notes: tuple[str, ...] = ()
    worst_segment: str | None = None

    @property
    def sentence(self) -> str:
        """The verdict of the total; with the segments that say otherwise."""
        more = []
        for row in self.segments:
            if row.commercial is Commercial.WORSE and self.total.commercial is not Commercial.WORSE:
                more.append(f"{row.name} is worse commercially")
            elif row.health is Health.UNHEALTHY and self.total.health is not Health.UNHEALTHY:
                more.append(f"{row.name}: {row.problems[0].sentence}")
        others = f" (and {len(more) - 1} more segments)" if len(more) > 1 else ""
        return "; but ".join([self.total.sentence, *more[:1]]) + others

    def row(self, name: str) -> ViewRow | None:
        """The row of a segment, or the total."""
        return next((row for row in (self.total, *self.segments) if row.name == name), None)

    def failure(self, look: Look) -> Failure:
        """Why the challenger lost at this look (docs/statistics.md, "Why it lost")."""
        technical = [line.measure for line in self.total.business if line.technical]
        return failure_of_look(
            look, technical_measures=technical, thresholds=self.thresholds, found=[*self._unanswered(), *self._moved_features()]
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict: times as ISO 8601, every number finite or None."""
        return {
            "at": self.at.isoformat(),
            "stage": self.stage,
            "sentence": self.sentence,
            "total": self.total.to_json(),
            "segments": [row.to_json() for row in self.segments],
            "thresholds": [effect.to_json() for effect in self.thresholds],
            "limits": self.limits.to_json(),
            "notes": list(self.notes),
            "worst_segment": self.worst_segment,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CanaryView:
        """The inverse of :meth:`to_json`."""
        return cls(
            at=datetime.fromisoformat(value["at"]),
            stage=value["stage"],
            total=ViewRow.from_json(value["total"]),
            segments=tuple(map(ViewRow.from_json, value["segments"])),
            thresholds=tuple(map(ThresholdEffect.from_json, value["thresholds"])),
            limits=TechnicalLimits(**value["limits"]),
            notes=tuple(value["notes"]),
            worst_segment=value["worst_segment"],
        )

    def _unanswered(self) -> Iterator[Evidence]:
        for problem in self.total.technical.problems:
            if problem.name in ("error_share", "no_answers", "latency_p95"):
                text = f"the challenger's answers fail or come late: {problem.sentence}"
                yield Evidence(FailureMode.INFRASTRUCTURE, problem.name, text, problem.observed, problem.limit)

    def _moved_features(self) -> Iterator[Evidence]:
        """Features that moved where the loss is worst; decisive when they moved there and not everywhere alike, or moved away
        from the challenger's training and not as much from the champion's: else both models met the same drift."""
        row = self.row(self.worst_segment or TOTAL)
        if row is None:
            return
        where = f"the worst segment ({self.worst_segment})" if self.worst_segment else "the live rows"
        moved = [one for one in row.technical.challenger_features if one.shown and one.same_segment and one.weighted >= MOVED]
        for shift in moved[:SHOWN_FEATURES]:
            others = [
                _shift_of(other.technical.challenger_features, shift.feature) for other in self.segments if other is not row
            ]
            champions = self.total.technical.champion_features
            elsewhere = median(others) if others else None
            mine, theirs = (
                _shift_of(features, shift.feature) for features in (self.total.technical.challenger_features, champions)
            )
            here_only = elsewhere is not None and shift.corrected_psi >= FARTHER * elsewhere
            farther = mine >= FARTHER * theirs if champions else elsewhere is None
            more = ""
            if here_only:
                more = f"; in the other segments it moved by {elsewhere:.2g}"
            elif farther and champions:
                more = f"; from the champion's training it is {theirs:.2g} away"
            elif not farther:
                more = "; it moved alike in the other segments or for the champion, so it does not say why the challenger lost"
            yield Evidence(
                FailureMode.FEATURE_DRIFT,
                shift.feature,
                _moved(shift, where) + more,
                shift.weighted,
                MOVED,
                decisive=here_only or farther,
            )


def look_document(look: Look, view: CanaryView) -> dict[str, Any]:
    """What is recorded of a look: its own JSON, the view as ``view`` and, where it ends the experiment, why as ``failure``.

    :meth:`~retrain_assets.experiment.Look.from_json` reads the look back from it.
    """
    ends = look.action in (Action.ROLL_BACK, Action.REJECT)
    return {**look.to_json(), "view": view.to_json(), "failure": view.failure(look).to_json() if ends else None}


def failure_of_document(document: Mapping[str, Any]) -> Failure:
    """Why the challenger lost by a recorded look, made with or without a view."""
    if document.get("failure"):
        return Failure.from_json(document["failure"])
    look = Look.from_json(document)
    return CanaryView.from_json(document["view"]).failure(look) if document.get("view") else failure_of_look(look)


def technical_measures(contract: Contract) -> frozenset[str]:
    """Names of the measures that read only latency and errors of the exposures."""
    measures = {**contract.experiment.success, **contract.experiment.guardrails}
    return frozenset(name for name, one in measures.items() if set(one.columns_of(name)) <= set(EXPOSURE_MEASURES))


def canary_view(
    look: Look,
    contract: Contract,
    technical: Mapping[str, TechnicalSide],
    *,
    thresholds: Sequence[ThresholdEffect] = (),
    notes: Sequence[str] = (),
) -> CanaryView:
    """The view of a look.

    Args:
        look: the look: business measures, in total and per segment.
        contract: limits, and which measures are technical ones.
        technical: the technical side by row, ``total`` and segments, not judged yet.
        thresholds: lost measures at a re-chosen threshold.
        notes: what is not available and why.
    """
    limits, kinds = TechnicalLimits.from_contract(contract), technical_measures(contract)

    def row(name: str, results: Sequence[MeasureResult]) -> ViewRow:
        lines = tuple(BusinessLine.of(result, result.spec.name in kinds) for result in results)
        return ViewRow(name, lines, judged(technical[name], limits))

    segments = [row(name, look.segments.get(name, ())) for name in technical if name != TOTAL]
    return CanaryView(
        at=look.at,
        stage=look.stage,
        total=row(TOTAL, look.results),
        segments=tuple(sorted(segments, key=lambda one: -one.technical.champion.requests - one.technical.challenger.requests)),
        thresholds=tuple(thresholds),
        limits=limits,
        notes=tuple(notes),
        worst_segment=worst_segment(look, kinds),
    )


def lost_measures(look: Look, kinds: frozenset[str] = frozenset()) -> list[MeasureResult]:
    """The business measures that are shown worse; where none is, those on the bad side that show nothing good. Success first."""
    business = [result for result in look.results if result.spec.name not in kinds]
    lost = [result for result in business if result.state is MeasureState.WORSE] or [
        result for result in business if result.state is MeasureState.INCONCLUSIVE and (_harm(result) or 0.0) > 0
    ]
    return sorted(lost, key=lambda one: one.spec.role != "success")


def worst_segment(look: Look, kinds: frozenset[str] = frozenset()) -> str | None:
    """The segment in which the first lost measure is harmed most, by the estimate shrunk towards the total where there is one."""
    lost = lost_measures(look, kinds)
    if not lost:
        return None
    harms = {
        name: harm
        for name, results in look.segments.items()
        for result in results
        if result.spec.name == lost[0].spec.name and (harm := _harm(result)) is not None and harm > 0
    }
    return max(harms, key=lambda name: harms[name], default=None)


def _harm(result: MeasureResult) -> float | None:
    estimate = result.shrunk_estimate if result.shrunk_estimate is not None else result.estimate
    if estimate is None:
        return None
    return -estimate if result.spec.direction == "increase" else estimate


def _shift_of(shifts: Sequence[FeatureShift], feature: str) -> float:
    return next((one.corrected_psi for one in shifts if one.feature == feature and one.shown), 0.0)


def _moved(shift: FeatureShift, where: str) -> str:
    means = ""
    if shift.mean_before is not None and shift.mean_after is not None:
        means = f" (mean {shift.mean_before:.3g} → {shift.mean_after:.3g})"
    size = f"{shift.feature} by PSI {shift.psi:.2g}{means}, on {shift.rows:,} live rows"
    return f"the features of {where} moved since training: {size}"


def _sentence(row: ViewRow) -> str:
    worse = [line.words for line in row.business if not line.technical and line.state is MeasureState.WORSE]
    better = [line.words for line in row.business if not line.technical and line.state is MeasureState.BETTER]
    problems = " and ".join(one.sentence for one in row.problems[:2])
    if len(row.problems) > 2:
        problems += f", and {len(row.problems) - 2} more"
    commercial, health = row.commercial, row.health
    if health is Health.UNHEALTHY:
        if commercial is Commercial.BETTER:
            return f"better commercially ({', '.join(better)}), but the challenger is not healthy technically: {problems}"
        if commercial is Commercial.WORSE:
            return f"worse commercially ({', '.join(worse)}) and not healthy technically: {problems}"
        return f"not healthy technically: {problems}; commercially nothing is shown yet"
    side = "healthy technically" if health is Health.HEALTHY else "technically not to be judged yet"
    if commercial is Commercial.BETTER:
        return f"{side}, better commercially: {', '.join(better)}"
    if commercial is Commercial.WORSE:
        return f"{side}, worse commercially: {', '.join(worse)}"
    return f"{side}, commercially nothing is shown yet"
