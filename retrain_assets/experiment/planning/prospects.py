"""What each measure of an experiment can show in the time there is: chances, units and days, and all of them together. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from retrain_assets.experiment.plan import MeasureSpec, Plan
from retrain_assets.experiment.planning.course import Course
from retrain_assets.experiment.planning.power import CHANCE, Looks
from retrain_assets.experiment.planning.question import Need, Question
from retrain_assets.experiment.planning.spreads import Spread

ASSUMED_MULTIPLE = 2.0
"""A success measure is taken to improve by this many times the improvement it must show."""

ASSUMED_RELATIVE = 0.05
"""And by this share of the champion's mean where nothing has to be exceeded but 0."""

Truth = Literal["given", "assumed", "no difference"]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What one measure can show.

    Args:
        spec: the measure; of a guardrail in a segment with the margin it has there.
        spread: how much it varies.
        effect: true improvement it is computed for, in the unit of the measure (0 for a guardrail).
        truth: where that comes from.
        bar: improvement that must be shown, in the unit of the measure; below 0 for a guardrail (its margin).
        exact: whether it still has the exact bounds of few events at the last look.
        by_day: for each look before the end, the day since arming, matured units of both arms by then, and the chance that it has
            been shown by then.
        at_the_end: chance that the last look itself shows it.
        units: units of both arms at which it is shown with the chance ``CHANCE``; None where no time is enough.
        days: day since arming of the first look by which it is; None likewise. Looks may have to wait for other reasons.
        alone: what every stage with traffic would need by itself.
        detectable: smallest true improvement (success) or smallest margin (guardrail) that is shown before the end with the
            chance ``CHANCE``, in the unit of the measure; None where there is none.
        segment: the segment (``column=value``) it must be shown in; None for all units.
    """

    spec: MeasureSpec
    spread: Spread
    effect: float
    truth: Truth
    bar: float
    exact: bool
    by_day: tuple[tuple[float, int, float], ...]
    at_the_end: float
    units: int | None
    days: float | None
    alone: tuple[Need, ...]
    detectable: float | None
    segment: str | None = None

    @property
    def chance(self) -> float:
        """Chance that it has been shown by the end."""
        return self.by_day[-1][2] if self.by_day else 0.0

    @property
    def truth_is_declared(self) -> bool:
        """Whether the contract or a person says what it is planned for; a success measure with no bar above 0 says nothing."""
        return self.truth != "assumed" or self.bar > 0

    def relative(self, value: float | None) -> float | None:
        """A value in the unit of the measure over the champion's mean; None where that is 0."""
        return value / abs(self.spread.champion_mean) if value is not None and self.spread.champion_mean else None


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """Probability that the experiment ends without enough shown, if every effect is as taken.

    Enough is one success measure and every guardrail. Measures of the same units depend on each other in a way nobody knows
    before, so there are bounds that always hold (Boole, Bonferroni), and the value for independent measures.

    Args:
        at_least: the least likely guardrail is not shown by any look, or no success measure is.
        independent: one minus the product of the guardrails' chances and that of any success measure.
        at_most: the last look does not show the likeliest success measure, or not some guardrail.
    """

    at_least: float
    independent: float
    at_most: float


def prospect_of(
    spec: MeasureSpec, spread: Spread, plan: Plan, course: Course, looks: Looks, given: float | None = None
) -> Prospect | str:
    """What one measure can show, or in words why that cannot be said.

    Args:
        spec: the measure, with what must be shown.
        spread: how much it varies.
        plan: error level and tuning.
        course: how units come in.
        looks: the looks that may conclude.
        given: true improvement relative to the champion's mean (success measures); assumed where None.
    """
    mean, relative = abs(spread.champion_mean), _is_relative(spec)
    if relative and not mean:
        return "its mean on the champion is 0, so a relative change is not defined; write an absolute one (margin, min_gain)"
    bar = _bar(spec) * (mean if relative else 1.0)
    effect, truth = _truth(spec, bar, mean, given)
    if spec.role == "success" and effect == 0:
        return "its mean on the champion is 0, so no effect can be assumed; write min_gain, the improvement that must be shown"
    question = Question(spec, spread, plan, course, effect, bar)
    chances = question.chances(looks)
    days = next((day for day, chance in zip(looks.days, chances, strict=True) if chance >= CHANCE), None)
    enough = question.day_of_enough(looks)
    if days is None and looks.planned:
        days = enough
    in_time = looks.count > 0 and chances[looks.count - 1] >= CHANCE
    return Prospect(
        spec=spec,
        spread=spread,
        effect=effect,
        truth=truth,
        bar=bar,
        exact=looks.count > 0 and question.is_exact(looks.days[looks.count - 1]),
        by_day=tuple(
            (day, math.floor(course.units(day)), chance)
            for day, chance in zip(looks.days[: looks.count], chances[: looks.count], strict=True)
        ),
        at_the_end=question.shown_at(looks, looks.count - 1) if looks.count else 0.0,
        units=None if days is None else math.ceil(course.units(min(days, enough or days) if in_time else days)),
        days=days,
        alone=question.alone(looks),
        detectable=question.detectable(looks),
    )


def inconclusive(prospects: Collection[Prospect]) -> Inconclusive | None:
    """Bounds of the probability that too little is shown by the end; None without a measure.

    Without a success measure among them they are about the guardrails only, and the other way round.
    """
    success = [one for one in prospects if one.spec.role == "success"]
    guardrails = [one for one in prospects if one.spec.role == "guardrail"]
    if not prospects:
        return None
    any_success = min(1.0, math.fsum(one.chance for one in success)) if success else 1.0
    independent = 1 - math.prod(1 - one.chance for one in success) if success else 1.0
    best_at_the_end = max((one.at_the_end for one in success), default=1.0)
    return Inconclusive(
        at_least=1 - min([any_success, *(one.chance for one in guardrails)]),
        independent=1 - independent * math.prod(one.chance for one in guardrails),
        at_most=min(1.0, 1 - best_at_the_end + math.fsum(1 - one.at_the_end for one in guardrails)),
    )


def _is_relative(spec: MeasureSpec) -> bool:
    return spec.min_effect > 0 if spec.role == "success" else spec.margin is None


def _bar(spec: MeasureSpec) -> float:
    """The improvement that must be shown, in the kind the contract wrote it."""
    if spec.role == "success":
        return spec.min_effect or spec.min_gain
    return -(spec.margin if spec.margin is not None else spec.max_regression or 0.0)


def _truth(spec: MeasureSpec, bar: float, mean: float, given: float | None) -> tuple[float, Truth]:
    if spec.role == "guardrail":
        return 0.0, "no difference"
    if given is not None:
        return given * mean, "given"
    return ASSUMED_MULTIPLE * bar if bar else ASSUMED_RELATIVE * mean, "assumed"
