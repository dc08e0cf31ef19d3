"""Read-only views of release state as plain JSON-able values, for the command line and reports."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from retrain_assets.ledger import Event, EventKind
from retrain_assets.release.policy import GATES_BEFORE_TRAFFIC, expired, standing_approvals
from retrain_assets.release.state import ModelState, RetrainState, ToggleState
from retrain_assets.release.toggle import next_stage, possible


def status(state: ModelState, now: datetime) -> dict[str, Any]:
    """A model at a glance: champion, active toggle, retrains."""
    active = state.active_toggle
    return {
        "model": state.model,
        "champion": _version(state.champion),
        "champion_since": state.champion_history[-1].since.isoformat() if state.champion_history else None,
        "champion_retrain": state.champion_history[-1].retrain if state.champion_history else None,
        "active_toggle": toggle_view(active, now) if active else None,
        "retrains": [retrain_view(state, retrain) for retrain in state.retrains.values()],
        "ledger_sequence": state.sequence,
    }


def toggle_view(toggle: ToggleState, now: datetime) -> dict[str, Any]:
    """One toggle with what can be done to it."""
    standing = standing_approvals(toggle, now)
    return {
        "toggle": toggle.name,
        "model": toggle.model,
        "retrain": toggle.retrain,
        "state": str(toggle.state),
        "revision": toggle.revision,
        "stage_revision": toggle.stage_revision,
        "stage": toggle.stage,
        "next_stage": next_stage(toggle) if toggle.active else None,
        "share": toggle.share,
        "ramp": list(toggle.ramp),
        "challenger": _version(toggle.challenger),
        "previous_champion": _version(toggle.previous_champion),
        "owner": toggle.owner,
        "purpose": toggle.purpose,
        "armed_at": _moment(toggle.armed_at),
        "stage_started_at": _moment(toggle.stage_started_at),
        "expires_at": _moment(toggle.expires_at),
        "expired": expired(toggle, now),
        "remove_by": _moment(toggle.remove_by),
        "held_from": str(toggle.held_from) if toggle.held_from else None,
        "ended_because": toggle.ended_because,
        "last_look": {
            "action": toggle.last_look.action,
            "reason": toggle.last_look.reason,
            "at": toggle.last_look.at.isoformat(),
            "evidence": toggle.last_look.evidence,
        }
        if toggle.last_look
        else None,
        "approvals": [
            {
                "approver": item.approver,
                "at": item.at.isoformat(),
                "valid_until": item.valid_until.isoformat(),
                "evidence": item.evidence,
                "reason": item.reason,
                "typed_by": item.typed_by,
                "counts": item in standing,
            }
            for item in toggle.approvals
        ],
        "possible": [str(move) for move in possible(toggle)],
    }


def retrain_view(state: ModelState, retrain: RetrainState) -> dict[str, Any]:
    """One retrain: why it was launched, what its gates said, where it got, how it ended."""
    toggle = state.toggle_of(retrain.key)
    return {
        "retrain": retrain.key,
        "trigger": dict(retrain.trigger),
        "launched_by": retrain.launched_by,
        "launched_at": retrain.launched_at.isoformat(),
        "candidate": _version(retrain.candidate),
        "gates": {
            str(gate): str(retrain.verdicts[gate].outcome)
            for gate in (*GATES_BEFORE_TRAFFIC, *sorted(set(retrain.verdicts) - set(GATES_BEFORE_TRAFFIC)))
            if gate in retrain.verdicts
        },
        "toggle": toggle.name if toggle else None,
        "toggle_state": str(toggle.state) if toggle else None,
        "stage": toggle.stage if toggle else None,
        "failure": retrain.failure,
        "decision": retrain.decision.decision if retrain.decision else None,
        "reason": retrain.decision.reason if retrain.decision else None,
        "approvers": [item.approver for item in retrain.decision.approvals] if retrain.decision else [],
        "ended": str(retrain.ended) if retrain.ended else None,
        "ended_at": _moment(retrain.ended_at),
        "audit": retrain.audit,
    }


def audit_trail(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Events as an auditor reads them: one dict each, in order, the payload as recorded."""
    return [event.to_json() for event in events]


def recorded_evidence(events: Iterable[Event]) -> set[str]:
    """Digests the ledger says are in the evidence store: contracts, gate verdicts and looks."""
    digests = set()
    for event in events:
        if event.kind is EventKind.RETRAIN_LAUNCHED:
            digests.add(event.payload["contract_digest"])
        elif event.kind in (EventKind.GATE_EVALUATED, EventKind.CANARY_LOOKED):
            digests.add(event.payload["evidence"])
    return digests


def _version(version: Any) -> dict[str, str] | None:
    return {"version": version.version, "bundle": version.bundle} if version else None


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
