"""``retrain plan``: units and days each stage needs, what each measure can show in time, and whether all of it concludes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import json_option, model_argument
from retrain_assets.cli.plan_words import say_plan
from retrain_assets.cli.show import say_json
from retrain_assets.contract import Contract, Refused, RetrainError
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.experiment.planning.outlook import Outlook
    from retrain_assets.experiment.planning.prospects import Prospect
    from retrain_assets.serving.seen import Seen


@click.command()
@model_argument
@click.option(
    "--effect",
    "effects",
    multiple=True,
    metavar="MEASURE=SHARE",
    help="True improvement of a success measure to plan for, as in cost=3%; may be repeated. [default: twice what must be shown]",
)
@json_option
def plan(model: str, effects: tuple[str, ...], as_json: bool) -> None:
    """Units and days the experiment of MODEL needs, and what it can show.

    At the traffic seen, with the variance of recorded looks or of the champion's own outcomes. Refuses, after printing the plan,
    a contract that cannot conclude before its experiment must end.
    """
    from retrain_assets.cli.contracts import project_or_recorded
    from retrain_assets.cli.opening import controller_of, is_recorded
    from retrain_assets.serving.seen import outlook_of

    home = Home.from_environment()
    contract = project_or_recorded(home, model)
    controller = controller_of(home) if is_recorded(home) else None
    seen, outlook = outlook_of(home, controller, contract, home.clock.now(), _effects(effects, contract))
    document = _document(contract, seen, outlook)
    if as_json:
        say_json(document)
    else:
        say_plan(document)
    if outlook.obstacles:
        worst, more = outlook.obstacles[0], len(outlook.obstacles) - 1
        others = f" ({more} more above)" if more else ""
        raise Refused(
            f"the experiment cannot conclude in time: {worst.what}{others}", where=f"{model}: {worst.field}", remedy=worst.remedy
        )


def _effects(written: tuple[str, ...], contract: Contract) -> dict[str, float]:
    from retrain_assets.contract.quantities import parse_share

    known, found = ", ".join(contract.experiment.success), {}
    for one in written:
        name, _, value = one.partition("=")
        if name not in contract.experiment.success:
            raise RetrainError(
                f"{name!r} is not a success measure", where="--effect", remedy=f"write one of {known}, as in NAME=3%"
            )
        try:
            share = parse_share(value.strip())
        except ValueError as error:
            raise RetrainError(str(error), where=f"--effect {one}", remedy="write NAME=3%") from error
        if not (math.isfinite(share) and share > 0):
            raise RetrainError(f"{value!r} is no improvement", where=f"--effect {one}", remedy="write a share above 0, as in 3%")
        found[name] = share
    return found


def _document(contract: Contract, seen: Seen, outlook: Outlook) -> dict[str, Any]:
    from retrain_assets.experiment.planning.power import CHANCE

    experiment = contract.experiment
    last = outlook.course.stretches[-1]
    unsure = outlook.inconclusive
    return {
        "model": contract.model,
        "units_a_day": seen.units_a_day,
        "units_a_day_seen": seen.is_seen,
        "units_a_day_expected": experiment.expected_units_per_day,
        "traffic": seen.traffic,
        "stages": [
            {
                "stage": one.stage,
                "challenger_share": one.share,
                "challenger_units": one.challenger_units,
                "cohort_units": one.cohort_units,
                "filling_days": one.filling.total_seconds() / 86400,
                "maturing_days": one.maturing.total_seconds() / 86400,
                "shortest_days": one.shortest.total_seconds() / 86400,
                "days": one.duration.total_seconds() / 86400,
            }
            for one in outlook.stages
        ],
        "ramp_days": last.begins + outlook.stages[-1].duration.total_seconds() / 86400,
        "earliest_days": outlook.earliest,
        "max_days": outlook.latest,
        "last_stage_days_left": outlook.latest - last.begins,
        "looks": {
            "planned": outlook.looks.planned,
            "days": list(outlook.looks.days[: outlook.looks.count]),
            "z": [one if math.isfinite(one) else None for one in outlook.looks.z[: outlook.looks.count]],
        },
        "planned_units": experiment.planned_units,
        "planned_units_days": experiment.planned_units / seen.units_a_day,
        "alpha": experiment.alpha,
        "chance": CHANCE,
        "measures": [*(_known(one, seen, outlook) for one in outlook.prospects), *_unknown(contract, outlook)],
        "segments": [
            {"segment": one.segment, **_known(one, seen, outlook)} for one in sorted(outlook.segments, key=lambda one: one.chance)
        ],
        "inconclusive": None
        if unsure is None
        else {"at_least": unsure.at_least, "if_independent": unsure.independent, "at_most": unsure.at_most},
        "obstacles": [{"field": one.field, "what": one.what, "remedy": one.remedy} for one in outlook.obstacles],
    }


def _known(one: Prospect, seen: Seen, outlook: Outlook) -> dict[str, Any]:
    source, spec, looks = seen.sources[one.spec.name], one.spec, outlook.looks
    return {
        "measure": spec.name,
        "role": spec.role,
        "must_show": one.bar,
        "must_show_relative": one.relative(one.bar),
        "true_improvement": one.effect,
        "true_improvement_relative": one.relative(one.effect),
        "truth": one.truth,
        "chance_shown": one.chance,
        "chance_at_last_look": one.at_the_end,
        "by_day": [{"day": day, "units": units, "chance": chance} for day, units, chance in one.by_day],
        "units_needed": one.units,
        "days_needed": one.days,
        "alone": [{"stage": need.stage, "units": need.units, "days": need.days} for need in one.alone],
        "detectable": one.detectable,
        "detectable_relative": one.relative(one.detectable),
        "margin": -one.bar if spec.role == "guardrail" else None,
        "bounds": "exact" if one.exact else "planned looks" if looks.planned else "sequence",
        "champion_mean": one.spread.champion_mean,
        "variance": one.spread.variance,
        "variance_from": {
            "kind": source.kind,
            "retrain": source.retrain,
            "at": source.at.isoformat(),
            "units": source.units,
        },
    }


def _unknown(contract: Contract, outlook: Outlook) -> list[dict[str, Any]]:
    success = contract.experiment.success
    return [
        {"measure": name, "role": "success" if name in success else "guardrail", "missing": why}
        for name, why in outlook.unknown.items()
    ]
