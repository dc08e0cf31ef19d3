"""The gates as Dagster asset checks. A check only translates a recorded verdict; nothing is judged here."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import dagster as dg

from retrain_assets.assets.faces import check_result
from retrain_assets.assets.gate_rules import (
    FEATURE_RULES,
    PROMOTION_RULES,
    TRAINING_RULES,
    canary_rules,
    dataset_rules,
    offline_rules,
)
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import FALLBACKS, Road
from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.release import Ending, overrides_in_force

VerdictReader = Callable[[Platform, str], Sequence[Verdict]]


def gate_checks(road: Road) -> list[dg.AssetChecksDefinition]:
    """The five gates of one model; the data gate stands on two assets."""
    contract = road.contract

    def recorded(gate: Gate) -> VerdictReader:
        def read(platform: Platform, retrain: str) -> Sequence[Verdict]:
            return verdicts_with_evidence(platform, road.model, retrain, gate)

        return read

    def promotion(platform: Platform, retrain: str) -> Sequence[Verdict]:
        return promotion_verdicts(platform, road, retrain)

    return [
        gate_check(road, Gate.DATA, "dataset", dataset_rules(contract), recorded(Gate.DATA)),
        gate_check(road, Gate.DATA, "feature_snapshot", FEATURE_RULES, recorded(Gate.DATA)),
        gate_check(road, Gate.TRAINING, "candidate_model", TRAINING_RULES, recorded(Gate.TRAINING)),
        gate_check(road, Gate.OFFLINE, "evaluation_report", offline_rules(contract), recorded(Gate.OFFLINE)),
        gate_check(road, Gate.CANARY, "canary_report", canary_rules(contract), recorded(Gate.CANARY)),
        gate_check(road, Gate.PROMOTION, "promotion_decision", PROMOTION_RULES, promotion, blocking=False),
    ]


def verdicts_with_evidence(platform: Platform, model: str, retrain: str, gate: Gate) -> list[Verdict]:
    """The latest recorded verdicts of a gate, tables included; none when nothing is recorded."""
    state = platform.controller.state(model).retrains.get(retrain)
    record = state.verdicts.get(gate) if state is not None else None
    if record is None:
        return []
    evidence = platform.evidence
    stored = {digest: evidence.get(digest) for digest in {check.evidence for check in record.checks.values()}}
    found: list[Verdict] = []
    for name, check in record.checks.items():
        full = next(value for value in stored[check.evidence]["verdicts"] if value["check"] == name)
        found.append(Verdict.from_json(full))
    return found


def overridden_checks(platform: Platform, model: str, retrain: str, gate: Gate) -> dict[str, str]:
    """The checks of a gate that are overridden now, each with who and why."""
    known = platform.controller.state(model).retrains.get(retrain)
    found = overrides_in_force(known, platform.clock.now(), [gate]) if known is not None else ()
    return {one.record.verdict.check: one.why for one in found}


def promotion_verdicts(platform: Platform, road: Road, retrain: str) -> Sequence[Verdict]:
    """The verdicts of gate promotion; a first champion has none, its bootstrap approval stands in for them."""
    state = platform.controller.state(road.model).retrains.get(retrain)
    if state is not None and state.ended is Ending.BOOTSTRAPPED:
        message = "a first champion has nothing to be compared with; its bootstrap approval stands in for this gate"
        return [Verdict(Gate.PROMOTION, name, Outcome.NO_DATA, message) for name in PROMOTION_RULES]
    return platform.controller.promotion_verdicts(road.model, retrain)


def gate_check(
    road: Road, gate: Gate, asset: str, names: Mapping[str, str], read: VerdictReader, *, blocking: bool = True
) -> dg.AssetChecksDefinition:
    """The checks of one gate on one asset as one step.

    Args:
        road: the model's names.
        gate: the gate.
        asset: the asset the checks stand on.
        names: check name to the rule it holds, in words.
        read: gives the verdicts recorded for a retrain. A declared check without a verdict is an error, never a pass.
        blocking: whether later assets of the same run wait for the gate.
    """
    owner, fallback = road.gate_owner(gate), FALLBACKS[gate]
    specs = [
        dg.AssetCheckSpec(
            name,
            asset=road.key(asset),
            blocking=blocking,
            partitions_def=road.partitions,
            description=f"Gate {gate.value}: {rule}. Owner {owner}; if it does not hold: {fallback}.",
            metadata={"gate": gate.value, "owner": owner, "fallback": fallback},
        )
        for name, rule in names.items()
    ]

    @dg.multi_asset_check(name=f"{road.model}__gate_{gate.value}__{asset}", specs=specs)
    def hold_gate(context: dg.AssetCheckExecutionContext, platform: Platform) -> Iterator[dg.AssetCheckResult]:
        found = {verdict.check: verdict for verdict in read(platform, context.partition_key)}
        overridden = overridden_checks(platform, road.model, context.partition_key, gate)
        for name in names:
            verdict = found.get(name) or Verdict(
                gate, name, Outcome.ERROR, f"check {name} gave no verdict for this retrain; materialise {asset} again"
            )
            yield check_result(
                verdict, asset=road.key(asset), owner=owner, fallback=fallback, overridden=overridden.get(name, "")
            )

    return hold_gate
