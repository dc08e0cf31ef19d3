"""How far each retrain came, as checks of its audit record: one per gate, and whether it went live.

Dagster colours a partition by what was materialised, and a retrain that a gate stopped or a guardrail rolled back has an audit
record like any other. The partitions page of a check is coloured by its result: green opened, red closed, skipped not reached.
"""

from collections.abc import Iterator

import dagster as dg

from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import FALLBACKS, Road
from retrain_assets.contract import Gate, Outcome
from retrain_assets.release import Ending, RetrainState
from retrain_assets.reports.retrain_line import RetrainLine, line_of

WENT_LIVE = "went_live"


def opened(gate: Gate) -> str:
    """The check that says whether a gate opened."""
    return f"gate_{gate.value}_opened"


def road_checks(road: Road) -> dg.AssetChecksDefinition:
    """Warnings on the audit record of a retrain; a gate that was not reached gives no result."""
    asset = road.key("audit_record")
    rules = {opened(gate): (f"Gate {gate.value} opened; if not: {FALLBACKS[gate]}.", road.gate_owner(gate)) for gate in Gate}
    rules[WENT_LIVE] = ("The retrain ended as champion and was not undone since.", road.gate_owner(Gate.PROMOTION))

    @dg.multi_asset_check(
        name=f"{road.model}__how_far__audit_record",
        specs=[
            dg.AssetCheckSpec(
                name,
                asset=asset,
                partitions_def=road.partitions,
                description=f"{rule} Owner {owner}. Its partitions are the retrains: green yes, red no, skipped not reached.",
                metadata={"owner": owner},
            )
            for name, (rule, owner) in rules.items()
        ],
        can_subset=True,
    )
    def say_how_far(context: dg.AssetCheckExecutionContext, platform: Platform) -> Iterator[dg.AssetCheckResult]:
        state = platform.controller.state(road.model)
        retrain = state.retrains.get(context.partition_key)
        if retrain is None:
            return
        asked = {key.name for key in context.selected_asset_check_keys}
        yield from (one for one in results_of(asset, retrain, line_of(state, retrain)) if one.check_name in asked)

    return say_how_far


def results_of(asset: dg.AssetKey, retrain: RetrainState, line: RetrainLine) -> Iterator[dg.AssetCheckResult]:
    """A result for each gate that was reached, and once the retrain has ended whether it went live."""
    for gate, outcome in line.outcomes.items():
        yield _result(asset, opened(gate), outcome is Outcome.PASS, _of_gate(retrain, gate, outcome))
    if retrain.ended is not None:
        lives = retrain.ended in (Ending.PROMOTED, Ending.BOOTSTRAPPED) and "later" not in line.ending
        yield _result(asset, WENT_LIVE, lives, line.sentence)


def _result(asset: dg.AssetKey, name: str, passed: bool, words: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset, check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=words
    )


def _of_gate(retrain: RetrainState, gate: Gate, outcome: Outcome) -> str:
    """How many checks hold, and of those that do not the first in words."""
    if gate not in retrain.verdicts:
        return retrain.decision.reason if retrain.decision is not None else outcome.value
    verdicts = retrain.verdicts[gate].verdicts
    closed = [verdict for verdict in verdicts if not verdict.passed]
    if not closed:
        return f"all {len(verdicts)} checks hold"
    return f"{len(closed)} of {len(verdicts)} checks do not hold: {closed[0].check}: {closed[0].message}"
