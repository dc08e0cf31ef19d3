"""What people signed: every signature of every event again, by the contract in force, and what each promotion rests on."""

from __future__ import annotations

from itertools import combinations

from retrain_assets.cli.verify.part import MALFORMED, Part
from retrain_assets.cli.verify.terms import Terms
from retrain_assets.contract import CustodyError, RetrainError, digest_of, first_line
from retrain_assets.contract.approval import folded
from retrain_assets.ledger import Event, EventKind, EvidenceStore
from retrain_assets.release.signing import SIGNED_KINDS, recorded_fault


def approvals_part(evidence: EvidenceStore, events: list[Event], identity: str) -> Part:
    """Signatures of approvals, withdrawals, rejections, overrides and orders; the approvals each promotion rests on.

    Args:
        evidence: where contracts are.
        events: the whole chain.
        identity: of the ledger.
    """
    terms, faults, unread = Terms(evidence, events), list[str](), dict[str, str]()
    signed, named, keys, notes = 0, 0, set[str](), list[str]()
    for event in events:
        where = f"event {event.sequence} ({event.kind}, {event.model})"
        if event.kind not in SIGNED_KINDS:
            if "signed" in event.payload:
                faults.append(f"{where} carries a signature, which such an event never does")
            continue
        try:
            fault = _fault(event, terms, identity)
        except MALFORMED as error:
            fault = f"{where} says something this release never writes ({first_line(error)})"
        except RetrainError as error:
            unread.setdefault(error.line, where)
            continue
        if fault:
            faults.append(fault)
        elif (proof := event.payload.get("signed")) is not None:
            signed += 1
            keys.add(f"{proof['key']} of {event.actor.name}")
        elif event.actor.is_person:
            named += 1
            if why := event.payload.get("unsigned"):
                notes.append(f"{where} is an order that nothing vouches for: {why}")
    faults += _statements_used_twice(events)
    faults += _promotions(events, terms)
    said = [f"{signed} signature{'s'[: signed != 1]}"] if signed or not named else []
    said += [f"{named} by name alone"] if named else []
    unchecked = "; ".join(f"{where}: {line}" for line, where in unread.items())
    return Part("approvals", ", ".join(said), tuple(faults), unchecked, (*(f"key {key}" for key in sorted(keys)), *notes))


def _fault(event: Event, terms: Terms, identity: str) -> str | None:
    """What is wrong with the signature of an event by every contract it may count by; None where it holds by one."""
    if "signed" not in event.payload and not event.actor.is_person:
        return None
    found = [recorded_fault(event, one, identity) for one in terms.of(event)]
    if not found and "signed" in event.payload:
        return f"event {event.sequence} ({event.kind}) is signed, and no contract is on record that says whose keys count"
    return found[0] if found and all(found) else None


def _statements_used_twice(events: list[Event]) -> list[str]:
    faults, used = [], dict[str, int]()
    for event in events:
        proof = event.payload.get("signed")
        if not isinstance(proof, dict) or "statement" not in proof:
            continue
        digest = digest_of(proof["statement"])
        if digest in used:
            faults.append(
                f"event {event.sequence} ({event.kind}) carries the statement of event {used[digest]}, which counts once"
            )
        used.setdefault(digest, event.sequence)
    return faults


def _promotions(events: list[Event], terms: Terms) -> list[str]:
    """Promotions that do not rest on as many approvals, by approvers, of what was promoted, as their contract wants."""
    faults, by_sequence = [], {event.sequence: event for event in events}
    for event in events:
        if event.kind is not EventKind.PROMOTED:
            continue
        try:
            fault = _promotion_fault(event, by_sequence, terms)
        except CustodyError:
            continue
        except MALFORMED as error:
            fault = f"says something this release never writes ({first_line(error)})"
        if fault:
            faults.append(f"event {event.sequence} (promoted, {event.model}) {fault}")
    return faults


def _promotion_fault(promotion: Event, by_sequence: dict[int, Event], terms: Terms) -> str | None:
    named = promotion.payload["approvals"]
    given = [by_sequence[sequence] for sequence in named if sequence in by_sequence]
    if len(given) < len(named) or not all(_approves(one, promotion) for one in given):
        return "names an approval that is not one of it"
    people = folded(one.actor.name for one in given)
    for wanted in terms.of(promotion):
        if strangers := people - folded(wanted.approvers):
            return f"rests on {', '.join(sorted(strangers))}, whom its contract does not name"
        if len(people) < wanted.required:
            return f"rests on {len(people)} of the {wanted.required} approvals its contract wants"
        for one, other in combinations(given, 2):
            if wanted.one_hand(one.actor.name, _key(one), other.actor.name, _key(other)):
                return f"rests on events {one.sequence} and {other.sequence}, and one key could have signed both"
    return None


def _key(approval: Event) -> str | None:
    return (approval.payload.get("signed") or {}).get("key")


def _approves(approval: Event, promotion: Event) -> bool:
    same = ("version", "bundle", "evidence")
    return (
        approval.kind is EventKind.APPROVED
        and approval.toggle == promotion.toggle
        and approval.sequence < promotion.sequence
        and all(approval.payload[name] == promotion.payload[name] for name in same)
    )
