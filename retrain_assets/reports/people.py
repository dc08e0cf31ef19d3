"""Who decided what: the decision, the approvals it rests on, and every change of the toggle as the ledger holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from retrain_assets.contract import Gate, digest_of, format_duration, parse_duration
from retrain_assets.ledger import Event, EventKind, timestamp
from retrain_assets.reports.happened import what_happened
from retrain_assets.reports.record import Record

WORDS_OF_PEOPLE = (EventKind.APPROVED, EventKind.APPROVAL_WITHDRAWN, EventKind.REJECTED, EventKind.CHAMPION_BOOTSTRAPPED)
"""Events that are a person's word on a promotion."""


def decision_of(record: Record) -> dict[str, Any] | None:
    """The final decision (``decision``, ``reason``, ``at``, ``by``, ``sequence``, ``verdicts``) as JSON; None while open."""
    event = record.last(EventKind.DECISION_RECORDED)
    if event is None:
        return None
    return {
        "decision": event.payload.get("decision"),
        "reason": event.reason,
        "at": timestamp(event.at),
        "by": str(event.actor),
        "sequence": event.sequence,
        "verdicts": [dict(verdict) for verdict in event.payload.get("verdicts", [])],
    }


def approvals_of(record: Record) -> dict[str, Any]:
    """The policy and everybody's word in its order: approvals, withdrawals, rejections and the first champion's acceptance."""
    policy = record.contract.get("approval", {})
    used = record.last(EventKind.DECISION_RECORDED)
    counted = used.payload.get("approvals", []) if used is not None else []
    return {
        "required": policy.get("required"),
        "approvers": policy.get("approvers"),
        "roles": policy.get("roles") or {},
        "signed": bool(policy.get("allowed_signers")),
        "separation_of_duties": policy.get("separation_of_duties"),
        "valid_for": _duration(policy.get("valid_for")),
        "words": list(_words(record, counted)),
    }


def transitions_of(record: Record) -> list[dict[str, Any]]:
    """Every event of the retrain but the looks and the verdicts on them, oldest first; ``revision`` is the toggle's after it."""
    return [
        {
            "sequence": event.sequence,
            "at": timestamp(event.at),
            "recorded_at": timestamp(event.recorded_at),
            "by": str(event.actor),
            "kind": str(event.kind),
            "toggle": event.toggle,
            "revision": event.revision_after,
            "what": what_happened(event),
            "reason": event.reason,
            "hash": event.hash,
        }
        for event in record.events
        if not _about_a_look(event)
    ]


def _about_a_look(event: Event) -> bool:
    return event.kind is EventKind.CANARY_LOOKED or (
        event.kind is EventKind.GATE_EVALUATED and event.payload.get("gate") == Gate.CANARY
    )


def _words(record: Record, counted: list[int]) -> Iterator[dict[str, Any]]:
    for event in record.of(*WORDS_OF_PEOPLE):
        if event.actor.is_person:
            yield _word(event, event.sequence in counted)


def _word(event: Event, counted: bool) -> dict[str, Any]:
    return {
        "said": {
            EventKind.APPROVED: "approved",
            EventKind.APPROVAL_WITHDRAWN: "withdrew the approval",
            EventKind.REJECTED: "rejected",
            EventKind.CHAMPION_BOOTSTRAPPED: "accepted as first champion",
        }[event.kind],
        "by": str(event.actor),
        "at": timestamp(event.at),
        "reason": event.reason,
        "version": event.payload.get("version"),
        "bundle": event.payload.get("bundle"),
        "evidence": event.payload.get("evidence"),
        "valid_until": event.payload.get("valid_until"),
        "account": event.payload.get("typed_by"),
        **_signature(event),
        "counted": counted,
        "sequence": event.sequence,
    }


def _signature(event: Event) -> dict[str, Any]:
    """What proves a word: fingerprint of the key, digest of the signed statement, where it came from; None where nothing does."""
    signed = event.payload.get("signed")
    if not isinstance(signed, Mapping):
        return {"key": None, "statement": None, "source": None}
    return {"key": signed.get("key"), "statement": digest_of(signed.get("statement")), "source": signed.get("source")}


def _duration(value: Any) -> str | None:
    return None if value is None else format_duration(parse_duration(value))
