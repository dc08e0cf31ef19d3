"""Every measure's state at one look, over all units and in segments, with the error levels that hold for all of them together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from retrain_assets.experiment.data import CanaryData, StageCounts
from retrain_assets.experiment.decision.planned_looks import boundary
from retrain_assets.experiment.estimation.measures import MeasureResult, MeasureState, PlannedBoundary, judge
from retrain_assets.experiment.estimation.segments import moves_against_total, with_shrunk_estimates
from retrain_assets.experiment.estimation.statistics import MeasureStatistics
from retrain_assets.experiment.look import Look, PlannedLook
from retrain_assets.experiment.plan import MeasureSpec, Plan


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one look shows.

    Args:
        results: one per measure of the plan, in its order.
        segments: the same per segment, sorted by name.
        judged_segments: names of those that are large enough to be held to segment margins.
        guarded: the guardrails with a segment margin in the judged segments, each with the segment's name.
        warnings: sentences the release owner should read.
    """

    results: tuple[MeasureResult, ...]
    segments: Mapping[str, tuple[MeasureResult, ...]]
    judged_segments: tuple[str, ...]
    guarded: tuple[tuple[str, MeasureResult], ...]
    warnings: tuple[str, ...]


def judge_all(data: CanaryData, plan: Plan, *, planned: tuple[PlannedLook, ...], before: Look | None) -> Judgement:
    """Judge every measure, over all units and in every segment.

    One success measure that wins is enough, so each of k is judged at alpha / k (Bonferroni; Holm's first step is the same).
    Guardrails must all hold, and each segment margin in every judged segment, which needs no correction on that side
    (intersection-union: Berger 1982); that a segment is *worse* is called at alpha over the number of segment margins judged.

    Args:
        data: the aggregated canary.
        plan: measures, error level, planned looks.
        planned: at a planned look those taken so far, this one last; empty at any other look.
        before: the look before, whose planned limits stand until the next planned look.
    """
    success = sum(spec.role == "success" for spec in plan.measures)
    levels = [plan.alpha / success if spec.role == "success" else plan.alpha for spec in plan.measures]
    bounds = [PlannedBoundary(planned[-1].number, boundary(plan, planned, level)) if planned else None for level in levels]
    results = tuple(
        judge(spec, data.measures.get(spec.name, _NOBODY), plan, alpha=level, harm_alpha=plan.alpha, planned=bound)
        for spec, level, bound in zip(plan.measures, levels, bounds, strict=True)
    )
    segments = with_shrunk_estimates(_segments(data, plan, bounds), data.segments)
    if before is not None and plan.looks and not planned:
        results = _standing(results, before.results)
        segments = {name: _standing(those, before.segments.get(name, ())) for name, those in segments.items()}
    judged_segments = tuple(name for name in segments if _is_large(name, data, plan))
    guarded = tuple((name, one) for name in judged_segments for one in segments[name] if one.spec.segment_margin is not None)
    warnings = (
        *_unguarded(segments, judged_segments, plan),
        *_never_seen(segments, plan),
        *_leaning(results),
        *moves_against_total(results, segments, plan.high_value),
    )
    return Judgement(results, segments, judged_segments, guarded, warnings)


_NOBODY = MeasureStatistics()


def _segments(data: CanaryData, plan: Plan, bounds: Sequence[PlannedBoundary | None]) -> dict[str, tuple[MeasureResult, ...]]:
    """Every measure in every segment, guardrails at their segment margins; segments sorted by name."""
    names = sorted({*data.segments, *data.segment_stages})
    guarded = sum(spec.segment_margin is not None for spec in plan.measures)
    judged = guarded * sum(_is_large(name, data, plan) for name in names)
    return {
        name: tuple(
            judge(
                spec.in_segment(),
                data.segments.get(name, {}).get(spec.name, _NOBODY),
                plan,
                harm_alpha=plan.alpha / max(judged, 1) if spec.segment_margin is not None else None,
                planned=bound,
            )
            for spec, bound in zip(plan.measures, bounds, strict=True)
        )
        for name in names
    }


