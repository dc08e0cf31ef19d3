"""The pure fold: events of the ledger, in order, to the state of every model. What an event means is said here alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from retrain_assets.contract import Gate, Verdict, digest_of
from retrain_assets.contract.approval import same_person
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind
from retrain_assets.ledger.versions import current
from retrain_assets.release.platform import PLATFORM_KINDS
from retrain_assets.release.signed_override import overrides_after
from retrain_assets.release.state import (
    ApprovalRecord,
    CheckRecord,
    Decision,
    Ending,
    GateRecord,
    LookRecord,
    ModelState,
    Reign,
    RetrainState,
    ToggleState,
    ToggleStatus,
    TransferOffer,
    stage_share,
)
from retrain_assets.routing import VersionRef

ACTIVATION_KINDS = frozenset(
    {
        EventKind.CHAMPION_BOOTSTRAPPED,
        EventKind.TOGGLE_ARMED,
        EventKind.TOGGLE_STEPPED,
        EventKind.TOGGLE_HELD,
        EventKind.TOGGLE_RESUMED,
        EventKind.TOGGLE_EXTENDED,
        EventKind.APPROVAL_REQUESTED,
        EventKind.PROMOTED,
        EventKind.ROLLED_BACK,
        EventKind.REJECTED,
        EventKind.TOGGLE_RETIRED,
    }
)
"""Events after which the flag document is written again."""

REGISTRY_KINDS = frozenset(
    {
        EventKind.CANDIDATE_REGISTERED,
        EventKind.CHAMPION_BOOTSTRAPPED,
        EventKind.TOGGLE_ARMED,
        EventKind.PROMOTED,
        EventKind.ROLLED_BACK,
        EventKind.REJECTED,
        EventKind.TOGGLE_RETIRED,
        EventKind.RETRAIN_ENDED,
        EventKind.OVERRIDE_SIGNED,
    }
)
"""Events after which aliases and tags in the registry are set again."""


def fold(events: Iterable[Event], start: Mapping[str, ModelState] | None = None) -> dict[str, ModelState]:
    """The state of every model after some events. What is about all models, or changes none, is ``platform``'s.

    Args:
        events: events in ascending sequence.
        start: the state before them, when the earlier events were folded already.
    """
    states = dict(start or {})
    for event in map(current, events):
        if event.model == EVERY_MODEL:
            continue
        state = states.get(event.model) or ModelState(event.model)
        if event.kind not in PLATFORM_KINDS:
            state = _MEANING[event.kind](state, event)
        states[event.model] = replace(
            state,
            sequence=event.sequence,
            activation_sequence=event.sequence if event.kind in ACTIVATION_KINDS else state.activation_sequence,
            registry_sequence=event.sequence if event.kind in REGISTRY_KINDS else state.registry_sequence,
            statements=state.statements | {digest_of(signed["statement"])}
            if (signed := event.payload.get("signed"))
            else state.statements,
        )
    return states


def _retrain_launched(state: ModelState, event: Event) -> ModelState:
    key = event.retrain or ""
    retrain = RetrainState(
        key=key,
        model=event.model,
        trigger=event.payload["trigger"],
        launched_by=str(event.actor),
        launched_at=event.at,
        contract_digest=event.payload["contract_digest"],
        environment=event.payload.get("environment"),
    )
    return replace(state, retrains={**state.retrains, key: retrain})


def _contract_promoted(state: ModelState, event: Event) -> ModelState:
    return replace(state, promoted_contracts=state.promoted_contracts | {event.payload["contract_digest"]})


def _gate_evaluated(state: ModelState, event: Event) -> ModelState:
    gate = Gate(event.payload["gate"])
    retrain = state.retrains[event.retrain or ""]
    known = retrain.verdicts.get(gate)
    limits = event.payload["subjects"].get("limits")
    checks = {name: one for name, one in (known.checks if known else {}).items() if one.subjects.get("limits") == limits}
    for value in event.payload["verdicts"]:
        verdict = Verdict.from_json({**value, "evidence": {}})
        checks[verdict.check] = CheckRecord(
            verdict, event.payload["subjects"], event.payload["evidence"], event.at, event.sequence
        )
    record = GateRecord(gate, checks)
    state = _voiding_approvals(state, event, gate, record.evidence_digests)
    return _with_retrain(state, event, verdicts={**retrain.verdicts, gate: record}, failure=None)


def _voiding_approvals(state: ModelState, event: Event, gate: Gate, evidence: list[str]) -> ModelState:
    """Approvals that rest on other evidence of a gate than it has now count no more."""
    toggle = state.toggle_of(event.retrain or "")
    if toggle is None or not toggle.active or not toggle.approvals:
        return state
    approvals = tuple(
        replace(item, voided_by=event.sequence)
        if item.voided_by is None and item.gates and list(item.gates.get(str(gate), ())) != evidence
        else item
        for item in toggle.approvals
    )
    return replace(state, toggles={**state.toggles, toggle.name: replace(toggle, approvals=approvals)})


def _candidate_registered(state: ModelState, event: Event) -> ModelState:
    return _with_retrain(
        state,
        event,
        candidate=VersionRef(event.payload["version"], event.payload["bundle"]),
        subjects=event.payload["subjects"],
        failure=None,
    )


def _stage_failed(state: ModelState, event: Event) -> ModelState:
    return _with_retrain(state, event, failure=f"{event.payload['stage']}: {event.payload['message']}")


def _champion_bootstrapped(state: ModelState, event: Event) -> ModelState:
    champion = VersionRef(event.payload["version"], event.payload["bundle"])
    known = _with_retrain(state, event, bootstrapped_by=event.actor.name) if event.retrain in state.retrains else state
    return _crowned(known, event, champion, how="bootstrapped", retrain=event.retrain)


def _toggle_registered(state: ModelState, event: Event) -> ModelState:
    payload = event.payload
    toggle = ToggleState(
        name=event.toggle or "",
        model=event.model,
        retrain=event.retrain or "",
        state=ToggleStatus.REGISTERED,
        revision=event.revision_after or 0,
        stage_revision=event.revision_after or 0,
        stage=None,
        share=0.0,
        salt=payload["salt"],
        challenger=VersionRef(**payload["challenger"]),
        previous_champion=VersionRef(**payload["previous_champion"]),
        contract=payload["contract"],
        owner=payload["owner"],
        purpose=payload["purpose"],
        status_since=event.at,
        created_at=event.at,
        created_by=str(event.actor),
    )
    return replace(state, toggles={**state.toggles, toggle.name: toggle})


def _toggle_armed(state: ModelState, event: Event) -> ModelState:
    return _with_toggle(
        _with_retrain(state, event, armed_at=event.at),
        event,
        state=ToggleStatus.ARMED,
        armed_at=event.at,
        expires_at=datetime.fromisoformat(event.payload["expires_at"]),
        remove_by=datetime.fromisoformat(event.payload["remove_by"]),
        stage_revision=event.revision_after,
    )


def _toggle_stepped(state: ModelState, event: Event) -> ModelState:
    toggle = state.toggles[event.toggle or ""]
    stage, revision = event.payload["to_stage"], event.revision_after or 0
    share = stage_share(stage)
    return _with_toggle(
        state,
        event,
        state=ToggleStatus.SHADOW if stage == "shadow" else ToggleStatus.RAMPING,
        stage=stage,
        share=share,
        stage_revision=revision,
        stage_started={**toggle.stage_started, revision: event.at},
        shares={**toggle.shares, revision: share},
    )


def _toggle_held(state: ModelState, event: Event) -> ModelState:
    return _with_toggle(state, event, state=ToggleStatus.HELD, held_from=state.toggles[event.toggle or ""].state)


def _toggle_resumed(state: ModelState, event: Event) -> ModelState:
    return _with_toggle(state, event, state=state.toggles[event.toggle or ""].held_from, held_from=None)


def _toggle_extended(state: ModelState, event: Event) -> ModelState:
    return _with_toggle(state, event, expires_at=datetime.fromisoformat(event.payload["expires_at"]))


def _transfer_offered(state: ModelState, event: Event) -> ModelState:
    owner = event.payload["owner"]
    if owner == state.toggles[event.toggle or ""].owner:
        return _with_toggle(state, event, offer=None)
    offer = TransferOffer(owner, event.actor.name, event.at, event.reason, event.sequence)
    return _with_toggle(state, event, offer=offer)


def _toggle_transferred(state: ModelState, event: Event) -> ModelState:
    return _with_toggle(state, event, owner=event.payload["owner"], offer=None)


def _toggle_reviewed(state: ModelState, event: Event) -> ModelState:
    return _with_toggle(state, event, reviewed_at=event.at, reviewed_by=event.actor.name)


def _canary_looked(state: ModelState, event: Event) -> ModelState:
    payload = event.payload
    look = LookRecord(
        evidence=payload["evidence"],
        action=payload["action"],
        reason=payload["reason"],
        stage=payload["stage"],
        revision=payload["revision"],
        at=event.at,
        sequence=event.sequence,
        again_at=datetime.fromisoformat(payload["again_at"]) if payload.get("again_at") else None,
    )
    return _with_toggle(state, event, last_look=look)


def _approval_requested(state: ModelState, event: Event) -> ModelState:
    return _with_toggle(state, event, state=ToggleStatus.AWAITING_APPROVAL)


def _approved(state: ModelState, event: Event) -> ModelState:
    payload, signed = event.payload, event.payload.get("signed") or {}
    approval = ApprovalRecord(
        approver=event.actor.name,
        at=event.at,
        valid_until=datetime.fromisoformat(payload["valid_until"]),
        version=payload["version"],
        bundle=payload["bundle"],
        evidence=payload["evidence"],
        reason=event.reason,
        typed_by=payload["typed_by"],
        sequence=event.sequence,
        gates={gate: tuple(digests) for gate, digests in payload.get("gates", {}).items()},
        source=signed.get("source", "named"),
        key=signed.get("key"),
        statement=digest_of(signed["statement"]) if signed else None,
    )
    return _with_toggle(state, event, approvals=(*state.toggles[event.toggle or ""].approvals, approval))


def _approval_withdrawn(state: ModelState, event: Event) -> ModelState:
    approvals = state.toggles[event.toggle or ""].approvals
    left = tuple(item for item in approvals if not same_person(item.approver, event.actor.name))
    return _with_toggle(state, event, approvals=left)


def _rejected(state: ModelState, event: Event) -> ModelState:
    state = _with_retrain(state, event, rejected=f"{event.reason} ({event.actor})")
    return _with_toggle(state, event, state=ToggleStatus.REJECTED) if event.toggle else state


def _promoted(state: ModelState, event: Event) -> ModelState:
    challenger = state.toggles[event.toggle or ""].challenger
    state = _with_toggle(state, event, state=ToggleStatus.PROMOTED, stage="100", share=1.0)
    return _crowned(state, event, challenger, how="promoted", retrain=event.retrain)


def _rolled_back(state: ModelState, event: Event) -> ModelState:
    toggle = state.toggles[event.toggle or ""]
    ended = {"state": ToggleStatus.ROLLED_BACK, "share": 0.0, "held_from": None, "offer": None, "ended_because": event.reason}
    state = _with_toggle(state, event, **ended)
    if toggle.state is ToggleStatus.PROMOTED:
        earlier = [reign for reign in state.champion_history if reign.version == toggle.previous_champion]
        return _crowned(state, event, toggle.previous_champion, how="restored", retrain=earlier[-1].retrain if earlier else None)
    return state


def _toggle_retired(state: ModelState, event: Event) -> ModelState:
    return _with_toggle(state, event, state=ToggleStatus.RETIRED, offer=None)


def _decision_recorded(state: ModelState, event: Event) -> ModelState:
    payload = event.payload
    toggle = state.toggle_of(event.retrain or "")
    sequences = payload["approvals"]
    decision = Decision(
        decision=payload["decision"],
        verdicts=tuple(Verdict.from_json(value) for value in payload["verdicts"]),
        approvals=tuple(item for item in toggle.approvals if item.sequence in sequences) if toggle else (),
        reason=event.reason,
    )
    return _with_retrain(state, event, decision=decision, decided_at=event.at)


def _retrain_ended(state: ModelState, event: Event) -> ModelState:
    return _with_retrain(state, event, ended=Ending(event.payload["ending"]), ended_at=event.at)


def _audit_recorded(state: ModelState, event: Event) -> ModelState:
    retrain = state.retrains[event.retrain or ""]
    return _with_retrain(state, event, audits=(*retrain.audits, event.payload["evidence"]))


def _override_signed(state: ModelState, event: Event) -> ModelState:
    changes: dict[str, Any] = {"overrides": overrides_after(state.retrains[event.retrain or ""].overrides, event)}
    if event.payload.get("reopens"):
        closed = ("decision", "decided_at", "ended", "ended_at", "rejected")
        changes |= {**dict.fromkeys(closed), "reopened": event.sequence}
    return _with_retrain(state, event, **changes)


def _with_toggle(state: ModelState, event: Event, /, **changes: Any) -> ModelState:
    toggle = state.toggles[event.toggle or ""]
    if event.revision_after is not None:
        changes["revision"] = event.revision_after
    if "state" in changes and changes["state"] is not toggle.state:
        changes["status_since"] = event.at
    return replace(state, toggles={**state.toggles, toggle.name: replace(toggle, **changes)})


def _with_retrain(state: ModelState, event: Event, /, **changes: Any) -> ModelState:
    key = event.retrain or ""
    return replace(state, retrains={**state.retrains, key: replace(state.retrains[key], **changes)})


def _crowned(state: ModelState, event: Event, champion: VersionRef, *, how: str, retrain: str | None) -> ModelState:
    reign = Reign(version=champion, since=event.at, retrain=retrain, how=how, sequence=event.sequence)
    return replace(state, champion=champion, champion_history=(*state.champion_history, reign))


def _nothing(state: ModelState, event: Event) -> ModelState:
    """It stands in the record and changes no state."""
    return state


_MEANING: Mapping[EventKind, Callable[[ModelState, Event], ModelState]] = {
    EventKind.RETRAIN_LAUNCHED: _retrain_launched,
    EventKind.GATE_EVALUATED: _gate_evaluated,
    EventKind.CANDIDATE_REGISTERED: _candidate_registered,
    EventKind.STAGE_FAILED: _stage_failed,
    EventKind.CHAMPION_BOOTSTRAPPED: _champion_bootstrapped,
    EventKind.TOGGLE_REGISTERED: _toggle_registered,
    EventKind.TOGGLE_ARMED: _toggle_armed,
    EventKind.TOGGLE_STEPPED: _toggle_stepped,
    EventKind.TOGGLE_HELD: _toggle_held,
    EventKind.TOGGLE_RESUMED: _toggle_resumed,
    EventKind.TOGGLE_EXTENDED: _toggle_extended,
    EventKind.TRANSFER_OFFERED: _transfer_offered,
    EventKind.TOGGLE_TRANSFERRED: _toggle_transferred,
    EventKind.TOGGLE_REVIEWED: _toggle_reviewed,
    EventKind.CANARY_LOOKED: _canary_looked,
    EventKind.APPROVAL_REQUESTED: _approval_requested,
    EventKind.APPROVED: _approved,
    EventKind.APPROVAL_WITHDRAWN: _approval_withdrawn,
    EventKind.REJECTED: _rejected,
    EventKind.PROMOTED: _promoted,
    EventKind.ROLLED_BACK: _rolled_back,
    EventKind.TOGGLE_RETIRED: _toggle_retired,
    EventKind.DECISION_RECORDED: _decision_recorded,
    EventKind.RETRAIN_ENDED: _retrain_ended,
    EventKind.AUDIT_RECORDED: _audit_recorded,
    EventKind.OVERRIDE_SIGNED: _override_signed,
    EventKind.FOLLOW_UP_CLOSED: _nothing,
    EventKind.SPLIT_EXPORTED: _nothing,
    EventKind.RECORD_EXPORTED: _nothing,
    EventKind.RELEASE_REVIEWED: _nothing,
    EventKind.RETENTION_APPLIED: _nothing,
    EventKind.CONTRACT_PROMOTED: _contract_promoted,
}
