"""The gates as Dagster asset checks. A check only translates a recorded verdict; nothing is judged here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from retrain_assets.assets.faces import check_result, not_asked_result
from retrain_assets.assets.gate_rules import (
    FEATURE_RULES,
    PROMOTION_RULES,
    canary_rules,
    dataset_rules,
    offline_rules,
    training_rules,
)
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import FALLBACKS, STAGE_ASSETS, Road
from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.gates.training import NOT_ASKED_OF_ADOPTED
from retrain_assets.release import Ending, overrides_in_force


@dataclass(frozen=True)
class StandingGate:
    """A gate as it stands on one asset.

    Args:
        road: the model's names.
        gate: the gate.
        asset: the asset its checks stand on.
        names: check name to the rule it holds, in words.
        blocking: whether later assets of the same run wait for the gate.
    """

    road: Road
    gate: Gate
    asset: str
    names: Mapping[str, str]
    blocking: bool = True

    @property
    def specs(self) -> list[dg.AssetCheckSpec]:
        """The checks as Dagster declares them."""
        owner, fallback = self.road.gate_owner(self.gate), FALLBACKS[self.gate]
        return [
            dg.AssetCheckSpec(
                name,
                asset=self.road.key(self.asset),
                blocking=self.blocking,
                partitions_def=self.road.partitions,
                description=f"Gate {self.gate.value}: {rule}. Owner {owner}; if it does not hold: {fallback}.",
                metadata={"gate": self.gate.value, "owner": owner, "fallback": fallback},
            )
            for name, rule in self.names.items()
        ]

    def results(self, platform: Platform, retrain: str) -> Iterator[dg.AssetCheckResult]:
        """What is recorded of a retrain, check by check. A declared check without a verdict is an error, never a pass; one that
        cannot be asked of an adopted model is a warning that says why."""
        found = {verdict.check: verdict for verdict in self._recorded(platform, retrain)}
        overridden = overridden_checks(platform, self.road.model, retrain, self.gate)
        not_asked = self._not_asked(platform, retrain)
        for name in self.names:
            if name in not_asked and name not in found:
                yield not_asked_result(name, not_asked[name], asset=self.road.key(self.asset))
                continue
            missing = f"check {name} gave no verdict for this retrain; materialise {self.asset} again"
            yield check_result(
                found.get(name) or Verdict(self.gate, name, Outcome.ERROR, missing),
                asset=self.road.key(self.asset),
                owner=self.road.gate_owner(self.gate),
                fallback=FALLBACKS[self.gate],
                overridden=overridden.get(name, ""),
            )

    def _not_asked(self, platform: Platform, retrain: str) -> Mapping[str, str]:
        if self.gate is not Gate.TRAINING:
            return {}
        known = platform.controller.state(self.road.model).retrains.get(retrain)
        return NOT_ASKED_OF_ADOPTED if known is not None and known.trigger.get("kind") == "adopted" else {}

    def _recorded(self, platform: Platform, retrain: str) -> Sequence[Verdict]:
        if self.gate is Gate.PROMOTION:
            return promotion_verdicts(platform, self.road, retrain)
        return verdicts_with_evidence(platform, self.road.model, retrain, self.gate)


def standing_gates(road: Road) -> dict[str, StandingGate]:
    """The five gates of one model by asset; the data gate stands on two."""
    contract = road.contract
    gates = [
        StandingGate(road, Gate.DATA, "dataset", dataset_rules(contract)),
        StandingGate(road, Gate.DATA, "feature_snapshot", FEATURE_RULES),
        StandingGate(road, Gate.TRAINING, "candidate_model", training_rules(contract)),
        StandingGate(road, Gate.OFFLINE, "evaluation_report", offline_rules(contract)),
        StandingGate(road, Gate.CANARY, "canary_report", canary_rules(contract)),
        StandingGate(road, Gate.PROMOTION, "promotion_decision", PROMOTION_RULES, blocking=False),
    ]
    return {gate.asset: gate for gate in gates}


def gate_checks(road: Road) -> list[dg.AssetChecksDefinition]:
    """The gates that are steps of their own: those on assets that are made here."""
    return [_as_step(gate) for gate in standing_gates(road).values() if not is_checked_inside(road, gate.asset)]


def specs_inside(road: Road, asset: str) -> list[dg.AssetCheckSpec] | None:
    """The checks that an asset reports itself, as its stage runs on Databricks and reports them from there; None: its gate is a
    step of its own."""
    return standing_gates(road)[asset].specs if is_checked_inside(road, asset) else None


def results_inside(platform: Platform, road: Road, retrain: str, asset: str) -> list[dg.AssetCheckResult]:
    """The results of :func:`specs_inside`, of the verdicts recorded now; none where the gate is a step of its own."""
    return list(standing_gates(road)[asset].results(platform, retrain)) if is_checked_inside(road, asset) else []


def is_checked_inside(road: Road, asset: str) -> bool:
    """Whether the stage of an asset of the retrain runs on Databricks."""
    return any(asset == STAGE_ASSETS[stage] and road.is_on_databricks(stage) for stage in RETRAIN_STAGES)


def _as_step(gate: StandingGate) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(name=f"{gate.road.model}__gate_{gate.gate.value}__{gate.asset}", specs=gate.specs)
    def hold_gate(context: dg.AssetCheckExecutionContext, platform: Platform) -> Iterator[dg.AssetCheckResult]:
        yield from gate.results(platform, context.partition_key)

    return hold_gate


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
