"""The check that warns, before any traffic, of a contract whose experiment cannot conclude in the time it has."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from retrain_assets.assets.faces import evidence_metadata
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import RetrainError, first_line

if TYPE_CHECKING:
    from retrain_assets.experiment.planning.outlook import Outlook
    from retrain_assets.serving.seen import Seen

NAME = "experiment_can_conclude"


def planning_check(road: Road) -> dg.AssetChecksDefinition:
    """A warning on the evaluation report; it blocks nothing, as traffic and spread may change before the experiment ends."""
    owner = road.contract.owners.experiment

    @dg.asset_check(
        name=NAME,
        asset=road.key("evaluation_report"),
        blocking=False,
        partitions_def=road.partitions,
        description="The experiment that would follow can show every margin and effect of the contract before it must end, at "
        f"the traffic seen. Owner {owner}; if it does not hold: change the contract, see retrain plan {road.model}.",
        metadata={"owner": owner},
    )
    def experiment_can_conclude(platform: Platform) -> dg.AssetCheckResult:
        return planning_result(platform, road)

    return experiment_can_conclude


def planning_result(platform: Platform, road: Road) -> dg.AssetCheckResult:
    """Whether the experiment can conclude, as a warning: with what is in the way, or what is not known to tell."""
    from retrain_assets.serving.seen import outlook_of

    try:
        seen, outlook = outlook_of(platform.home, platform.controller, road.contract, platform.clock.now())
    except (RetrainError, ValueError, ArithmeticError) as error:  # a warning must not end the run it warns in
        why = first_line(error)
        return _warned(False, f"it cannot be told whether the experiment can conclude: {why}", {})
    return _warned(not outlook.obstacles and not outlook.unknown, _words(outlook), _shown(seen, outlook))


def _warned(passed: bool, words: str, shown: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=NAME, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=words, metadata=evidence_metadata(shown)
    )


def _words(outlook: "Outlook") -> str:
    """One sentence for whoever reads the asset page."""
    if outlook.obstacles:
        more = f" ({len(outlook.obstacles) - 1} more below)" if len(outlook.obstacles) > 1 else ""
        return f"the experiment cannot conclude in time: {outlook.obstacles[0].line}{more}"
    if outlook.unknown:
        name, why = next(iter(outlook.unknown.items()))
        more = f" ({len(outlook.unknown)} measures in all)" if len(outlook.unknown) > 1 else ""
        return f"it is not known whether the experiment can conclude: {name}: {why}{more}"
    bounds = outlook.inconclusive
    likely = f"; it ends inconclusive with a probability of {bounds.at_least:.0%} to {bounds.at_most:.0%}" if bounds else ""
    return f"every declared margin and effect can be shown by day {outlook.latest:g}{likely}"


def _shown(seen: "Seen", outlook: "Outlook") -> dict[str, Any]:
    found: dict[str, Any] = {"traffic": seen.traffic}
    if outlook.obstacles:
        found["in_the_way"] = [{"field": one.field, "what": one.what, "remedy": one.remedy} for one in outlook.obstacles]
    if outlook.prospects:
        found["measures"] = [
            {
                "measure": one.spec.name if one.segment is None else f"{one.spec.name} in {one.segment}",
                "role": one.spec.role,
                "must_show": one.bar,
                "true_improvement": one.effect,
                "truth": one.truth,
                "chance_shown": one.chance,
                "units_needed": one.units,
                "days_needed": one.days,
            }
            for one in (*outlook.prospects, *outlook.segments)
        ]
    if outlook.unknown:
        found["not_known"] = [{"measure": name, "reason": why} for name, why in outlook.unknown.items()]
    if outlook.inconclusive is not None:
        found["inconclusive_at_least"] = outlook.inconclusive.at_least
        found["inconclusive_at_most"] = outlook.inconclusive.at_most
    return found
