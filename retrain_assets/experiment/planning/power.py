"""Power of an experiment before it runs: how likely its looks are to show an effect. Pure.

Everything is said in the information on the difference of the arms (see :mod:`course`): at W the
estimate has variance v / W, v being the variance per unit, so Z has mean (distance of the truth from the limit) * sqrt(W / v).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from scipy.special import ndtr

from retrain_assets.experiment.estimation.confidence_sequence import one_sided_radius, tuning
from retrain_assets.experiment.estimation.group_sequential import Spending, boundaries, crossing_probabilities, spent
from retrain_assets.experiment.estimation.intervals import MIN_UNITS
from retrain_assets.experiment.planning.course import Course

CHANCE = 0.8
"""Chance of being shown that the units and days needed are given for."""

FURTHEST = 100.0
"""Beyond this many times the time there is, nothing is looked for."""

_SAME_MOMENT = 1e-9


@dataclass(frozen=True, slots=True)
class Looks:
    """The looks that may conclude, in order, and what it would take beyond the end.

    Args:
        days: when, in days since arming.
        information: information at each, above 0.
        z: what Z must exceed at each.
        count: how many of them lie before the experiment's end; later ones only tell what it would take.
        planned: whether they are looks of a group-sequential test.
    """

    days: tuple[float, ...]
    information: tuple[float, ...]
    z: tuple[float, ...]
    count: int
    planned: bool

    def chances(self, drift: float, first: int = 0) -> tuple[float, ...]:
        """Chance that by each look at least one has shown the effect.

        Args:
            drift: see :func:`drift_of`.
            first: looks before this one cannot show it.
        """
        z = (*[math.inf] * first, *self.z[first:])
        return tuple(accumulate(_crossing(self.information, z, drift)))

    def shown_at(self, look: int, drift: float) -> float:
        """Chance that one look by itself shows the effect."""
        return float(ndtr(drift * math.sqrt(self.information[look]) - self.z[look]))

    def detectable_drift(self, chance: float = CHANCE) -> float | None:
        """The smallest drift that is shown before the end with a chance; None without a look before the end."""
        return _detectable_drift(self.information[: self.count], self.z[: self.count], chance) if self.count else None


def anytime_looks(
    course: Course, *, alpha: float, planned_units: int, earliest: float, latest: float, every: float = 1.0
) -> Looks:
    """The looks of an experiment that may conclude at any look, with the limits of the one-sided confidence sequence.

    Args:
        course: how information comes in; its last stretch's share is the one the sequence is tuned for.
        alpha: one-sided error level.
        planned_units: units at which the sequence is tightest.
        earliest: first day since arming on which a look may conclude.
        latest: the experiment's last day.
        every: days between looks; at most 60 looks are counted before the end.
    """
    share = course.stretches[-1].share
    step = max(every, (latest - earliest) / 60)
    days = [earliest + step * number for number in range(61) if earliest + step * number < latest - _SAME_MOMENT]
    days += [latest] if latest >= earliest else []
    count = len(days)
    beyond = max(latest, earliest)
    while beyond < FURTHEST * max(latest, 1.0):
        days.append(beyond := max(beyond * 1.05, beyond + step))
    found = [(day, course.information(day)) for day in days if course.arms(day)[1] >= MIN_UNITS]
    return Looks(
        days=tuple(day for day, _ in found),
        information=tuple(information for _, information in found),
        z=tuple(anytime_z(information / (share * (1 - share)), alpha, planned_units) for _, information in found),
        count=max(0, count - (len(days) - len(found))),
        planned=False,
    )


def planned_looks(course: Course, *, alpha: float, spending: Spending, after: Sequence[float], latest: float) -> Looks:
    """The looks of a group-sequential test; looks at which nothing has matured leave what they would spend to the next one.

    Args:
        course: how information comes in.
        alpha: one-sided error level.
        spending: how it is spent over the looks.
        after: the looks, in days since the first stage with traffic began.
        latest: the experiment's last day since arming; looks after it are never taken.
    """
    days = [course.stretches[0].begins + one for one in after]
    used = spent(spending, [one / after[-1] for one in after], alpha)
    taken = [
        (day, course.information(day), level)
        for day, level in zip(days, used, strict=True)
        if day <= latest + _SAME_MOMENT and course.arms(day)[1] >= MIN_UNITS
    ]
    information = tuple(one for _, one, _ in taken)
    z = boundaries(information, [level for _, _, level in taken])
    return Looks(tuple(day for day, _, _ in taken), information, z, len(taken), planned=True)


def anytime_z(clock: float, alpha: float, planned_units: float) -> float:
    """How many standard errors an anytime-valid limit lies from the estimate at a clock, so what Z must exceed."""
    return one_sided_radius(clock, clock, tuning(planned_units, 2 * alpha), alpha)


def drift_of(distance: float, variance: float) -> float:
    """Drift of a measure: how far the truth lies beyond the limit to be shown, over the standard deviation per unit."""
    return distance / math.sqrt(variance)


def information_needed(looks: Looks, drift: float, *, alpha: float, planned_units: int, share: float) -> float | None:
    """Information at which an effect is shown with the chance ``CHANCE``, however it came in; None where none is enough.

    With planned looks, of a plan of the same looks stretched or shortened to it: the boundaries stay, as only ratios of
    information enter them. Without, of an experiment that is looked at throughout.

    Args:
        looks: the looks, for a group-sequential test.
        drift: see :func:`drift_of`.
        alpha: one-sided error level.
        planned_units: units at which the sequence is tightest.
        share: the challenger's share that it is tuned for.
    """
    if not drift > 0:
        return None
    if looks.planned:
        least = looks.detectable_drift()
        return None if least is None else looks.information[-1] * (least / drift) ** 2
    scale = share * (1 - share)
    information = tuple(planned_units * scale * 10 ** (power / 40) for power in range(-100, 101))
    z = tuple(anytime_z(one / scale, alpha, planned_units) for one in information)
    chances = accumulate(_crossing(information, z, drift))
    return next((one for one, chance in zip(information, chances, strict=True) if chance >= CHANCE), None)


@lru_cache(maxsize=256)
def _crossing(information: tuple[float, ...], z: tuple[float, ...], drift: float) -> tuple[float, ...]:
    return crossing_probabilities(information, z, drift)


@lru_cache(maxsize=64)
def _detectable_drift(information: tuple[float, ...], z: tuple[float, ...], chance: float) -> float:
    low, high = 0.0, 60 / math.sqrt(information[-1])
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if sum(_crossing(information, z, middle)) >= chance else (middle, high)
    return high
