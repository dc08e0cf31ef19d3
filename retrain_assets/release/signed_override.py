"""One approver's word that a named check may count as open although it did not pass. The value only; ``overrides`` judges it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from retrain_assets.contract import Gate
from retrain_assets.contract.approval import folded
from retrain_assets.ledger import Event


@dataclass(frozen=True, slots=True)
class SignedOverride:
    """One of the two words an override takes.

    Args:
        gate: the gate.
        check: the check, by its name in the gate.
        bundle: the candidate's bundle it is about; None where none was trained yet, then the evidence names the data.
        evidence: digest of the verdicts the check is among.
        signer: the approver.
        at: when it was given (clock time).
        valid_until: until when it may be used.
        reason: why.
        typed_by: operating-system account that typed it.
        sequence: the ledger event.
        key: fingerprint of the key that signed it; None where the contract names no keys.
    """

    gate: Gate
    check: str
    bundle: str | None
    evidence: str
    signer: str
    at: datetime
    valid_until: datetime
    reason: str
    typed_by: str
    sequence: int
    key: str | None = None


def overrides_after(known: tuple[SignedOverride, ...], event: Event) -> tuple[SignedOverride, ...]:
    """What stands of a retrain's overrides after one more was signed, or somebody's was withdrawn."""
    payload = event.payload
    gate, check, signer = Gate(payload["gate"]), payload["check"], folded([event.actor.name])
    if payload.get("withdrawn"):
        return tuple(one for one in known if (one.gate, one.check, folded([one.signer])) != (gate, check, signer))
    signed = SignedOverride(
        gate=gate,
        check=check,
        bundle=payload["bundle"],
        evidence=payload["evidence"],
        signer=event.actor.name,
        at=event.at,
        valid_until=datetime.fromisoformat(payload["valid_until"]),
        reason=event.reason,
        typed_by=payload["typed_by"],
        sequence=event.sequence,
        key=(payload.get("signed") or {}).get("key"),
    )
    return (*known, signed)
