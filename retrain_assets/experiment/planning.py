"""The plan of an experiment in units and days: stages, what each measure can show, what keeps it from concluding. Pure.

Every unit is taken for a new one, and a stage lasts until its units have come and matured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from retrain_assets.contract import Contract
from retrain_assets.experiment.course import Course, Stretch
from retrain_assets.experiment.plan import Plan
from retrain_assets.experiment.power import CHANCE, FURTHEST, Looks, anytime_looks, planned_looks
from retrain_assets.experiment.prospects import Inconclusive, Prospect, inconclusive, prospect_of
from retrain_assets.experiment.spreads import Spread
from retrain_assets.experiment.statistics import SHADOW


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What one stage needs before the ramp goes on.

    Args:
        stage: its label.
        share: the challenger's share of the cohort, 0..1; in shadow every unit is scored by both.
        challenger_units: units on the challenger before the ramp goes on (in shadow: units scored by both).
        cohort_units: units of the cohort that takes.
        filling: time until that many came.
        maturing: time until the last of them counts (the outcome window; none in shadow).
        shortest: shortest time in a stage, whatever the units.
    """

    stage: str
    share: float
    challenger_units: int
    cohort_units: int
    filling: timedelta
    maturing: timedelta
    shortest: timedelta

    @property
    def duration(self) -> timedelta:
        """Time in the stage."""
        return max(self.filling + self.maturing, self.shortest)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that keeps the experiment from concluding before it must end.

    Args:
        field: the field of the contract it is about, as ``guardrails.missed_late_rate``.
        what: what is wrong, in one clause.
        remedy: what to write instead.
    """

    field: str
    what: str
    remedy: str

    @property
    def line(self) -> str:
        """Both in one line."""
        return f"{self.field}: {self.what}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an experiment can conclude in the time it has.

    Args:
        stages: the ramp below 100 per cent.
        course: how units come in.
        looks: the looks that may conclude.
        earliest: first day since arming on which approval can be asked for.
        latest: last day, an extension included.
        prospects: what each measure can show.
        unknown: measures nothing can be said about, with the reason.
        inconclusive: probability that not everything is shown, over the measures in ``prospects``; None without any.
        obstacles: what keeps the experiment from concluding; empty when nothing that is known does.
    """

    stages: tuple[StagePlan, ...]
    course: Course
    looks: Looks
    earliest: float
    latest: float
    prospects: tuple[Prospect, ...]
    unknown: Mapping[str, str]
    inconclusive: Inconclusive | None
    obstacles: tuple[Obstacle, ...]


def outlook(
    contract: Contract,
    units_a_day: float,
    spreads: Mapping[str, Spread | str],
    effects: Mapping[str, float] | None = None,
) -> Outlook:
    """What the experiment of a contract can conclude.

    Args:
        contract: the contract.
        units_a_day: units of the cohort a day, above 0.
        spreads: per measure how much it varies, or in words why that is not known; a measure that is missing is not known.
        effects: true improvement per success measure, relative to the champion's mean; where missing it is assumed.
    """
    plan, stages = Plan.from_contract(contract), stage_plans(contract, units_a_day)
    course, latest = course_of(contract, stages, units_a_day), _days(contract.experiment.longest)
    earliest = _earliest(contract, stages, course)
    looks = _looks(contract, plan, course, earliest, latest)
    prospects: list[Prospect] = []
    unknown: dict[str, str] = {}
    for spec in plan.measures:
        spread = spreads.get(spec.name, "its variance is not known")
        if not isinstance(spread, str):
            found = prospect_of(spec, spread, plan, course, looks, (effects or {}).get(spec.name))
            if not isinstance(found, str):
                prospects.append(found)
                continue
            spread = found
        unknown[spec.name] = spread
    return Outlook(
        stages=stages,
        course=course,
        looks=looks,
        earliest=earliest,
        latest=latest,
        prospects=tuple(prospects),
        unknown=unknown,
        inconclusive=inconclusive(prospects),
        obstacles=_obstacles(contract, units_a_day, earliest, latest, looks, prospects),
    )


def stage_plans(contract: Contract, units_a_day: float | None = None) -> tuple[StagePlan, ...]:
    """What every stage below 100 per cent needs, in order, at so many units of the cohort a day (the expected ones by default)."""
    experiment, plans = contract.experiment, []
    for stage in Plan.from_contract(contract).ramp:
        share = 1.0 if stage == SHADOW else float(stage) / 100
        cohort = math.ceil(experiment.min_stage.units / share)
        plans.append(
            StagePlan(
                stage=stage,
                share=share,
                challenger_units=experiment.min_stage.units,
                cohort_units=cohort,
                filling=timedelta(days=cohort / (units_a_day or experiment.expected_units_per_day)),
                maturing=timedelta(0) if stage == SHADOW else experiment.outcome_window,
                shortest=experiment.min_stage.duration,
            )
        )
    return tuple(plans)


