"""What the ledger vouches for: the rules of a flag document, the bundles that may be loaded, the contract in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from retrain_assets.contract import Contract, CustodyError
from retrain_assets.ledger import EvidenceStore
from retrain_assets.release import ModelState, ReleaseController, ToggleState, ToggleStatus, fold
from retrain_assets.release.platform import fold_platform
from retrain_assets.release.projection import flag_bytes, shown_sequence
from retrain_assets.routing import RoutingRule, VersionRef, rules_from_document
from retrain_assets.serving.live.terms import LiveTerms


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the ledger says about one model.

    Args:
        sequence: the last event about it.
        versions: every version that may be served: champions of all times and challengers whose toggle was armed.
        previous: where a rollback of the last promotion leads; None when there is nothing to roll back.
        terms: the contract in force: of the active toggle, else of the retrain that made the champion.
        toggles: every toggle there is or was.
    """

    sequence: int
    versions: frozenset[VersionRef]
    previous: VersionRef | None
    terms: LiveTerms
    toggles: Mapping[str, ToggleState]


def vouched(state: ModelState, evidence: EvidenceStore) -> Vouched:
    """What a state of the ledger vouches for.

    Raises:
        CustodyError: when the contract in force is not in the evidence store.
    """
    armed = {toggle.challenger for toggle in state.toggles.values() if toggle.armed_at is not None}
    promoted = [one for one in state.toggles.values() if one.state is ToggleStatus.PROMOTED and one.challenger == state.champion]
    return Vouched(
        sequence=state.sequence,
        versions=frozenset(armed | {reign.version for reign in state.champion_history}),
        previous=promoted[-1].previous_champion if promoted else None,
        terms=LiveTerms.of(_contract_in_force(state, evidence)),
        toggles=state.toggles,
    )


def rules_on_record(controller: ReleaseController, sequence: int) -> dict[str, RoutingRule]:
    """The rules that the flag document of a ledger sequence holds; of a sequence the ledger has not reached, none."""
    states, platform = controller.snapshot()
    reached = shown_sequence(states, platform)
    if sequence > reached:
        return {}
    if sequence < reached:
        events = [event for event in controller.ledger.events() if event.sequence <= sequence]
        states, platform = fold(events), fold_platform(events)
    return rules_from_document(json.loads(flag_bytes(states, platform)))


def _contract_in_force(state: ModelState, evidence: EvidenceStore) -> Contract:
    if (toggle := state.active_toggle) is not None:
        return toggle.terms
    for retrain in state.retrains.values():
        if retrain.candidate is not None and retrain.candidate == state.champion:
            return Contract.recorded(evidence.get(retrain.contract_digest))
    raise CustodyError(
        "no retrain made the champion, so its contract is not known", where=state.model, remedy="run: retrain audit verify"
    )
