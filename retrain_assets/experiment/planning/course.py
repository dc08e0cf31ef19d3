"""The course of an experiment: how units and information on the difference of the arms come in over a ramp. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stage with traffic.

    Args:
        stage: its label.
        share: the challenger's share, 0..1, exclusive.
        begins: days since arming.
        ends: the same; infinity for the last stage, which lasts as long as the experiment.
    """

    stage: str
    share: float
    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class Course:
    """How units and information come in over a ramp; every unit is taken for a new one.

    Args:
        stretches: the stages with traffic in order.
        units_a_day: units of both arms a day.
        maturing: days from exposure until a unit counts.
    """

    stretches: tuple[Stretch, ...]
    units_a_day: float
    maturing: float

    def arms(self, day: float) -> tuple[float, float]:
        """Matured units of champion and challenger by a day since arming."""
        champion = challenger = 0.0
        for one in self.stretches:
            units = self._units(one, day)
            champion, challenger = champion + units * (1 - one.share), challenger + units * one.share
        return champion, challenger

    def units(self, day: float) -> float:
        """Matured units of both arms by a day since arming."""
        return sum(self.arms(day))

    def information(self, day: float) -> float:
        """Information on the difference of the arms by a day since arming."""
        return math.fsum(self._units(one, day) * one.share * (1 - one.share) for one in self.stretches)

    def _units(self, stretch: Stretch, day: float) -> float:
        return self.units_a_day * max(0.0, min(day - self.maturing, stretch.ends) - stretch.begins)

    def day_of(self, information: float) -> float:
        """The day since arming by which so much information has come in; the last stage lasts as long as that takes."""
        last = self.stretches[-1]
        low, high = 0.0, last.begins + self.maturing + information / (self.units_a_day * last.share * (1 - last.share))
        while high - low > _MOMENT:
            middle = (low + high) / 2
            low, high = (low, middle) if self.information(middle) >= information else (middle, high)
        return high


_MOMENT = 1e-6
"""Days that do not matter."""
