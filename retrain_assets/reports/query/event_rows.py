"""Rows of the tables that stand in the events themselves: events, approvals, gates, overrides, follow-ups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from retrain_assets.ledger import Event, EventKind
from retrain_assets.reports.query.records import Records, Row

WORDS_OF_PEOPLE = (EventKind.APPROVED, EventKind.APPROVAL_WITHDRAWN, EventKind.REJECTED, EventKind.CHAMPION_BOOTSTRAPPED)
"""Events that are a person's word on a promotion."""

OPENS = (EventKind.ROLLED_BACK, EventKind.KILL_SWITCH_ENGAGED, EventKind.OVERRIDE_SIGNED)
"""Events that open a follow-up: a person's rollback, a kill switch, an override in force."""


def event_rows(records: Records) -> Iterator[Row]:
    """Every event."""
    for event in records.events:
        yield {
            "sequence": event.sequence,
            "happened_at": event.at,
            "recorded_at": event.recorded_at,
            "actor_kind": event.actor.kind,
            "actor": event.actor.name,
            "kind": str(event.kind),
            "model": event.model,
            "retrain": event.retrain,
            "toggle": event.toggle,
            "revision_before": event.revision_before,
            "revision_after": event.revision_after,
            "reason": event.reason,
            "signed": "signed" in event.payload,
            "payload": json.dumps(event.payload, ensure_ascii=False),
            "previous_hash": event.previous_hash,
            "hash": event.hash,
        }


def approval_rows(records: Records) -> Iterator[Row]:
    """Each person's word, with whether the decision rests on it."""
    counted = {
        sequence for event in records.by_kind[EventKind.DECISION_RECORDED] for sequence in event.payload.get("approvals", ())
    }
    launched = {(event.model, event.retrain): str(event.actor) for event in records.by_kind[EventKind.RETRAIN_LAUNCHED]}
    for event in records.of(*WORDS_OF_PEOPLE):
        if not event.actor.is_person:
            continue
        told, signed = event.payload, event.payload.get("signed") or {}
        yield {
            "sequence": event.sequence,
            "happened_at": event.at,
            "model": event.model,
            "retrain": event.retrain,
            "toggle": event.toggle,
            "act": str(event.kind),
            "approver": event.actor.name,
            "reason": event.reason,
            "version": told.get("version"),
            "bundle": told.get("bundle"),
            "evidence": told.get("evidence"),
            "valid_until": told.get("valid_until"),
            "typed_by": told.get("typed_by"),
            "signed": bool(signed),
            "signing_key": signed.get("key"),
            "source": signed.get("source"),
            "counted": event.sequence in counted or event.kind is EventKind.CHAMPION_BOOTSTRAPPED,
            "launched_by": launched.get((event.model, event.retrain)),
        }


def gate_rows(records: Records) -> Iterator[Row]:
    """Each check each time it was recorded; those of gate promotion with the decision."""
    events = records.of(EventKind.GATE_EVALUATED, EventKind.DECISION_RECORDED)
    latest: dict[tuple[str, str | None, str, str], int] = {}
    for event in events:
        for verdict in event.payload["verdicts"]:
            latest[event.model, event.retrain, verdict["gate"], verdict["check"]] = event.sequence
    for event in events:
        subjects = event.payload.get("subjects", {})
        for verdict in event.payload["verdicts"]:
            key = (event.model, event.retrain, verdict["gate"], verdict["check"])
            yield {
                "sequence": event.sequence,
                "happened_at": event.at,
                "model": event.model,
                "retrain": event.retrain,
                "gate": verdict["gate"],
                "check_name": verdict["check"],
                "outcome": verdict["outcome"],
                "observed": _number(verdict["observed"]),
                "observed_text": _text(verdict["observed"]),
                "threshold": _number(verdict["threshold"]),
                "threshold_text": _text(verdict["threshold"]),
                "message": verdict["message"],
                "latest": latest[key] == event.sequence,
                **{name: subjects.get(name) for name in ("dataset", "features", "bundle", "champion")},
                "evidence": event.payload.get("evidence"),
            }


def override_rows(records: Records) -> Iterator[Row]:
    """Each signature under an override, with whether it is in force: two different people for the same check and verdicts."""
    people: dict[tuple[Any, ...], set[str]] = {}
    for event in records.by_kind[EventKind.OVERRIDE_SIGNED]:
        people.setdefault(_override(event), set()).add(event.actor.name)
    for event in records.by_kind[EventKind.OVERRIDE_SIGNED]:
        *_, gate, check, bundle, evidence = _override(event)
        yield {
            "sequence": event.sequence,
            "happened_at": event.at,
            "model": event.model,
            "retrain": event.retrain,
            "gate": gate,
            "check_name": check,
            "approver": event.actor.name,
            "reason": event.reason,
            "bundle": bundle,
            "evidence": evidence,
            "signed": "signed" in event.payload,
            "in_force": len(people[_override(event)]) > 1,
        }


def follow_up_rows(records: Records) -> Iterator[Row]:
    """Each emergency with whether somebody looked into it; of an override the signature that brought it into force."""
    closed = {event.payload["number"]: event for event in records.by_kind[EventKind.FOLLOW_UP_CLOSED]}
    signed: dict[tuple[Any, ...], set[str]] = {}
    for event in records.of(*OPENS):
        if event.kind is EventKind.ROLLED_BACK and not event.actor.is_person:
            continue
        if event.kind is EventKind.OVERRIDE_SIGNED:
            people = signed.setdefault(_override(event), set())
            before = len(people)
            people.add(event.actor.name)
            if (before, len(people)) != (1, 2):
                continue
        end = closed.get(event.sequence)
        yield {
            "number": event.sequence,
            "model": event.model,
            "retrain": event.retrain,
            "toggle": event.toggle,
            "kind": str(event.kind),
            "opened_at": event.at,
            "opened_by": event.actor.name,
            "reason": event.reason,
            "open": end is None,
            "closed_at": end.at if end else None,
            "closed_by": end.actor.name if end else None,
            "finding": end.payload.get("finding") if end else None,
        }


def _override(event: Event) -> tuple[Any, ...]:
    told: Mapping[str, Any] = event.payload
    return (event.model, event.retrain, told.get("gate"), told.get("check"), told.get("bundle"), told.get("evidence"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)
