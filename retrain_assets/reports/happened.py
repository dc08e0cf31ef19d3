"""What an event of the record says that its kind and reason do not: from where to where, to whom, until when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from retrain_assets.ledger import EVERY_MODEL, Event, EventKind, timestamp
from retrain_assets.reports import words
from retrain_assets.reports.record import Record


def what_happened(event: Event) -> str | None:
    """One sentence without a full stop; None where kind and reason say it all."""
    said = _SAID.get(event.kind)
    told = [*([said(event.payload)] if said else []), *_vouched(event.payload)]
    return "; ".join(told) or None


def meanwhile_of(record: Record) -> list[dict[str, Any]]:
    """What stopped releases of the model, or was to, from the retrain's launch to its last event; oldest first."""
    return [
        {
            "sequence": event.sequence,
            "at": timestamp(event.at),
            "by": str(event.actor),
            "kind": str(event.kind),
            "of": "all models" if event.model == EVERY_MODEL else event.model,
            "what": what_happened(event),
            "reason": event.reason,
            "hash": event.hash,
        }
        for event in record.beside
    ]


def brakes_of(event: Event) -> str | None:
    """What kept a step or a request for approval that a look called for from being made; None where nothing did."""
    if "called_for" not in event.payload:
        return None
    return str(event.payload["reason"]).partition("; the look calls for ")[0]


def _armed(payload: Mapping[str, Any]) -> str:
    return f"expires {words.moment(payload.get('expires_at'))}, to be gone by {words.day(payload.get('remove_by'))}"


def _retired(payload: Mapping[str, Any]) -> str:
    was = f"it was {words.words(str(payload.get('from')))}"
    return f"by policy at its removal date; {was}" if payload.get("cause") == "removal_date" else f"closed for good; {was}"


def _stepped(payload: Mapping[str, Any]) -> str:
    before = words.stage(payload.get("from_stage")) if payload.get("from_stage") else "no traffic"
    return f"from {before} to {words.stage(payload.get('to_stage'))}"


def _offered(payload: Mapping[str, Any]) -> str:
    if payload.get("owner") == payload.get("from"):
        return f"the offer is withdrawn, it stays {payload.get('owner')}'s"
    return f"{payload.get('from')} offers it to {payload.get('owner')}, who has to accept"


def _transferred(payload: Mapping[str, Any]) -> str:
    by = f", offered by {payload['offered_by']}" if payload.get("offered_by") else ""
    return f"from {payload.get('from')} to {payload.get('owner')}{by}"


def _rolled_back(payload: Mapping[str, Any]) -> str:
    version = (payload.get("restored") or {}).get("version")
    return f"{_CAUSES.get(str(payload.get('cause')), 'rolled back')}; version {version} answers everybody"


def _vouched(payload: Mapping[str, Any]) -> list[str]:
    """What stands behind an order that nobody signed with a key of theirs."""
    token = (payload.get("credential") or {}).get("token")
    return [
        *([f"with token {token}"] if token else []),
        *([f"UNSIGNED: {payload['unsigned']}"] if payload.get("unsigned") else []),
    ]


def _override(payload: Mapping[str, Any]) -> str:
    name = f"{payload.get('gate')}.{payload.get('check')}"
    if payload.get("withdrawn"):
        return f"{name}: the word is taken back, and its gate is closed again"
    signers = payload.get("signers") or []
    was = f"it was {words.words(str(payload.get('outcome')))}: {payload.get('message')}"
    if not payload.get("in_force"):
        return f"{name}: {len(signers)} of 2 signed, until {words.moment(payload.get('valid_until'))}; {was}"
    opened = "; the retrain is open again" if payload.get("reopens") else ""
    return f"OVERRIDDEN: {name} by {' and '.join(signers)}{opened}; {was}"


def _exported(payload: Mapping[str, Any]) -> str:
    served = ", ".join(f"version {one['version']} {one['per_cent']} %" for one in payload.get("served") or [])
    return f"endpoint {payload.get('endpoint')} serves {payload.get('entity')}: {served}, of revision {payload.get('revision')}"


def _contract_promoted(payload: Mapping[str, Any]) -> str:
    origin, digest = payload.get("origin") or {}, str(payload.get("contract_digest"))
    return f"contract {digest[7:19]} from {origin.get('environment')}, where retrain {origin.get('retrain')} ran"


def _token(payload: Mapping[str, Any]) -> str:
    models = f" of {', '.join(payload['models'])}" if payload.get("models") else ""
    until = f", until {words.moment(payload['expires_at'])}" if payload.get("expires_at") else ""
    return f"{payload.get('token')}: {', '.join(payload.get('scopes') or [])}{models} for {payload.get('principal')}{until}"


def _system_key(payload: Mapping[str, Any]) -> str:
    replaced = f", in place of {payload['replaces']}" if payload.get("replaces") else ""
    return f"{payload.get('fingerprint')}{replaced}"


_CAUSES = {
    "person": "a person took it off",
    "system": "the system took it off",
    "expired": "it expired",
    "kill_switch": "a kill switch took it off",
    "harm": "harm was shown",
    "inconclusive": "time ran out without proof",
    "champion_rolled_back": "the champion it was compared with was rolled back",
}

_SAID: Mapping[EventKind, Callable[[Mapping[str, Any]], str]] = {
    EventKind.TOGGLE_ARMED: _armed,
    EventKind.TOGGLE_STEPPED: _stepped,
    EventKind.TOGGLE_EXTENDED: lambda payload: f"{payload.get('by')} more, expires {words.moment(payload.get('expires_at'))}",
    EventKind.TRANSFER_OFFERED: _offered,
    EventKind.TOGGLE_TRANSFERRED: _transferred,
    EventKind.TOGGLE_REVIEWED: lambda payload: f"still needed; its state is {words.words(str(payload.get('state')))}",
    EventKind.ROLLED_BACK: _rolled_back,
    EventKind.TOGGLE_RETIRED: _retired,
    EventKind.FREEZE_DECLARED: lambda payload: f"{payload.get('start')} to {payload.get('end')}",
    EventKind.FREEZE_LIFTED: lambda payload: f"freeze {payload.get('number')}",
    EventKind.OWNER_LEFT: lambda payload: str(payload.get("owner")),
    EventKind.OWNER_BACK: lambda payload: str(payload.get("owner")),
    EventKind.KILL_SWITCH_RELEASED: lambda payload: f"engaged by event {payload.get('engaged')}",
    EventKind.TOKEN_ADDED: _token,
    EventKind.TOKEN_REVOKED: lambda payload: str(payload.get("token")),
    EventKind.OVERRIDE_SIGNED: _override,
    EventKind.FOLLOW_UP_CLOSED: lambda payload: f"follow-up {payload.get('number')} ({words.words(str(payload.get('kind')))})",
    EventKind.SPLIT_EXPORTED: _exported,
    EventKind.SYSTEM_KEY_ADDED: _system_key,
    EventKind.CONTRACT_PROMOTED: _contract_promoted,
}
