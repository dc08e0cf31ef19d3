"""Read-only views of release state as plain JSON-able values, for the command line and reports."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from retrain_assets.contract import Freeze
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind
from retrain_assets.release.commands import command_of
from retrain_assets.release.debt import Debt, debt_of, review_due
from retrain_assets.release.follow_ups import follow_up_view, follow_ups
from retrain_assets.release.overrides import SIGNERS, overrides_in_force, standing_words
from retrain_assets.release.platform import KillSwitch, PlatformState
from retrain_assets.release.policy import GATES_BEFORE_TRAFFIC, expired, standing_approvals, toggle_brakes
from retrain_assets.release.state import ModelState, RetrainState, ToggleState
from retrain_assets.release.toggle import Move, next_stage, possible


def status(state: ModelState, now: datetime, platform: PlatformState) -> dict[str, Any]:
    """A model at a glance: champion, active toggle, retrains, and what stops releases of it."""
    active = state.active_toggle
    return {
        "model": state.model,
        "kill_switch": _switch(platform.kill_switch(state.model)),
        "champion": _version(state.champion),
        "champion_since": state.champion_history[-1].since.isoformat() if state.champion_history else None,
        "champion_retrain": state.champion_history[-1].retrain if state.champion_history else None,
        "active_toggle": toggle_view(active, now, platform) if active else None,
        "follow_ups": [follow_up_view(one, now) for one in follow_ups(state, platform)],
        "overrides": [one for retrain in state.retrains.values() for one in overrides_view(retrain, now)],
        "retrains": [
            {**retrain_view(state, retrain), "overridden": [one.name for one in overrides_in_force(retrain, now)]}
            for retrain in state.retrains.values()
        ],
        "ledger_sequence": state.sequence,
    }


def toggle_view(toggle: ToggleState, now: datetime, platform: PlatformState) -> dict[str, Any]:
    """One toggle: its terms, its state, what is owed about it, what can be done to it and what stops that."""
    standing = standing_approvals(toggle, now)
    stopped = {move: toggle_brakes(toggle, move, now, platform) for move in possible(toggle)}
    experiment, due = toggle.contract["experiment"], review_due(toggle)
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
        "owner_left": platform.left(toggle.owner) is not None,
        "offered_to": {
            "owner": toggle.offer.owner,
            "by": toggle.offer.by,
            "at": toggle.offer.at.isoformat(),
            "reason": toggle.offer.reason,
        }
        if toggle.offer
        else None,
        "purpose": toggle.purpose,
        "cohort": experiment.get("cohort", {}),
        "cohort_share": experiment.get("cohort_share", 1.0),
        "guardrails": experiment["guardrails"],
        "rolls_back_to": _version(toggle.previous_champion) if Move.ROLL_BACK in possible(toggle) else None,
        "created_at": _moment(toggle.created_at),
        "created_by": toggle.created_by,
        "age_days": (now - toggle.created_at).days if toggle.created_at else None,
        "armed_at": _moment(toggle.armed_at),
        "stage_started_at": _moment(toggle.stage_started_at),
        "expires_at": _moment(toggle.expires_at),
        "expired": expired(toggle, now),
        "remove_by": _moment(toggle.remove_by),
        "reviewed_at": _moment(toggle.reviewed_at),
        "reviewed_by": toggle.reviewed_by,
        "review_due": _moment(due),
        "review_overdue": due is not None and due <= now,
        "debt": [debt_view(debt) for debt in debt_of(toggle, platform, now)],
        "kill_switch": _switch(platform.kill_switch(toggle.model)),
        "freeze": _freeze(platform.cadence(toggle.terms).freezes_at(now)),
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
                "source": item.source,
                "key": item.key,
                "statement": item.statement,
                "voided_by": item.voided_by,
                "counts": item in standing,
            }
            for item in toggle.approvals
        ],
        "possible": [str(move) for move, found in stopped.items() if not found],
        "commands": {
            str(move): command
            for move, found in stopped.items()
            if not found and (command := command_of(toggle, move)) is not None
        },
        "stopped": {str(move): [brake.message for brake in found] for move, found in stopped.items() if found},
    }


def overrides_view(retrain: RetrainState, now: datetime) -> list[dict[str, Any]]:
    """What approvers signed about checks that did not pass, as far as it counts now; one of two is not in force yet."""
    views = []
    for gate in retrain.verdicts.values():
        for record in gate.checks.values():
            if not (words := standing_words(retrain, record, now)):
                continue
            views.append(
                {
                    "retrain": retrain.key,
                    "check": f"{gate.gate}.{record.verdict.check}",
                    "outcome": str(record.verdict.outcome),
                    "message": record.verdict.message,
                    "in_force": len(words) >= SIGNERS,
                    "signed": [
                        {
                            "by": word.signer,
                            "at": word.at.isoformat(),
                            "valid_until": word.valid_until.isoformat(),
                            "reason": word.reason,
                            "key": word.key,
                            "typed_by": word.typed_by,
                            "event": word.sequence,
                        }
                        for word in words
                    ],
                }
            )
    return views


def debt_view(debt: Debt) -> dict[str, Any]:
    """One debt."""
    return {
        "toggle": debt.toggle,
        "kind": str(debt.kind),
        "since": debt.since.isoformat(),
        "days": debt.days,
        "message": debt.message,
        "remedy": debt.remedy,
        "ways": [{"commands": list(way.commands), "by": way.by or None} for way in debt.ways],
    }


def platform_view(platform: PlatformState) -> dict[str, Any]:
    """What holds for many models: engaged kill switches, declared freezes, owners who left."""
    return {
        "kill_switches": [_switch(one) for one in platform.kill_switches.values()],
        "freezes": [
            {
                "number": one.number,
                "model": None if one.model == EVERY_MODEL else one.model,
                "start": one.start.isoformat(),
                "end": one.end.isoformat(),
                "reason": one.reason,
                "by": one.by,
                "declared_at": one.declared_at.isoformat(),
            }
            for one in platform.freezes
        ],
        "owners_left": [
            {"owner": one.owner, "since": one.since.isoformat(), "by": one.by, "reason": one.reason}
            for one in platform.owners_left.values()
        ],
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
        "bootstrapped_by": retrain.bootstrapped_by,
        "ended": str(retrain.ended) if retrain.ended else None,
        "ended_at": _moment(retrain.ended_at),
        "audit": retrain.audit,
    }


def audit_trail(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Events as an auditor reads them: one dict each, in order, the payload as recorded."""
    return [event.to_json() for event in events]