def _is_large(name: str, data: CanaryData, plan: Plan) -> bool:
    """Whether the segment has the share of the matured units from which on it must keep its margins."""
    total = _matured(data.stages)
    return total > 0 and _matured(data.segment_stages.get(name, ())) >= plan.segment_min_share * total


def _matured(stages: Sequence[StageCounts]) -> int:
    return sum(one.champion.matured + one.challenger.matured for one in stages if not one.is_shadow)


def _standing(results: tuple[MeasureResult, ...], before: Sequence[MeasureResult]) -> tuple[MeasureResult, ...]:
    """What the last planned look showed stands until the next one, also through looks that could not be judged; harm ends it, and
    so does an estimate that no longer reaches what was shown (records were corrected, or the effect is gone)."""
    earlier = {one.spec: one for one in before}
    return tuple(_stands(one, earlier.get(one.spec)) for one in results)


def _stands(result: MeasureResult, before: MeasureResult | None) -> MeasureResult:
    if before is None or result.state is MeasureState.WORSE:
        return result
    limit, relative = before.planned_limit, before.planned_relative
    kept = replace(result, planned_limit=limit, planned_relative=relative)
    if result.state is not MeasureState.INCONCLUSIVE or not _shows(result.spec, limit, relative):
        return kept
    if not _shows(result.spec, result.estimate, result.relative_estimate):
        return replace(kept, message=f"{result.message}; what the last planned look showed is no longer what is seen")
    state = MeasureState.BETTER if result.spec.role == "success" else MeasureState.NON_INFERIOR
    return replace(kept, state=state, message=f"{result.spec.name}: {_SHOWN[state]}, and no harm since ({result.message})")


_SHOWN = {
    MeasureState.BETTER: "shown better at the last planned look",
    MeasureState.NON_INFERIOR: "shown non-inferior at the last planned look",
}


def _shows(spec: MeasureSpec, limit: float | None, relative: float | None) -> bool:
    """Whether a limit or an estimate, absolute and relative, is beyond what the measure must show."""
    sign = 1.0 if spec.direction == "increase" else -1.0
    if spec.role == "guardrail":
        needed, found = (-spec.margin, limit) if spec.margin is not None else (-(spec.max_regression or 0.0), relative)
    elif spec.min_gain > 0:
        needed, found = spec.min_gain, limit
    else:
        needed, found = spec.min_effect, relative if spec.min_effect > 0 else limit
    return found is not None and sign * found > needed


def _unguarded(segments: Collection[str], judged: Collection[str], plan: Plan) -> Iterator[str]:
    """Segment margins that hold for nobody, because every segment is too small."""
    if segments and not judged and any(spec.segment_margin is not None for spec in plan.measures):
        yield (
            f"none of {len(segments)} segments has {plan.segment_min_share:.1%} of the units, so no segment margin is judged; "
            "lower segment_min_share in the next contract"
        )


def _never_seen(segments: Collection[str], plan: Plan) -> Iterator[str]:
    """High-value segments without a unit, of which nothing can ever be said: mostly a value that is misspelt."""
    unseen = [name for name in plan.high_value if name not in segments]
    if segments and unseen:
        seen = ", ".join(list(segments)[:MOST_NAMED]) + (f" and {len(segments) - MOST_NAMED} more" * (len(segments) > MOST_NAMED))
        yield f"no unit of the high-value segment {', '.join(unseen)} was seen, only of {seen}; is high_value misspelt"


MOST_NAMED = 5
"""Segments a sentence names."""


def _leaning(results: Sequence[MeasureResult]) -> Iterator[str]:
    """Success measures that seem to get worse while another one wins: not shown, so they do not decide."""
    success = [one for one in results if one.spec.role == "success"]
    winners = ", ".join(one.spec.name for one in success if one.state is MeasureState.BETTER)
    for one in success:
        sign = 1.0 if one.spec.direction == "increase" else -1.0
        if winners and one.state is not MeasureState.BETTER and one.estimate is not None and sign * one.estimate < 0:
            yield f"{winners} wins, but {one.spec.name} leans to the worse: {one.message}"
