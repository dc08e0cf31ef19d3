"""The ramp of a contract in units and days: what each stage needs, and how evidence comes in over it. Pure.

Every unit is taken for a new one, and a stage lasts until its units have come and matured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from retrain_assets.contract import Contract
from retrain_assets.experiment.estimation.statistics import SHADOW
from retrain_assets.experiment.plan import Plan
from retrain_assets.experiment.planning.course import Course, Stretch


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


def stage_plans(contract: Contract, units_a_day: float | None = None) -> tuple[StagePlan, ...]:
    """What every stage below 100 per cent needs, in order, at so many units of the cohort a day (by default those expected)."""
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


def course_of(contract: Contract, stages: Sequence[StagePlan], units_a_day: float) -> Course:
    """How units come in when every stage lasts as long as it needs, and the last one until the end."""
    begins, stretches = 0.0, []
    for number, one in enumerate(stages):
        ends = math.inf if number + 1 == len(stages) else begins + _days(one.duration)
        if one.stage != SHADOW:
            stretches.append(Stretch(one.stage, one.share, begins, ends))
        begins = ends
    return Course(tuple(stretches), units_a_day, _days(contract.experiment.outcome_window))


def _days(duration: timedelta) -> float:
    return duration / timedelta(days=1)
