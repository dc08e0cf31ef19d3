"""What was not the usual way: checks that two approvers overrode, orders nobody signed, and what is still to be looked into."""

from __future__ import annotations

from typing import Any

from retrain_assets.ledger import Event, EventKind, timestamp
from retrain_assets.release import ModelState, PlatformState, fold_platform
from retrain_assets.release.follow_ups import FollowUp, follow_ups
from retrain_assets.reports.record import Record


def overrides_of(record: Record) -> list[dict[str, Any]]:
    """Every override that came into force, oldest first: ``check``, ``by``, ``why``, ``at``, ``sequence``, ``withdrawn``."""
    words = list(record.of(EventKind.OVERRIDE_SIGNED))
    return [_override(event, words) for event in words if event.payload.get("in_force")]


def follow_ups_of(record: Record) -> list[dict[str, Any]]:
    """What emergencies of this retrain, and of the model meanwhile, left to be looked into; ``closed`` is None while open."""
    return [_follow_up(one) for one in recorded_follow_ups(record)]


def recorded_follow_ups(record: Record) -> tuple[FollowUp, ...]:
    """The same as they stand at the end of this record, open and closed, oldest first."""
    events = sorted((*record.events, *record.beside), key=lambda event: event.sequence)
    return tuple(fold_platform(events).follow_ups.values())


def open_follow_ups(state: ModelState, platform: PlatformState) -> list[dict[str, Any]]:
    """What is still to be looked into of a model, oldest first."""
    return [_follow_up(one) for one in follow_ups(state, platform)]


def overridden_checks(record: Record) -> set[str]:
    """The checks, as ``GATE.CHECK``, that counted as open although they did not pass."""
    return {one["check"] for one in overrides_of(record) if one["withdrawn"] is None}


def _override(event: Event, words: list[Event]) -> dict[str, Any]:
    """One override with the reasons of all who signed it, and when it was taken back."""
    payload = event.payload
    about = (payload["gate"], payload["check"])
    own = [one for one in words if (one.payload["gate"], one.payload["check"]) == about]
    signers = set(payload["signers"])
    reasons = [one.reason for one in own if one.sequence <= event.sequence and one.actor.name in signers and not _withdraws(one)]
    withdrawn = next((one for one in own if one.sequence > event.sequence and _withdraws(one)), None)
    return {
        "check": f"{about[0]}.{about[1]}",
        "by": [f"person:{name}" for name in payload["signers"]],
        "why": "; ".join(dict.fromkeys(reasons)),
        "at": timestamp(event.at),
        "sequence": event.sequence,
        "withdrawn": timestamp(withdrawn.at) if withdrawn is not None else None,
    }


def _withdraws(event: Event) -> bool:
    return bool(event.payload.get("withdrawn"))


def _follow_up(one: FollowUp) -> dict[str, Any]:
    closed = one.closed
    return {
        "number": one.number,
        "kind": str(one.kind),
        "of": one.scope,
        "at": timestamp(one.opened_at),
        "by": list(one.by),
        "what": one.what,
        "reason": one.reason,
        "unsigned": one.unsigned or None,
        "command": one.command if closed is None else None,
        "closed": {"at": timestamp(closed.at), "by": closed.by, "finding": closed.finding} if closed is not None else None,
    }
