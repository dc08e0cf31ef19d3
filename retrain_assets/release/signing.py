"""A person's signature under what they do: required where the contract names keys, checked against the very case, kept.

An event that somebody signed carries ``payload["signed"]``: statement, signature and fingerprint of the key, so that anybody
can check it again without this program (:func:`recorded_fault` does it with it).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from retrain_assets.contract import Approval, SignatureError, canonical_json, digest_of
from retrain_assets.contract.approval import same_person
from retrain_assets.ledger import Act, Actor, Event, EventKind, Namespace, Statement, verified
from retrain_assets.release.git_objects import brought

if TYPE_CHECKING:
    from retrain_assets.release.drafts import Drafts

PATIENCE = timedelta(minutes=15)
"""How long after it was written a statement may be handed in; of one that says until when it holds, that counts instead."""

AHEAD = timedelta(minutes=2)
"""How far the clock of whoever signs may be ahead."""

LASTING = frozenset({Act.APPROVE, Act.OVERRIDE})
"""Acts that hold for some time: their statements say until when, at most the contract's ``approval.valid_for`` later."""

SIGNED_KINDS: Mapping[EventKind, Act] = {
    EventKind.APPROVED: Act.APPROVE,
    EventKind.APPROVAL_WITHDRAWN: Act.WITHDRAW,
    EventKind.REJECTED: Act.REJECT,
    EventKind.CHAMPION_BOOTSTRAPPED: Act.BOOTSTRAP,
    EventKind.OVERRIDE_SIGNED: Act.OVERRIDE,
    EventKind.TOGGLE_HELD: Act.HOLD,
    EventKind.ROLLED_BACK: Act.ROLL_BACK,
    EventKind.KILL_SWITCH_ENGAGED: Act.KILL,
    EventKind.CONTRACT_PROMOTED: Act.PROMOTE_CONTRACT,
}
"""What a person signs, by the event that records it."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement with its signature.

    Args:
        statement: what is said.
        signature: the armored SSHSIG over :attr:`Statement.bytes`; of a commit, the one over the commit.
        source: ``ssh``, signed by hand; ``git``, a file that a signed commit brought.
        proof: what else belongs to the source; of a commit see :func:`~retrain_assets.release.git_objects.brought`.
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
        except (KeyError, TypeError, ValueError) as error:
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
        since: when what it is about came to be; nothing was signed before.
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
    since: datetime | None = None

    @classmethod
    def of(
        cls,
        drafts: Drafts,
        act: Act,
        retrain: str,
        toggle: str | None,
        subject: Mapping[str, Any],
        *,
        ledger: str,
        since: datetime | None = None,
    ) -> Self:
        """What the drafts' actor has to say now, for their reason, about their model."""
        return cls(
            act=act,
            ledger=ledger,
            model=drafts.state.model,
            retrain=retrain,
            toggle=toggle,
            subject=subject,
            actor=drafts.actor,
            reason=drafts.reason,
            now=drafts.now,
            used=drafts.state.statements,
            since=since,
        )

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
    _require_in_time(terms, case, statement, where)
    fingerprint = _checked(terms, signed, case.now)
    return {"signed": signed.to_json(fingerprint)}


def valid_until_of(terms: Approval, statement: Statement) -> datetime:
    """Until when a statement of a lasting act holds.

    Raises:
        SignatureError: when it does not say so, or longer than the contract lets it.
    """
    try:
        until = datetime.fromisoformat(statement.subject["valid_until"])
        longest = statement.at + terms.valid_for
        if until > longest:
            raise SignatureError(
                f"it says to hold until {until.isoformat()}, the contract lets it until {longest.isoformat()}",
                remedy="sign what retrain prints",
            )
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise SignatureError(f"it does not say until when it holds ({error})", remedy="sign what retrain prints") from error
    return until


def held_until(terms: Approval, case: Case, signed: Signed | None) -> str:
    """Until when a lasting act holds, as its event says it: as in the statement, once :func:`signed_payload` has checked that; of
    one that nobody signed as long as the contract lets it."""
    return str(signed.statement.subject["valid_until"]) if signed is not None else (case.now + terms.valid_for).isoformat()


def recorded_fault(event: Event, terms: Approval, ledger: str | None = None) -> str | None:
    """What is wrong with the signature of a recorded event; None where it holds, or nobody had to sign.

    Args:
        event: an event of a person.
        terms: the approval terms of the contract in force for it.
        ledger: identity of the ledger it stands in, where that is known.
    """
    recorded = event.payload.get("signed")
    if recorded is None:
        return f"event {event.sequence} ({event.kind}) is not signed" if terms.signed and _has_to_be_signed(event) else None
    try:
        signed = Signed.from_json(recorded)
        fingerprint = _checked(terms, signed, event.at)
        if signed.statement.act in LASTING:
            valid_until_of(terms, signed.statement)
    except SignatureError as error:
        return f"event {event.sequence} ({event.kind}): {error.what}"
    if fingerprint != recorded.get("key"):
        return f"event {event.sequence} ({event.kind}) names another key than the one that signed it"
    if different := _differs(event, signed.statement, ledger):
        return f"event {event.sequence} ({event.kind}) says something else than what was signed: {', '.join(different)}"
    return None


