"""Who let it serve: approvals with the keys that signed them, overrides, and what else was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.contract import Gate
from retrain_assets.ledger import Event, EventKind, timestamp
from retrain_assets.reports.lineage.field import Field, Fields, Source, contract_of, of_event
from retrain_assets.reports.record import Record

_SAID = {
    EventKind.APPROVED: "approved",
    EventKind.APPROVAL_WITHDRAWN: "withdrew",
    EventKind.REJECTED: "rejected",
    EventKind.CHAMPION_BOOTSTRAPPED: "accepted as first champion",
}


def approval_fields(record: Record) -> Fields:
    """What was asked of people, and everybody's word with what proves it."""
    policy, contract = record.contract.get("approval", {}), contract_of(record)
    names = ("required", "approvers", "roles", "separation_of_duties", "valid_for", "overrides")
    asked = {name.replace("_", " "): policy[name] for name in names if policy.get(name) not in (None, {}, [])}
    yield Field("approval.policy", "What approval takes", asked, contract, "the contract cannot be read")
    decided = record.last(EventKind.DECISION_RECORDED)
    counted = decided.payload.get("approvals", []) if decided is not None else []
    words = [
        {
            "who": event.actor.name,
            "said": _SAID[event.kind],
            "at": timestamp(event.at),
            **_proof(event),
            "reason": event.reason,
            "evidence": event.payload.get("evidence"),
            "counted": event.sequence in counted,
            "event": event.sequence,
        }
        for event in record.of(*_SAID)
        if event.actor.is_person
    ]
    yield Field(
        "approval.words", "Approvals, withdrawals and rejections", words, Source("their own events"), "nobody said anything"
    )
    verdicts = decided.payload.get("verdicts", []) if decided is not None else []
    separate = next((one for one in verdicts if one["check"] == "approver_is_not_the_launcher"), None)
    judged = f"{separate['outcome']}: {separate['message']}" if separate else None
    yield Field("approval.separation", "Separation of duties", judged, of_event(decided), "gate promotion was not judged")
    promotion = [f"{one['check']}: {one['outcome']}" for one in verdicts if one["gate"] == Gate.PROMOTION]
    yield Field("approval.gate", "Verdicts of gate promotion", promotion, of_event(decided), "gate promotion was not judged")


def override_fields(record: Record) -> Fields:
    """Every word of an override, in force or not."""
    words = [
        {
            "check": f"{event.payload.get('gate')}.{event.payload.get('check')}",
            "who": event.actor.name,
            "said": "withdrew" if event.payload.get("withdrawn") else "signed",
            "at": timestamp(event.at),
            **_proof(event),
            "reason": event.reason,
            "evidence": event.payload.get("evidence"),
            "event": event.sequence,
        }
        for event in record.of(EventKind.OVERRIDE_SIGNED)
    ]
    none = "none: no check was overridden"
    yield Field("override.words", "Overrides", words, Source("their own events"), none)


def _proof(event: Event) -> dict[str, Any]:
    """Whether it is signed, by which key and where the signature came from; of what is not signed, which account typed it."""
    signed = event.payload.get("signed")
    if isinstance(signed, Mapping):
        return {"signed": True, "key": signed.get("key"), "source": signed.get("source")}
    return {"signed": False, "typed by account": event.payload.get("typed_by")}
