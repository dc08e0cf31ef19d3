"""One measure's question to an experiment - is the improvement above a bar? - and how likely its looks answer it. Pure.

A share with few expected events is answered by the exact bounds, everything else by the sequence or the planned looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from retrain_assets.experiment.estimation.intervals import EXACT_SPENDING
from retrain_assets.experiment.estimation.rare_events import FEW_EVENTS
from retrain_assets.experiment.plan import MeasureSpec, Plan
from retrain_assets.experiment.planning.course import Course
from retrain_assets.experiment.planning.power import CHANCE, FURTHEST, Looks, drift_of, information_needed
from retrain_assets.experiment.planning.rare_power import Limits, exact_chance
from retrain_assets.experiment.planning.spreads import Spread

_STEPS = 40


@dataclass(frozen=True, slots=True)
class Need:
    """What showing one measure in one stage alone takes, with the chance ``CHANCE``.

    Args:
        stage: its label.
        units: units of both arms.
        days: days until they have come and matured.
    """

    stage: str
    units: int
    days: float


@dataclass(frozen=True, slots=True)
class Question:
    """One measure, what is true about it, and what must be shown.

    Args:
        spec: the measure.
        spread: how much it varies.
        plan: error level and tuning.
        course: how units come in.
        effect: true improvement in the unit of the measure.
        bar: improvement to be shown, in the unit of the measure; below 0 for a guardrail.
    """

    spec: MeasureSpec
    spread: Spread
    plan: Plan
    course: Course
    effect: float
    bar: float

    @property
    def variance(self) -> float:
        """Variance per unit of what is compared with the bar.

        A relative bar b compares the challenger's mean with (1 + b) times the champion's, so the champion's variance counts
        (1 + b)^2 times; taken at the share of the last stage, where most of the information comes from.
        """
        rate = self._rates[0]
        variance = self.spread.variance or (rate * (1 - rate) if self.spread.is_share else 0.0)
        if not self._relative:
            return variance
        share = self.course.stretches[-1].share
        return variance * (1 - share + share * (1 + self._sign * self._relative_bar) ** 2)

    @property
    def drift(self) -> float:
        """How far the truth lies beyond the bar, over the standard deviation per unit."""
        return drift_of(self.effect - self.bar, self.variance) if self.variance > 0 else 0.0

    def is_exact(self, day: float) -> bool:
        """Whether a look on this day has the exact bounds of few events."""
        return self._few(self.course.arms(day))

    def chances(self, looks: Looks) -> tuple[float, ...]:
        """Chance that by each look, those beyond the end included, at least one has shown it.

        Among looks with the exact bounds the best single one counts: together they show it a little more often.
        """
        first = sum(self.is_exact(day) for day in looks.days)
        by_sequence = looks.chances(self.drift, first) if first < len(looks.days) else (0.0,) * first
        best, found = 0.0, []
        for look, chance in enumerate(by_sequence):
            if look < first:
                best = max(best, self._exact(self.course.arms(looks.days[look])))
            found.append(max(best, min(chance, 1.0)))
        return tuple(found)

    def shown_at(self, looks: Looks, look: int) -> float:
        """Chance that one look by itself shows it."""
        day = looks.days[look]
        return self._exact(self.course.arms(day)) if self.is_exact(day) else looks.shown_at(look, self.drift)

    def information_needed(self, looks: Looks) -> float | None:
        """Information at which it is shown with the chance ``CHANCE``, few events left aside; None where none is enough."""
        if not self.variance > 0:
            return None
        tuning = self.plan.tuning
        return information_needed(
            looks, self.drift, alpha=tuning.alpha, planned_units=tuning.planned_units, share=tuning.reference_share
        )

    def day_of_enough(self, looks: Looks) -> float | None:
        """Day since arming by which enough units have come to show it with the chance ``CHANCE``, looked at throughout.

        None where that takes more than ``FURTHEST`` times the time there is.
        """
        furthest = self._most / self.course.units_a_day
        if self.spread.is_share and (day := self._exact_day(furthest)) is not None:
            return day
        information = self.information_needed(looks)
        day = None if information is None else self.course.day_of(information)
        return day if day is not None and day <= furthest else None

    def alone(self, looks: Looks) -> tuple[Need, ...]:
        """What every stage would need if it alone had to show it; without those where nothing is enough."""
        information, found = self.information_needed(looks), []
        for one in self.course.stretches:
            arms = (1 - one.share, one.share)
            units = None if information is None else information / (arms[0] * arms[1])
            if self.spread.is_share and (units is None or self._few((arms[0] * units, arms[1] * units))):
                units = self._exact_units(arms)
            if units is not None and units <= self._most:
                found.append(Need(one.stage, math.ceil(units), units / self.course.units_a_day + self.course.maturing))
        return tuple(found)

    def detectable(self, looks: Looks) -> float | None:
        """The smallest true improvement (success) or margin (guardrail) shown before the end with the chance ``CHANCE``."""
        if not looks.count:
            return None
        day = looks.days[looks.count - 1]
        guardrail = self.spec.role == "guardrail"
        if not self.is_exact(day):
            drift = looks.detectable_drift()
            return None if drift is None else drift * math.sqrt(self.variance) + (0.0 if guardrail else self.bar)
        low, high = (0.0, 1.0) if guardrail else (self.bar, 1.0)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            effect, bar = (self.effect, -middle) if guardrail else (middle, self.bar)
            shown = Question(self.spec, self.spread, self.plan, self.course, effect, bar)._exact(self.course.arms(day))
            low, high = (low, middle) if shown >= CHANCE else (middle, high)
        return high if high < 1 else None

    @property
    def _relative(self) -> bool:
        return self.spec.min_effect > 0 if self.spec.role == "success" else self.spec.margin is None

    @property
    def _relative_bar(self) -> float:
        return self.bar / abs(self.spread.champion_mean)

    @property
    def _sign(self) -> float:
        return 1.0 if self.spec.direction == "increase" else -1.0

    @property
    def _most(self) -> float:
        longest = self.plan.longest.total_seconds() / 86400
        return FURTHEST * max(longest, 1.0) * self.course.units_a_day

    @property
    def _rates(self) -> tuple[float, float]:
        """True shares of champion and challenger; half an event more than seen, so that none seen does not mean none ever."""
        champion = min(max(self.spread.champion_mean, 0.5 / self.spread.units), 1 - 0.5 / self.spread.units)
        return champion, min(max(champion + self._sign * self.effect, 0.0), 1.0)

    def _few(self, arms: tuple[float, float]) -> bool:
        if not self.spread.is_share:
            return False
        return any(units * min(rate, 1 - rate) < FEW_EVENTS for units, rate in zip(arms, self._rates, strict=True))

    def _exact(self, arms: tuple[float, float]) -> float:
        strata, level = len(self.course.stretches), self.plan.alpha * EXACT_SPENDING / 2
        return exact_chance(self._rates, arms, (level / (strata * (strata + 1)), level), self._shown)

    def _shown(self, champion: Limits, challenger: Limits) -> bool:
        if self._sign < 0:
            champion, challenger = (-champion[1], -champion[0]), (-challenger[1], -challenger[0])
        if not self._relative:
            return challenger[0] - champion[1] > self.bar
        return abs(champion[1]) > 0 and (challenger[0] - champion[1]) / abs(champion[1]) > self._relative_bar

    def _exact_units(self, arms: tuple[float, float]) -> float | None:
        """Units of both arms, split as given, at which the exact bounds show it with the chance ``CHANCE``."""
        return _least(lambda units: self._exact((arms[0] * units, arms[1] * units)) >= CHANCE, self._most)

    def _exact_day(self, furthest: float) -> float | None:
        """Day by which the exact bounds show it with the chance ``CHANCE``, if events are few until then."""
        day = _least(lambda day: self._exact(self.course.arms(day)) >= CHANCE, furthest)
        return day if day is not None and self.is_exact(day) else None


def _least(enough: Callable[[float], bool], most: float) -> float | None:
    """The smallest number up to ``most`` that is enough, to a thousandth; more than enough is enough."""
    if not enough(most):
        return None
    low, high = 0.0, most
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
