"""The outlook of an experiment: what each measure and all of them together can show in time, and what is in the way. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from retrain_assets.contract import Contract
from retrain_assets.experiment.plan import Plan
from retrain_assets.experiment.planning.course import Course
from retrain_assets.experiment.planning.obstacles import Obstacle, obstacles
from retrain_assets.experiment.planning.power import Looks, anytime_looks, planned_looks
from retrain_assets.experiment.planning.prospects import Inconclusive, Prospect, inconclusive, prospect_of
from retrain_assets.experiment.planning.ramp import StagePlan, course_of, stage_plans
from retrain_assets.experiment.planning.spreads import Spread


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an experiment can conclude in the time it has.

    Args:
        stages: the ramp below 100 per cent.
        course: how units come in.
        looks: the looks that may conclude, as guardrails are judged at them.
        earliest: first day since arming on which approval can be asked for.
        latest: last day, an extension included.
        prospects: what each measure can show.
        segments: what each guardrail with a segment margin can show in each segment that must keep it.
        unknown: measures nothing can be said about, with the reason.
        inconclusive: probability that not everything is shown, over ``prospects`` and ``segments``; None without any.
        obstacles: what keeps the experiment from concluding; empty when nothing that is known does.
    """

    stages: tuple[StagePlan, ...]
    course: Course
    looks: Looks
    earliest: float
    latest: float
    prospects: tuple[Prospect, ...]
    segments: tuple[Prospect, ...]
    unknown: Mapping[str, str]
    inconclusive: Inconclusive | None
    obstacles: tuple[Obstacle, ...]


def outlook(
    contract: Contract,
    units_a_day: float,
    spreads: Mapping[str, Spread | str],
    effects: Mapping[str, float] | None = None,
    segments: Mapping[str, float] | None = None,
) -> Outlook:
    """What the experiment of a contract can conclude.

    Args:
        contract: the contract.
        units_a_day: units of the cohort a day, above 0.
        spreads: per measure how much it varies, or in words why that is not known; a measure that is missing is not known. In a
            segment it is taken to vary as much.
        effects: true improvement per success measure, relative to the champion's mean; where missing it is assumed.
        segments: share of the units per segment (``column=value``), 0..1; segments too small to be judged are left out.
    """
    plan, stages = Plan.from_contract(contract), stage_plans(contract, units_a_day)
    course, latest = course_of(contract, stages, units_a_day), _days(contract.experiment.longest)
    earliest = _earliest(contract, stages, course)
    of_success = replace(plan, alpha=plan.alpha / len(contract.experiment.success))
    looks = _looks(contract, plan, course, earliest, latest)
    success_looks = _looks(contract, of_success, course, earliest, latest)
    prospects: list[Prospect] = []
    unknown: dict[str, str] = {}
    for spec in plan.measures:
        spread = spreads.get(spec.name, "its variance is not known")
        if not isinstance(spread, str):
            terms, at = (of_success, success_looks) if spec.role == "success" else (plan, looks)
            found = prospect_of(spec, spread, terms, course, at, (effects or {}).get(spec.name))
            if not isinstance(found, str):
                prospects.append(found)
                continue
            spread = found
        unknown[spec.name] = spread
    looks_end = course.stretches[0].begins + _days(plan.looks[-1]) if plan.looks else None
    in_segments = _in_segments(contract, plan, course, prospects, segments or {}, (earliest, latest))
    return Outlook(
        stages=stages,
        course=course,
        looks=looks,
        earliest=earliest,
        latest=latest,
        prospects=tuple(prospects),
        segments=in_segments,
        unknown=unknown,
        inconclusive=inconclusive([*prospects, *in_segments]),
        obstacles=obstacles(contract, units_a_day, (earliest, latest), looks_end, prospects, in_segments, unknown),
    )


def _earliest(contract: Contract, stages: Sequence[StagePlan], course: Course) -> float:
    """The first day on which the last stage has what it needs, and the experiment is old enough to ask for approval."""
    experiment = contract.experiment
    weeks = course.stretches[0].begins + 7 * experiment.full_weeks + course.maturing if experiment.full_weeks else 0.0
    return max(course.stretches[-1].begins + _days(stages[-1].duration), _days(experiment.min_duration), weeks)


def _looks(contract: Contract, plan: Plan, course: Course, earliest: float, latest: float) -> Looks:
    if plan.looks:
        after = [_days(one) for one in plan.looks]
        return planned_looks(course, alpha=plan.alpha, spending=plan.spending, after=after, latest=latest)
    every = _days(contract.experiment.look_every)
    return anytime_looks(
        course, alpha=plan.alpha, planned_units=plan.planned_units, earliest=earliest, latest=latest, every=every
    )


def _in_segments(
    contract: Contract,
    plan: Plan,
    course: Course,
    prospects: list[Prospect],
    segments: Mapping[str, float],
    within: tuple[float, float],
) -> tuple[Prospect, ...]:
    found = []
    judged = {name: share for name, share in sorted(segments.items()) if share >= plan.segment_min_share}
    guarded = [one for one in prospects if one.spec.segment_margin is not None]
    for name, share in judged.items() if guarded else ():
        part = replace(course, units_a_day=course.units_a_day * share)
        looks = _looks(contract, plan, part, *within)
        for one in guarded:
            shown = prospect_of(one.spec.in_segment(), one.spread, plan, part, looks)
            if isinstance(shown, Prospect):
                found.append(replace(shown, segment=name))
    return tuple(found)


def _days(duration: timedelta) -> float:
    return duration / timedelta(days=1)
