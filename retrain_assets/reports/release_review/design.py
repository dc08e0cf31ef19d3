"""Did the design of the cohort hold? What was planned against what came: units, days, balance, exclusions, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from retrain_assets.contract import Contract
from retrain_assets.experiment import HealthCheck, Look, MeasureResult, Plan, StageCounts
from retrain_assets.experiment.planning.outlook import Outlook, outlook
from retrain_assets.experiment.planning.ramp import stage_plans
from retrain_assets.experiment.planning.spreads import Spread, spread_of_look
from retrain_assets.reports.measure_line import changes_of, is_relative, limit_of
from retrain_assets.reports.release_review.history import Past

DAY = timedelta(days=1)
AS_PLANNED = (0.8, 1.25)
"""Units a day over those expected within which the traffic is as planned."""
SMALL = 0.1
"""Share of what a measure had to show that units seen in both arms may move it by without a word."""

EXCLUSIONS = (
    "missing_outcomes",
    "missing_outcomes_alike",
    "cross_arm_units",
    "clock_skew",
    "unknown_revisions",
    "outcomes_before_exposure",
    "late_outcomes",
    "duplicate_exposures",
    "unknown_outcomes",
)
"""Health checks about what was left out, in the order they are shown."""


def design_of(past: Past) -> dict[str, Any] | None:
    """The design against what came, as JSON; None for a retrain that met no traffic.

    Keys: ``units_a_day`` (``expected``, ``came``, ``ratio``), ``days`` (``least`` and ``most`` planned to a decision, ``came``),
    ``stages``, ``balance``, ``exclusions``, ``crossover``, ``power``, ``holds``, ``broken`` (sentences) and ``sentence``.
    """
    look, toggle = past.look, past.toggle
    if look is None or toggle is None or not past.contract:
        return None
    contract = Contract.recorded(dict(past.contract))
    ended = next((event.at for event in past.events if event.kind.value in ("promoted", "rolled_back")), look.at)
    stages = _stages(look, contract, ended)
    units = _units_a_day(look, contract)
    balance = [_check(one) for one in look.health if one.name.startswith("sample_ratio")]
    exclusions = [_check(one) for name in EXCLUSIONS for one in look.health if one.name == name]
    crossover = _crossover(look)
    power, earliest = _power(look, contract, units["came"])
    broken = [*_broken_traffic(units), *_broken_days(stages), *(one["message"] for one in balance if not one["ok"])]
    broken += [one["message"] for one in exclusions if not one["ok"]]
    broken += [one["message"] for one in crossover["measures"] if one["matters"]]
    return {
        "units_a_day": units,
        "days": {"least": earliest, "most": contract.experiment.longest / DAY, "came": sum(one["days"] for one in stages)},
        "stages": stages,
        "balance": balance,
        "exclusions": exclusions,
        "crossover": crossover,
        "power": power,
        "holds": not broken,
        "broken": broken,
        "sentence": "The design of the cohort held." if not broken else f"The design did not hold: {'; '.join(broken)}.",
    }


def _units_a_day(look: Look, contract: Contract) -> dict[str, Any]:
    """New units of both arms a day over the stages with traffic."""
    traffic = [one for one in look.stages if not one.is_shadow]
    units = sum(_new(one) for one in traffic)
    begun = min((one.started_at for one in traffic), default=None)
    days = (look.at - begun) / DAY if begun is not None else 0.0
    expected = contract.experiment.expected_units_per_day * contract.experiment.cohort_share
    came = units / days if days > 0 else None
    return {
        "expected": expected,
        "came": came,
        "ratio": came / expected if came is not None else None,
        "days": days,
        "units": units,
    }


def _new(counts: StageCounts) -> int:
    return sum(arm.exposed if arm.new is None else arm.new for arm in (counts.champion, counts.challenger))


def _stages(look: Look, contract: Contract, ended: datetime) -> list[dict[str, Any]]:
    """Each stage it was in: the shortest time planned and the real one, units planned and seen."""
    plans = {one.stage: one for one in stage_plans(contract)}
    ends = [*(one.started_at for one in look.stages[1:]), max(ended, look.at)]
    rows = []
    for one, end in zip(look.stages, ends, strict=True):
        plan, days = plans.get(one.stage), (end - one.started_at) / DAY
        rows.append(
            {
                "stage": one.stage,
                "least_days": plan.duration / DAY if plan else None,
                "days": days,
                "planned_units": plan.challenger_units if plan else None,
                "challenger_units": one.challenger.matured,
                "exposed": one.challenger.exposed if one.is_shadow else one.champion.exposed + one.challenger.exposed,
            }
        )
    return rows


def _broken_traffic(units: Mapping[str, Any]) -> list[str]:
    ratio = units["ratio"]
    if ratio is None or AS_PLANNED[0] <= ratio <= AS_PLANNED[1]:
        return []
    return [f"{units['came']:,.0f} units a day came, {units['expected']:,.0f} were expected ({ratio:.0%})"]


def _broken_days(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """A stage that ended before the units it was to see; the last one may end at any look."""
    return [
        f"stage {one['stage']} ended with {one['challenger_units']} of {one['planned_units']} units on the challenger"
        for one in stages[:-1]
        if one["stage"] != "shadow" and one["planned_units"] and one["challenger_units"] < one["planned_units"]
    ]


def _check(check: HealthCheck) -> dict[str, Any]:
    return {
        "check": check.name,
        "ok": check.ok,
        "observed": check.observed,
        "limit": check.threshold,
        "message": check.message,
    }


def _crossover(look: Look) -> dict[str, Any]:
    """Units seen in both arms are left out; how far leaving them out can have moved each measure.

    The means would move by the units' share times how far those units differ from the others. One standard deviation is taken;
    a 0/1 measure is bounded by its range.
    """
    check = next((one for one in look.health if one.name == "cross_arm_units"), None)
    share = float(check.observed or 0.0) if check is not None else 0.0
    measures = []
    for result in look.results if share else ():
        effect, needed = _moved(result, look, share), _needed(result)
        if effect is None:
            continue
        matters = needed is not None and effect > SMALL * needed
        measures.append(
            {
                "measure": result.spec.name,
                "at_most": effect,
                "matters": matters,
                "message": f"units seen in both arms may have moved {result.spec.name} by up to {effect:.3g}",
            }
        )
    return {"share": share, "message": check.message if check is not None else "not recorded", "measures": measures}


def _moved(result: MeasureResult, look: Look, share: float) -> float | None:
    if result.spec.is_share:
        return share
    statistics = look.statistics.get(result.spec.name)
    if statistics is None:
        return None
    deviations = [one.champion.variance**0.5 for one in statistics.with_traffic().strata if one.champion.n > 1]
    return share * max(deviations) if deviations else None


def _needed(result: MeasureResult) -> float | None:
    """What a measure has to keep clear of, in its unit."""
    limit = limit_of(result.spec)
    if limit is None:
        return None
    if not is_relative(result.spec):
        return abs(limit) or None
    return abs(limit * result.champion_mean) or None if result.champion_mean is not None else None


def _power(look: Look, contract: Contract, units_a_day: float | None) -> tuple[list[dict[str, Any]], float]:
    """Per measure what could be shown: planned, at the traffic expected and at that which came; and what the interval reached.
    Beside it the days after which approval could be asked for at the earliest."""
    plan = Plan.from_contract(contract)
    spreads: dict[str, Spread | str] = {
        one.spec.name: found for one in look.results if (found := spread_of_look(one, look, plan.tuning)) is not None
    }
    plans = outlook(contract, contract.experiment.expected_units_per_day, spreads)
    expected = _prospects(plans)
    came = _prospects(outlook(contract, units_a_day, spreads)) if units_a_day else {}
    rows = []
    for result in look.results:
        name, relative = result.spec.name, is_relative(result.spec)
        estimate, lower, upper = changes_of(result, relative=relative)
        towards = lower if result.spec.direction == "increase" else upper
        width = abs(towards - estimate) if towards is not None and estimate is not None else None
        rows.append(
            {
                "measure": name,
                "relative": relative,
                "must": limit_of(result.spec),
                "planned_detectable": expected.get(name, (None, None))[0],
                "planned_chance": expected.get(name, (None, None))[1],
                "detectable_as_it_came": came.get(name, (None, None))[0],
                "half_width": width,
                "units": result.n_champion + result.n_challenger,
                "state": result.state.value,
            }
        )
    return rows, plans.earliest


def _prospects(found: Outlook) -> dict[str, tuple[float | None, float]]:
    """Smallest change that is shown in time with a chance of 80 %, in the kind the measure is held to, and the chance planned."""
    values = {}
    for one in found.prospects:
        detectable = one.relative(one.detectable) if is_relative(one.spec) else one.detectable
        values[one.spec.name] = (detectable, one.chance)
    return values
