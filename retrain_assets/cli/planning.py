"""Arithmetic before an experiment: units and days per stage, and what can be shown at the planned size. Pure.

The days assume the contract's units a day, each a new unit, split as the stage says. The detectable effects assume the variance
that recorded looks had; the interval is the same anytime-valid one that decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from statistics import NormalDist

from retrain_assets.contract import Contract
from retrain_assets.experiment import SHADOW, Look, MeasureResult, MeasureSpec, Plan, Tuning, radius

CHANCE = 0.8
"""Chance with which a detectable effect is shown by the planned size."""

_SYMMETRIC = 1e-6


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What one stage needs.

    Args:
        stage: its label.
        share: the challenger's share of the cohort, 0..1; in shadow every unit is scored by both.
        challenger_units: units on the challenger before the ramp goes on (in shadow: units scored by both).
        cohort_units: units of the cohort that takes.
        filling: time until that many came.
        maturing: time until the last of them counts (the outcome window; none in shadow).
        shortest: shortest time in a stage, whatever the units.
        units_a_day: units of both arms a day.
    """

    stage: str
    share: float
    challenger_units: int
    cohort_units: int
    filling: timedelta
    maturing: timedelta
    shortest: timedelta
    units_a_day: float

    @property
    def duration(self) -> timedelta:
        """Time in the stage."""
        return max(self.filling + self.maturing, self.shortest)


@dataclass(frozen=True, slots=True)
class Spread:
    """How much one measure varies, as a look recorded it.

    Args:
        champion_mean: its mean on the champion.
        variance: variance of the estimated difference times its information (sum of n_c n_t / (n_c + n_t)).
        units: units it rests on.
    """

    champion_mean: float
    variance: float
    units: int


@dataclass(frozen=True, slots=True)
class Detectable:
    """What can be shown about one measure at the planned number of units.

    Args:
        half_width: distance of the anytime-valid limit from the estimate at the planned units, in the measure's unit.
        effect: smallest true improvement that is shown with the chance ``CHANCE`` (success), or how far the margin must be from
            a true difference of zero for that (guardrail); in the measure's unit.
        relative: the same over the champion's mean; None where that is 0.
        limit: the margin of a guardrail in the measure's unit; None for a success measure.
        units_for_limit: units of both arms at which a guardrail without any true difference is shown non-inferior with that
            chance; None for a success measure, or when it takes more than a hundred times the planned units.
    """

    half_width: float
    effect: float
    relative: float | None
    limit: float | None
    units_for_limit: int | None


def stage_plans(contract: Contract) -> list[StagePlan]:
    """What every stage below 100 per cent needs, in order."""
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
                filling=timedelta(days=cohort / experiment.expected_units_per_day),
                maturing=timedelta(0) if stage == SHADOW else experiment.outcome_window,
                shortest=experiment.min_stage.duration,
                units_a_day=experiment.expected_units_per_day,
            )
        )
    return plans


def spread_of(result: MeasureResult, look: Look, tuning: Tuning) -> Spread | None:
    """The spread of a measure, read back from the interval of a recorded look; None where that was not the asymptotic one.

    Args:
        result: the measure's result in the look.
        look: the look, for its stages' units.
        tuning: the tuning the look was made with.
    """
    if result.estimate is None or result.lower is None or result.upper is None or result.champion_mean is None:
        return None
    above, below = result.upper - result.estimate, result.estimate - result.lower
    if not above > 0 or not math.isclose(above, below, rel_tol=_SYMMETRIC):
        return None
    information = _information(look, result.n_champion, result.n_challenger)
    if information is None:
        return None
    clock = information / (tuning.reference_share * (1 - tuning.reference_share))
    unit = radius(1 / information, clock=clock, alpha=tuning.alpha, planned_units=tuning.planned_units)
    return Spread(result.champion_mean, (above / unit) ** 2, result.n_champion + result.n_challenger)


def detectable(spec: MeasureSpec, spread: Spread, tuning: Tuning) -> Detectable:
    """What can be shown about a measure at the planned units, all in the ramp's last stage."""
    reach = _reach(spread, tuning, tuning.planned_units)
    needed = reach + _chance(spread, tuning, tuning.planned_units)
    mean = abs(spread.champion_mean)
    if spec.role == "success":
        effect = spec.min_effect * mean + needed
        return Detectable(reach, effect, effect / mean if mean else None, None, None)
    limit = spec.margin if spec.margin is not None else (spec.max_regression or 0.0) * mean
    return Detectable(reach, needed, needed / mean if mean else None, limit, _units_for(limit, spread, tuning))


def _reach(spread: Spread, tuning: Tuning, units: float) -> float:
    information = units * tuning.reference_share * (1 - tuning.reference_share)
    return radius(spread.variance / information, clock=units, alpha=tuning.alpha, planned_units=tuning.planned_units)


def _chance(spread: Spread, tuning: Tuning, units: float) -> float:
    """How far the estimate falls short of the truth at most, with the chance ``CHANCE``."""
    information = units * tuning.reference_share * (1 - tuning.reference_share)
    return NormalDist().inv_cdf(CHANCE) * math.sqrt(spread.variance / information)


def _units_for(limit: float, spread: Spread, tuning: Tuning) -> int | None:
    """The fewest units at which reach and chance together are below a limit; both only shrink with more units."""
    low, high = 2.0, 100.0 * tuning.planned_units
    if _reach(spread, tuning, high) + _chance(spread, tuning, high) > limit:
        return None
    while high - low > 1:
        middle = (low + high) / 2
        enough = _reach(spread, tuning, middle) + _chance(spread, tuning, middle) <= limit
        low, high = (low, middle) if enough else (middle, high)
    return math.ceil(high)


def _information(look: Look, n_champion: int, n_challenger: int) -> float | None:
    """Sum over the stages of n_c n_t / (n_c + n_t), the stages' units scaled to those the measure has."""
    live = [(one.champion.with_outcome, one.challenger.with_outcome) for one in look.stages if not one.is_shadow]
    champion, challenger = sum(c for c, _ in live), sum(t for _, t in live)
    if not champion or not challenger:
        return None
    scaled = [(c * n_champion / champion, t * n_challenger / challenger) for c, t in live]
    return sum(c * t / (c + t) for c, t in scaled if min(c, t) >= 2) or None
