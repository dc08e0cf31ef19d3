"""What a ledger event is: who did what to which model, when and why, and the hash that binds it to the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from retrain_assets.contract import RetrainError, canonical_json, sha256_hex

EVERY_MODEL = "*"
"""The model of an event that is about all models, those to come included."""


class EventKind(StrEnum):
    """Everything the ledger records."""

    RETRAIN_LAUNCHED = "retrain_launched"
    GATE_EVALUATED = "gate_evaluated"
    CANDIDATE_REGISTERED = "candidate_registered"
    STAGE_FAILED = "stage_failed"
    CHAMPION_BOOTSTRAPPED = "champion_bootstrapped"
    TOGGLE_REGISTERED = "toggle_registered"
    TOGGLE_ARMED = "toggle_armed"
    TOGGLE_STEPPED = "toggle_stepped"
    TOGGLE_HELD = "toggle_held"
    TOGGLE_RESUMED = "toggle_resumed"
    TOGGLE_EXTENDED = "toggle_extended"
    TOGGLE_TRANSFERRED = "toggle_transferred"
    CANARY_LOOKED = "canary_looked"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVED = "approved"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    REJECTED = "rejected"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    TOGGLE_RETIRED = "toggle_retired"
    DECISION_RECORDED = "decision_recorded"
    RETRAIN_ENDED = "retrain_ended"
    AUDIT_RECORDED = "audit_recorded"
    TRANSFER_OFFERED = "transfer_offered"
    TOGGLE_REVIEWED = "toggle_reviewed"
    KILL_SWITCH_ENGAGED = "kill_switch_engaged"
    KILL_SWITCH_RELEASED = "kill_switch_released"
    FREEZE_DECLARED = "freeze_declared"
    FREEZE_LIFTED = "freeze_lifted"
    OWNER_LEFT = "owner_left"
    OWNER_BACK = "owner_back"
    TOKEN_ADDED = "token_added"
    TOKEN_REVOKED = "token_revoked"
    OVERRIDE_SIGNED = "override_signed"
    FOLLOW_UP_CLOSED = "follow_up_closed"
    SYSTEM_KEY_ADDED = "system_key_added"
    SPLIT_EXPORTED = "split_exported"
    RECORD_EXPORTED = "record_exported"
    RELEASE_REVIEWED = "release_reviewed"
    RETENTION_APPLIED = "retention_applied"
    CONTRACT_PROMOTED = "contract_promoted"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person by principal (e-mail address) or the system itself."""

    kind: Literal["person", "system"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def is_person(self) -> bool:
        """True for a person."""
        return self.kind == "person"

    @classmethod
    def parse(cls, text: str) -> Actor:
        """The inverse of ``str``: ``person:ann@example.org`` or ``system:retrain_assets``.

        Raises:
            RetrainError: when the text names neither.
        """
        kind, separator, name = text.partition(":")
        if separator and name and kind == "person":
            return cls("person", name)
        if separator and name and kind == "system":
            return cls("system", name)
        raise RetrainError(f"{text!r} is not an actor", remedy="write person:NAME or system:NAME")


def named(actor: Actor | str) -> str:
    """An actor in texts for people: a person by address, this product as ``the system``, another system as ``system:NAME``."""
    kind, _, name = str(actor).partition(":")
    if kind == "person":
        return name
    return "the system" if name in ("", SYSTEM.name) else str(actor)


SYSTEM = Actor("system", "retrain_assets")
"""The actor of everything that happens without a person: assets, sensors, reconciliation."""


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event before the ledger gives it its place.

    Args:
        at: the clock's time (data time in a replay), timezone-aware.
        actor: who acts.
        kind: what happened.
        model: the model it is about.
        reason: why, in words.
        retrain: the retrain it is about, if any.
        toggle: the toggle it is about, if any.
        revision_before: the toggle's revision before; None when the event does not touch a toggle's revision.
        revision_after: the toggle's revision after.
        payload: JSON-able details; no NaN, no infinity.
    """

    at: datetime
    actor: Actor
    kind: EventKind
    model: str
    reason: str
    retrain: str | None = None
    toggle: str | None = None
    revision_before: int | None = None
    revision_after: int | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """One link of the chain. ``at`` is the clock's time, ``recorded_at`` the machine's."""

    sequence: int
    at: datetime
    recorded_at: datetime
    actor: Actor
    kind: EventKind
    model: str
    retrain: str | None
    toggle: str | None
    revision_before: int | None
    revision_after: int | None
    reason: str
    payload: Mapping[str, Any]
    previous_hash: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; times as ISO-8601 UTC with microseconds, the actor as ``{"kind", "name"}``."""
        return {
            "sequence": self.sequence,
            "at": timestamp(self.at),
            "recorded_at": timestamp(self.recorded_at),
            "actor": {"kind": self.actor.kind, "name": self.actor.name},
            "kind": str(self.kind),
            "model": self.model,
            "retrain": self.retrain,
            "toggle": self.toggle,
            "revision_before": self.revision_before,
            "revision_after": self.revision_after,
            "reason": self.reason,
            "payload": dict(self.payload),
            "previous_hash": self.previous_hash,
            "hash": self.hash,
        }


def event_hash(fields: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of the canonical JSON (RFC 8785) of an event's JSON without its ``hash``."""
    return sha256_hex(canonical_json({name: value for name, value in fields.items() if name != "hash"}))


def timestamp(moment: datetime) -> str:
    """ISO-8601 UTC with microseconds: ``2013-07-01T00:00:00.000000+00:00``.

    Raises:
        RetrainError: for a time without a timezone.
    """
    if moment.tzinfo is None:
        raise RetrainError(f"{moment.isoformat()} has no timezone", where="event time", remedy="give a UTC time")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