def course_of(contract: Contract, stages: tuple[StagePlan, ...], units_a_day: float) -> Course:
    """How units come in when every stage lasts as long as it needs, and the last one until the end."""
    begins, stretches = 0.0, []
    for number, one in enumerate(stages):
        ends = math.inf if number + 1 == len(stages) else begins + _days(one.duration)
        if one.stage != SHADOW:
            stretches.append(Stretch(one.stage, one.share, begins, ends))
        begins = ends
    return Course(tuple(stretches), units_a_day, _days(contract.experiment.outcome_window))


def _earliest(contract: Contract, stages: tuple[StagePlan, ...], course: Course) -> float:
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


def _obstacles(
    contract: Contract, units_a_day: float, earliest: float, latest: float, looks: Looks, prospects: list[Prospect]
) -> tuple[Obstacle, ...]:
    experiment = contract.experiment
    limit = "max_duration" if experiment.extend_to is None else "extend_to"
    if earliest > latest:
        field, remedy = _slowest(contract, units_a_day)
        what = (
            f"at {units_a_day:,.0f} units a day approval can be asked for on day {earliest:,.1f} at the earliest, "
            f"and {limit} is {latest:g}d"
        )
        return (Obstacle(field, what, f"{remedy}, or lengthen {limit}"),)
    found: list[Obstacle] = []
    if experiment.looks is not None and looks.count < len(experiment.looks.after):
        last = looks_end(contract, units_a_day)
        if last > latest:
            what = f"the last planned look falls on day {last:,.1f} after arming, and {limit} is {latest:g}d"
            remedy = f"let the last look be {latest - last + _days(experiment.looks.after[-1]):.0f}d, or lengthen {limit}"
            found.append(Obstacle("looks.after", what, remedy))
    found += [_shortfall(one, units_a_day, limit, latest) for one in prospects if one.chance < CHANCE and one.truth_is_declared]
    return tuple(found)


def looks_end(contract: Contract, units_a_day: float) -> float:
    """Days since arming at which the last planned look falls; 0 without planned looks."""
    experiment, stages = contract.experiment, stage_plans(contract, units_a_day)
    begins = course_of(contract, stages, units_a_day).stretches[0].begins
    return begins + _days(experiment.looks.after[-1]) if experiment.looks else 0.0


def _slowest(contract: Contract, units_a_day: float) -> tuple[str, str]:
    """What makes the ramp too long: units, when filling them takes longer than the time a stage lasts anyway."""
    stages = stage_plans(contract, units_a_day)
    if any(one.filling + one.maturing > one.shortest for one in stages):
        return "min_stage.units", f"lower it below {contract.experiment.min_stage.units}, begin with a wider stage"
    return "min_stage.duration", "shorten it, or min_duration or full_weeks, take a stage out of the ramp"


def _shortfall(one: Prospect, units_a_day: float, limit: str, latest: float) -> Obstacle:
    kind = "guardrails" if one.spec.role == "guardrail" else "success"
    if one.units is None or one.days is None:
        needs = f"needs more than {FURTHEST:g} times the time there is"
    else:
        needs = f"needs {one.units:,} units, {math.ceil(one.days)} days at {units_a_day:,.0f} a day"
    what = f"{_asked(one)} {needs} to be shown with a chance of {CHANCE:.0%} (it has {one.chance:.0%}); {limit} is {latest:g}d"
    ways = [f"lengthen {limit} to {math.ceil(one.days)}d"] if one.days is not None else []
    return Obstacle(f"{kind}.{one.spec.name}", what, ", ".join([_way_out(one), *ways]) + ", or take variance out with adjust_for")


def _asked(one: Prospect) -> str:
    spec = one.spec
    if spec.role == "guardrail":
        return f"margin {spec.margin:g}" if spec.margin is not None else f"max_regression {spec.max_regression:.3%}"
    bar = f"min_effect {spec.min_effect:.3%}" if spec.min_effect else f"min_gain {spec.min_gain:g}"
    relative = one.relative(one.effect)
    return f"{bar} at a true improvement of {one.effect:.3g}" + (f" ({relative:.1%})" if relative is not None else "")


def _way_out(one: Prospect) -> str:
    spec, detectable = one.spec, one.detectable
    if spec.role == "success":
        lower = "min_effect" if spec.min_effect else "min_gain" if spec.min_gain else "the effect that is planned for"
        return f"lower {lower}" if lower.startswith("min") else f"plan for a larger effect than {one.relative(one.effect):.1%}"
    field = "margin" if spec.margin is not None else "max_regression"
    wide = detectable if spec.margin is not None else one.relative(detectable)
    return f"widen {field}" + (f" to {wide:.2g} or more" if wide is not None and math.isfinite(wide) else "")


def _days(duration: timedelta) -> float:
    return duration / timedelta(days=1)