def recorded_evidence(events: Iterable[Event]) -> set[str]:
    """Digests the ledger says are in the evidence store: contracts, gate verdicts, what stages recorded of themselves, looks."""
    digests = set()
    for event in events:
        if event.kind is EventKind.RETRAIN_LAUNCHED:
            digests.add(event.payload["contract_digest"])
        elif event.kind in (EventKind.GATE_EVALUATED, EventKind.CANARY_LOOKED):
            digests.add(event.payload["evidence"])
            digests |= {digest for name, digest in event.payload.get("subjects", {}).items() if name == "stage_record"}
        elif event.kind is EventKind.CHAMPION_BOOTSTRAPPED and "gates" in event.payload:
            digests.add(event.payload["contract_digest"])
        elif event.kind is EventKind.PROMOTED and "policy" in event.payload:
            digests.add(event.payload["policy"]["evidence"])
    return digests


def _switch(switch: KillSwitch | None) -> dict[str, Any] | None:
    if switch is None:
        return None
    return {
        "model": None if switch.model == EVERY_MODEL else switch.model,
        "engaged_at": switch.engaged_at.isoformat(),
        "by": switch.by,
        "reason": switch.reason,
    }


def _freeze(found: list[Freeze]) -> dict[str, str] | None:
    """The freezes of now as one: from the first day of the first to the last day of the last."""
    if not found:
        return None
    start, end = min(one.start for one in found), max(one.end for one in found)
    return {"start": f"{start}", "end": f"{end}", "reason": "; ".join(one.reason for one in found)}


def _version(version: Any) -> dict[str, str] | None:
    return {"version": version.version, "bundle": version.bundle} if version else None


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
