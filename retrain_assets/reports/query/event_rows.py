"""Rows of the tables that stand in the events themselves: events, approvals, gates, overrides, follow-ups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from retrain_assets.ledger import Event, EventKind
from retrain_assets.release import fold_platform
from retrain_assets.reports.people import WORDS_OF_PEOPLE
from retrain_assets.reports.query.records import Records, Row


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
            "payload": orjson.dumps(event.payload).decode(),
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
    """Each word on an override, withdrawals among them, with whether two people's words put it in force."""
    words = records.by_kind[EventKind.OVERRIDE_SIGNED]
    in_force = {_override(event): bool(event.payload.get("in_force")) for event in words}
    for event in words:
        told = event.payload
        yield {
            "sequence": event.sequence,
            "happened_at": event.at,
            "model": event.model,
            "retrain": event.retrain,
            "gate": told["gate"],
            "check_name": told["check"],
            "approver": event.actor.name,
            "reason": event.reason,
            "bundle": told["bundle"],
            "evidence": told["evidence"],
            "signed": "signed" in told,
            "withdrawn": bool(told.get("withdrawn")),
            "in_force": in_force[_override(event)],
        }


def follow_up_rows(records: Records) -> Iterator[Row]:
    """Each emergency with whether somebody looked into it."""
    for one in fold_platform(records.events).follow_ups.values():
        yield {
            "number": one.number,
            "model": one.model,
            "retrain": one.retrain,
            "toggle": one.toggle,
            "kind": one.kind.value,
            "opened_at": one.opened_at,
            "opened_by": ", ".join(name.removeprefix("person:") for name in one.by),
            "what": one.what,
            "reason": one.reason,
            "open": one.closed is None,
            "closed_at": one.closed.at if one.closed else None,
            "closed_by": one.closed.by.removeprefix("person:") if one.closed else None,
            "finding": one.closed.finding if one.closed else None,
        }


def _override(event: Event) -> tuple[Any, ...]:
    """What a word on an override is about; of several about the same the last one says how it stands."""
    told: Mapping[str, Any] = event.payload
    return (event.model, event.retrain, told["gate"], told["check"], told["evidence"])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)