def used_again(events: Iterable[Event]) -> dict[int, str]:
    """What is wrong with recorded events that rest on a statement another event rested on before, by sequence.

    Args:
        events: every event of a model that people sign, in ascending sequence.
    """
    seen, faults = dict[str, int](), dict[int, str]()
    for event in events:
        if signed := event.payload.get("signed"):
            first = seen.setdefault(digest_of(signed["statement"]), event.sequence)
            if first != event.sequence:
                faults[event.sequence] = f"event {event.sequence} rests on the statement of event {first}, which counts once"
    return faults


def _has_to_be_signed(event: Event) -> bool:
    """Of a rollback, only one a person ordered: what a rejection or a kill switch brings about is signed there. An order may have
    come with a token of the gateway, or be on record as unsigned."""
    if not event.actor.is_person or event.kind not in SIGNED_KINDS:
        return False
    if SIGNED_KINDS[event.kind].namespace is Namespace.OPERATE and event.payload.keys() & {"credential", "unsigned"}:
        return False
    return event.kind is not EventKind.ROLLED_BACK or event.payload.get("cause") == "person"


def _differs(event: Event, said: Statement, ledger: str | None) -> list[str]:
    """The names of what an event says otherwise than the statement it carries."""
    same = {
        "act": said.act is (Act.WITHDRAW if event.payload.get("withdrawn") else SIGNED_KINDS.get(event.kind)),
        "ledger": ledger is None or said.ledger == ledger,
        "model": said.model == event.model,
        "retrain": said.retrain == event.retrain,
        "toggle": said.toggle == event.toggle or said.act is Act.REJECT,
        "principal": event.actor.is_person and same_person(said.principal, event.actor.name),
        "reason": event.reason in (said.reason, f"rejected by {event.actor.name}: {said.reason}"),
        "at": said.at <= event.at + AHEAD,
    }
    recorded = {"revision": event.revision_before} if said.act.namespace is Namespace.OPERATE and event.toggle else event.payload
    same |= {name: name in recorded and _alike(recorded[name], value) for name, value in said.subject.items()}
    return [name for name, holds in same.items() if not holds]


def _require_in_time(terms: Approval, case: Case, statement: Statement, where: str) -> None:
    if statement.at > case.now + AHEAD:
        raise SignatureError(
            f"it is signed at {statement.at.isoformat()}, which is yet to come", where=where, remedy="set the clock"
        )
    if case.since is not None and statement.at + AHEAD < case.since:
        raise SignatureError(
            f"it is signed at {statement.at.isoformat()}, before what it is about ({case.since.isoformat()})",
            where=where,
            remedy="set the clock, and sign anew",
        )
    if statement.act not in LASTING:
        if case.now - statement.at > PATIENCE:
            raise SignatureError(f"it is signed at {statement.at.isoformat()}, too long ago", where=where, remedy="sign it anew")
    elif (until := valid_until_of(terms, statement)) < case.now:
        raise SignatureError(f"it lapsed at {until.isoformat()}", where=where, remedy="sign it anew")


def _checked(terms: Approval, signed: Signed, recorded_at: datetime) -> str:
    """The fingerprint of the key that signed, when it was its principal's, both when it signed and when that was recorded."""
    statement = signed.statement
    signers = terms.signers_of(statement.principal)
    if signed.source == "ssh":
        moments, data, namespace = [statement.at, recorded_at], statement.bytes, statement.act.namespace
    elif signed.source == "git":
        found = brought(signed.proof)
        _require_file(found.blob, statement)
        if found.commit.signature.strip() != signed.signature.strip():
            raise SignatureError("the signature is not the commit's", remedy="read it from the repository again")
        moments, data, namespace = [statement.at, recorded_at, found.commit.committed_at], found.commit.signed, Namespace.GIT
    else:
        raise SignatureError(f"{signed.source!r} is no source of signatures", remedy="sign with ssh-keygen or a git commit")
    fingerprints = {verified(data, signed.signature, signers, statement.principal, namespace, at).fingerprint for at in moments}
    return fingerprints.pop()


def _require_file(blob: bytes, statement: Statement) -> None:
    """The file of a commit must be the statement, however it is spaced."""
    try:
        same = canonical_json(json.loads(blob)) == statement.bytes
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise SignatureError("the file in the commit is not the statement", remedy="commit what --print-statement prints")


def _differences(case: Case, statement: Statement) -> list[str]:
    subject = {name: value for name, value in statement.subject.items() if name != "valid_until" or statement.act not in LASTING}
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
    if same_person(statement.principal, case.actor.name) and case.actor.is_person:
        found["principal"] = case.actor.name
    named = [f"its {name} is {found[name]!r}, not {wanted[name]!r}" for name in wanted if found[name] != wanted[name]]
    if canonical_json(subject) != canonical_json(dict(case.subject)):
        named += [
            f"its {name} is {subject.get(name)!r}, not {case.subject.get(name)!r}"
            for name in {**case.subject, **subject}
            if not _alike(subject.get(name), case.subject.get(name))
        ] or ["its subject names more or less"]
    return named


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: ``true`` is not 1, which it is in Python."""
    return canonical_json(one) == canonical_json(other)
