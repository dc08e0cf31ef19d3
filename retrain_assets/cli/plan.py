"""``retrain plan``: units and days each stage needs, and what the experiment can show at its planned size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import json_option, model_argument
from retrain_assets.cli.show import moment, number, say, say_json, say_table
from retrain_assets.contract import Contract, CustodyError
from retrain_assets.home import Home

if TYPE_CHECKING:
    from datetime import timedelta

    from retrain_assets.experiment import Look, Tuning


@click.command()
@model_argument
@json_option
def plan(model: str, as_json: bool) -> None:
    """Units and days each stage of the ramp needs.

    From MODEL's contract, with the effects that can be shown at its planned size where recorded looks tell the variance.
    """
    from retrain_assets.cli.contracts import project_or_recorded

    home = Home.from_environment()
    contract = project_or_recorded(home, model)
    document = _document(home, contract)
    if as_json:
        say_json(document)
    else:
        _say(document)


def _document(home: Home, contract: Contract) -> dict[str, Any]:
    from retrain_assets.cli.planning import stage_plans

    experiment, stages = contract.experiment, stage_plans(contract)
    before_last = sum((_days(one.duration) for one in stages[:-1]), 0.0)
    return {
        "model": contract.model,
        "units_a_day": experiment.expected_units_per_day,
        "stages": [
            {
                "stage": one.stage,
                "challenger_share": one.share,
                "challenger_units": one.challenger_units,
                "cohort_units": one.cohort_units,
                "filling_days": _days(one.filling),
                "maturing_days": _days(one.maturing),
                "shortest_days": _days(one.shortest),
                "days": _days(one.duration),
            }
            for one in stages
        ],
        "ramp_days": before_last + _days(stages[-1].duration),
        "min_days": _days(experiment.min_duration),
        "max_days": _days(experiment.max_duration),
        "last_stage_days_left": _days(experiment.max_duration) - before_last,
        "planned_units": experiment.planned_units,
        "planned_units_days": experiment.planned_units / experiment.expected_units_per_day,
        "alpha": experiment.alpha,
        **_measures(home, contract),
    }


def _measures(home: Home, contract: Contract) -> dict[str, Any]:
    """What can be shown per measure at the planned units, or what is missing to say it."""
    from retrain_assets.cli.planning import CHANCE, detectable, spread_of
    from retrain_assets.experiment import Plan

    tuning, looks = Plan.from_contract(contract).tuning, _looks(home, contract.model)
    measures = []
    for spec in Plan.from_contract(contract).measures:
        row: dict[str, Any] = {"measure": spec.name, "role": spec.role, "min_effect": spec.min_effect or None}
        for retrain, look, made_with in looks:
            result = next((one for one in look.results if one.spec.name == spec.name), None)
            spread = spread_of(result, look, made_with) if result else None
            if spread is not None:
                shown = detectable(spec, spread, tuning)
                row |= {
                    "detectable": shown.effect,
                    "detectable_relative": shown.relative,
                    "half_width": shown.half_width,
                    "margin": shown.limit,
                    "units_for_margin": shown.units_for_limit,
                    "variance_from": {"retrain": retrain, "at": look.at.isoformat(), "units": spread.units},
                }
                break
        else:
            row["missing"] = (
                "no look at a canary of this model is recorded, so its variance is not known"
                if not looks
                else "no recorded look has an interval to take the variance from (too few units, or too few events)"
            )
        measures.append(row)
    return {"chance": CHANCE, "measures": measures}


def _looks(home: Home, model: str) -> list[tuple[str, Look, Tuning]]:
    """Recorded looks of a model with the tuning each was made with, the newest first."""
    from retrain_assets.cli.opening import controller_of, is_recorded

    if not is_recorded(home):
        return []
    from retrain_assets.experiment import Look, Plan
    from retrain_assets.ledger import EventKind

    controller = controller_of(home)
    toggles = controller.state(model).toggles
    looks = []
    for event in reversed(controller.ledger.events(model=model, kinds=[EventKind.CANARY_LOOKED])):
        try:
            look = Look.from_json(controller.evidence.get(event.payload["evidence"]))
        except (CustodyError, KeyError, TypeError):
            continue
        looks.append((event.retrain or "", look, Plan.from_contract(toggles[event.toggle or ""].terms).tuning))
    return looks


def _say(plan: dict[str, Any]) -> None:
    say(f"{plan['model']}: {plan['units_a_day']:g} units a day in the cohort, each taken for a new one")
    say()
    say_table(
        ["stage", "challenger share", "challenger units", "cohort units", "days to fill", "days to mature", "at least", "days"],
        [
            (
                stage["stage"],
                "scored by both" if stage["stage"] == "shadow" else f"{stage['challenger_share'] * 100:g} %",
                stage["challenger_units"],
                stage["cohort_units"],
                *(f"{stage[name]:.1f}" for name in ("filling_days", "maturing_days", "shortest_days", "days")),
            )
            for stage in plan["stages"]
        ],
        right=["challenger units", "cohort units", "days to fill", "days to mature", "at least", "days"],
    )
    say()
    say(
        f"the ramp takes at least {plan['ramp_days']:.1f} days; approval is asked for not before day {plan['min_days']:g}, "
        f"and without a clear result it is rejected on day {plan['max_days']:g}"
    )
    say(
        f"limits are tightest at {plan['planned_units']:,} units of both arms in the last stage, "
        f"{plan['planned_units_days']:.1f} days of traffic; that stage has {plan['last_stage_days_left']:.1f} days "
        f"(one-sided alpha {plan['alpha']:g})"
    )
    say()
    _say_measures(plan)


def _say_measures(plan: dict[str, Any]) -> None:
    known = [row for row in plan["measures"] if "detectable" in row]
    if known:
        say(f"at {plan['planned_units']:,} units, with a chance of {plan['chance']:.0%}:")
        say_table(
            ["measure", "role", "shown", "relative", "margin", "units for margin", "variance from"],
            [
                (
                    row["measure"],
                    row["role"],
                    number(row["detectable"]),
                    None if row["detectable_relative"] is None else f"{row['detectable_relative']:.1%}",
                    number(row["margin"]),
                    row["units_for_margin"],
                    f"{row['variance_from']['retrain']}, look of {moment(row['variance_from']['at'])}, "
                    f"{row['variance_from']['units']:,} units",
                )
                for row in known
            ],
            right=["shown", "relative", "margin", "units for margin"],
        )
        say("shown: the smallest true improvement; for a guardrail the smallest margin that is shown held if nothing differs")
    for row in plan["measures"]:
        if "missing" in row:
            say(f"{row['measure']}: what it can show is not known: {row['missing']}")


def _days(duration: timedelta) -> float:
    return duration.total_seconds() / 86400
