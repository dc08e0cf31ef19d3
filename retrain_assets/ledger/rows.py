"""A stored row as an event, and an event as a row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from retrain_assets.contract import CustodyError, RetrainError, canonical_json
from retrain_assets.ledger.events import Actor, Event, EventDraft, EventKind, event_hash


def link(draft: EventDraft, sequence: int, previous: str, recorded_at: datetime) -> Event:
    """The event a draft becomes at its place in the chain.

    Raises:
        RetrainError: for a payload that is not JSON, or a time without timezone.
    """
    try:
        payload = json.loads(canonical_json(dict(draft.payload)))
        unsealed = Event(
            sequence=sequence,
            at=draft.at,
            recorded_at=recorded_at,
            actor=draft.actor,
            kind=draft.kind,
            model=draft.model,
            retrain=draft.retrain,
            toggle=draft.toggle,
            revision_before=draft.revision_before,
            revision_after=draft.revision_after,
            reason=draft.reason,
            payload=payload,
            previous_hash=previous,
            hash="",
        )
        return event_of(row_of(unsealed) | {"hash": event_hash(unsealed.to_json())})
    except ValueError as error:
        raise RetrainError(
            f"the event cannot be written as JSON ({error})",
            where=f"{draft.kind} of {draft.model}",
            remedy="give plain JSON values",
        ) from error


def row_of(event: Event) -> dict[str, Any]:
    """What is stored of an event, by column."""
    fields = event.to_json()
    actor = fields.pop("actor")
    payload = canonical_json(fields.pop("payload")).decode()
    return {**fields, "payload": payload, "actor_kind": actor["kind"], "actor_name": actor["name"]}


def fields_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A stored row as an event's JSON fields; the payload is None where the text is not JSON."""
    fields = dict(row)
    try:
        fields["payload"] = json.loads(fields["payload"])
    except ValueError:
        fields["payload"] = None
    fields["actor"] = {"kind": fields.pop("actor_kind"), "name": fields.pop("actor_name")}
    return fields


def event_of(row: Mapping[Any, Any]) -> Event:
    """A stored row as the event it is.

    Raises:
        CustodyError: when it is none any more.
    """
    fields = fields_of(row)
    try:
        return Event(
            **{
                **fields,
                "at": datetime.fromisoformat(fields["at"]),
                "recorded_at": datetime.fromisoformat(fields["recorded_at"]),
                "actor": Actor(**fields["actor"]),
                "kind": EventKind(fields["kind"]),
                "payload": {**fields["payload"]},
            }
        )
    except (ValueError, TypeError) as error:
        raise CustodyError(
            f"stored event {fields['sequence']} is not an event any more ({error})",
            where="ledger",
            remedy="run retrain audit verify and restore the ledger from a backup",
        ) from error
