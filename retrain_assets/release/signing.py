"""A person's signature under what they do: required where the contract names keys, checked against the very case, kept.

An event that somebody signed carries ``payload["signed"]``: statement, signature and fingerprint of the key, so that anybody
can check it again without this program (:func:`recorded_fault` does it with it).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from retrain_assets.contract import Approval, SignatureError, canonical_json
from retrain_assets.ledger import Act, Actor, Event, Namespace, Statement, verified

PATIENCE = timedelta(minutes=15)
"""How long after it was written a statement may be handed in; of an approval its own period counts instead."""

AHEAD = timedelta(minutes=2)
"""How far the clock of whoever signs may be ahead."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement with its signature.

    Args:
        statement: what is said.
        signature: the armored SSHSIG over :attr:`Statement.bytes`.
        source: ``ssh``, signed by hand; ``git``, a file of a signed commit.
        proof: what else belongs to the source.
    """

    statement: Statement
    signature: str
    source: str = "ssh"
    proof: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self, fingerprint: str) -> dict[str, Any]:
        """As it stands in an event's payload under ``signed``."""
        return {
            "statement": self.statement.to_json(),
            "signature": self.signature,
            "key": fingerprint,
            "source": self.source,
            **({"proof": dict(self.proof)} if self.proof else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            SignatureError: for anything else.
        """
        try:
            return cls(
                Statement.from_json(value["statement"]),
                str(value["signature"]),
                str(value["source"]),
                dict(value.get("proof", {})),
            )
        except (KeyError, TypeError) as error:
            raise SignatureError(f"it is not a signed statement ({error})") from error


@dataclass(frozen=True, slots=True)
class Case:
    """What a statement has to say to count.

    Args:
        act: what is done.
        ledger: the ledger's identity.
        model: the model.
        retrain: the retrain, or None.
        toggle: the toggle, or None.
        subject: what exactly, without ``valid_until``, which whoever signs may shorten.
        actor: who acts.
        reason: why.
        now: the clock's time.
        used: digests of the statements that are recorded already.
    """

    act: Act
    ledger: str
    model: str
    retrain: str | None
    toggle: str | None
    subject: Mapping[str, Any]
    actor: Actor
    reason: str
    now: datetime
    used: Collection[str] = ()

    def statement(self, valid_until: datetime | None = None) -> Statement:
        """What is to be signed."""
        until = {"valid_until": valid_until.isoformat()} if valid_until is not None else {}
        return Statement(
            self.act,
            self.ledger,
            self.model,
            self.retrain,
            self.toggle,
            {**self.subject, **until},
            self.actor.name,
            self.reason,
            self.now,
        )


def signed_payload(terms: Approval, case: Case, signed: Signed | None) -> dict[str, Any]:
    """``{"signed": …}`` for an event's payload; empty where the contract names no keys and nothing is signed.

    Raises:
        SignatureError: missing where the contract names keys, forged, of another key, for another case, too old, or used before.
    """
    where = f"{case.model} {case.retrain or case.toggle or ''}".strip()
    if signed is None:
        if terms.signed and case.actor.is_person:
            known = ", ".join(one.fingerprint for one in terms.signers_of(case.actor.name)) or "none"
            raise SignatureError(
                f"the contract wants {case.actor.name} to sign it", where=where, remedy=f"add --key FILE; keys of theirs: {known}"
            )
        return {}
    if not terms.signed:
        raise SignatureError("the contract names no keys", where=where, remedy="add approval.allowed_signers to the contract")
    statement = signed.statement
    if different := _differences(case, statement):
        raise SignatureError(
            f"the signed statement is about something else ({'; '.join(different)})", where=where, remedy="sign this very case"
        )
    if statement.digest in case.used:
        raise SignatureError("the signed statement is recorded already", where=where, remedy="sign anew; each one counts once")
    if statement.at > case.now + AHEAD:
        raise SignatureError(
            f"it is signed at {statement.at.isoformat()}, which is yet to come", where=where, remedy="set the clock"
        )
    if "valid_until" not in statement.subject and case.now - statement.at > PATIENCE:
        raise SignatureError(f"it is signed at {statement.at.isoformat()}, too long ago", where=where, remedy="sign it anew")
    fingerprint = _checked(terms, signed)
    return {"signed": signed.to_json(fingerprint)}


def recorded_fault(event: Event, terms: Approval) -> str | None:
    """What is wrong with the signature of a recorded event; None where it holds, or nobody had to sign.

    Args:
        event: an event of a person.
        terms: the approval terms of the contract in force for it.
    """
    recorded = event.payload.get("signed")
    if recorded is None:
        return f"event {event.sequence} ({event.kind}) is not signed" if terms.signed and event.actor.is_person else None
    try:
        signed = Signed.from_json(recorded)
        fingerprint = _checked(terms, signed)
    except SignatureError as error:
        return f"event {event.sequence} ({event.kind}): {error.what}"
    if fingerprint != recorded.get("key"):
        return f"event {event.sequence} ({event.kind}) names another key than the one that signed it"
    said, told = signed.statement, (event.model, event.retrain, event.actor.name, event.reason)
    if (said.model, said.retrain, said.principal, said.reason) != told:
        return f"event {event.sequence} ({event.kind}) says something else than what was signed"
    return None


def _checked(terms: Approval, signed: Signed) -> str:
    """The fingerprint of the key that signed, when it was its principal's at that time."""
    statement = signed.statement
    namespace = Namespace.GIT if signed.source == "git" else statement.act.namespace
    signers = terms.signers_of(statement.principal)
    data = str(signed.proof.get("commit", "")).encode() if signed.source == "git" else statement.bytes
    return verified(data, signed.signature, signers, statement.principal, namespace, statement.at).fingerprint


def _differences(case: Case, statement: Statement) -> list[str]:
    subject = {name: value for name, value in statement.subject.items() if name != "valid_until"}
    wanted: dict[str, Any] = {
        "act": case.act,
        "ledger": case.ledger,
        "model": case.model,
        "retrain": case.retrain,
        "toggle": case.toggle,
        "principal": case.actor.name,
        "reason": case.reason,
    }
    found = {name: getattr(statement, name) for name in wanted}
    named = [f"its {name} is {found[name]!r}, not {wanted[name]!r}" for name in wanted if found[name] != wanted[name]]
    if canonical_json(subject) != canonical_json(dict(case.subject)):
        named += [
            f"its {name} is {subject.get(name)!r}, not {case.subject.get(name)!r}"
            for name in {**case.subject, **subject}
            if subject.get(name) != case.subject.get(name)
        ]
    return named
