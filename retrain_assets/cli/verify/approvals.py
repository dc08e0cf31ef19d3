"""What people signed: every signature of every event again, with the contract in force, and what each promotion rests on."""

from __future__ import annotations

from collections.abc import Mapping

from retrain_assets.cli.verify.part import MALFORMED, Part
from retrain_assets.contract import Approval, Contract, CustodyError, RetrainError, digest_of, first_line
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind, EvidenceStore
from retrain_assets.release.signing import SIGNED_KINDS, recorded_fault


def approvals_part(evidence: EvidenceStore, events: list[Event], identity: str) -> Part:
    """Signatures of approvals, withdrawals, rejections, overrides and orders; approvals under promotions.

    Args:
        evidence: where contracts are.
        events: the whole chain.
        identity: of the ledger.
    """
    faults: list[str] = []
    unread: dict[str, str] = {}
    signed, named, keys, used = 0, 0, set(), dict[str, int]()
    contracts = _Contracts(evidence, events)
    for event in events:
        recorded = event.payload.get("signed")
        if event.kind not in SIGNED_KINDS or (recorded is None and not event.actor.is_person):
            if recorded is not None:
                faults.append(f"event {event.sequence} ({event.kind}) carries a signature, which such an event never does")
            continue
        try:
            terms = contracts.terms_of(event)
            fault = recorded_fault(event, terms, identity) if terms is not None else _unread(event, recorded)
        except RetrainError as error:
            unread.setdefault(error.line, f"event {event.sequence} ({event.kind})")
            continue
        except MALFORMED as error:
            fault = f"event {event.sequence} ({event.kind}) says something this release never writes ({first_line(error)})"
        if fault:
            faults.append(fault)
        elif recorded is None:
            named += 1
        else:
            signed += 1
            keys.add(str(recorded.get("key")))
            digest = digest_of(recorded["statement"])
            if digest in used:
                twice = f"carries the statement of event {used[digest]} again; each counts once"
                faults.append(f"event {event.sequence} ({event.kind}) {twice}")
            used.setdefault(digest, event.sequence)
    faults += _promotions(events, contracts)
    said = [f"{signed} signatures by {len(keys)} keys" if signed else "nothing is signed"]
    said += [f"{named} by name only, as their contracts name no keys"] if named else []
    notes = tuple(f"key {key}" for key in sorted(keys))
    unchecked = "; ".join(f"{where}: {line}" for line, where in unread.items())
    return Part("approvals", ", ".join(said), tuple(faults), unchecked=unchecked, notes=notes)


class _Contracts:
    """The contract in force for an event: frozen in its toggle, else the one its retrain was launched under.

    Of an order about a whole model it is that of its newest toggle; an order about all models is under none.
    """

    def __init__(self, evidence: EvidenceStore, events: list[Event]) -> None:
        self._evidence = evidence
        self._toggles = {event.toggle: event for event in events if event.kind is EventKind.TOGGLE_REGISTERED}
        self._launched = {(event.model, event.retrain): event for event in events if event.kind is EventKind.RETRAIN_LAUNCHED}
        self._read: dict[int, Approval] = {}

    def terms_of(self, event: Event) -> Approval | None:
        """Who may sign, and with which keys; None where no contract says so.

        Raises:
            CustodyError: when the contract is gone or was changed.
        """
        if event.toggle is not None:
            source = self._toggles.get(event.toggle)
        elif event.retrain is not None:
            source = self._launched.get((event.model, event.retrain))
        else:
            before = [one for one in self._toggles.values() if one.model == event.model and one.sequence < event.sequence]
            source = before[-1] if before and event.model != EVERY_MODEL else None
        if source is None:
            return None
        if source.sequence not in self._read:
            self._read[source.sequence] = self._contract(source).approval
        return self._read[source.sequence]

    def _contract(self, source: Event) -> Contract:
        if source.kind is EventKind.TOGGLE_REGISTERED:
            return Contract.recorded(dict(source.payload["contract"]))
        return Contract.recorded(self._evidence.get(source.payload["contract_digest"]))


def _unread(event: Event, recorded: Mapping[str, object] | None) -> str | None:
    """Nothing says which keys count; then nothing can be signed either."""
    if recorded is None:
        return None
    return f"event {event.sequence} ({event.kind}) is signed, and no contract is on record that says whose keys count"


def _promotions(events: list[Event], contracts: _Contracts) -> list[str]:
    """Promotions that do not rest on as many approvals of approvers, for what was promoted, as their contract wants."""
    faults = []
    by_sequence = {event.sequence: event for event in events}
    for event in events:
        if event.kind is not EventKind.PROMOTED:
            continue
        where = f"event {event.sequence} (promoted, {event.model})"
        try:
            given = [by_sequence.get(sequence) for sequence in event.payload["approvals"]]
            terms = contracts.terms_of(event)
            if terms is None:
                faults.append(f"{where}: no contract is on record for it")
                continue
            people = {one.actor.name.casefold() for one in given if one is not None and _approves(one, event)}
            wrong = [one for one in given if one is None or not _approves(one, event)]
            strangers = people - {name.casefold() for name in terms.approvers}
            if wrong:
                faults.append(f"{where} names an approval that is none of it")
            elif strangers:
                faults.append(f"{where} rests on {', '.join(sorted(strangers))}, whom its contract does not name")
            elif len(people) < terms.required:
                faults.append(f"{where} rests on {len(people)} of the {terms.required} approvals its contract wants")
        except CustodyError:
            continue
        except MALFORMED as error:
            faults.append(f"{where} says something this release never writes ({first_line(error)})")
    return faults


def _approves(approval: Event, promotion: Event) -> bool:
    same = ("version", "bundle", "evidence")
    return (
        approval.kind is EventKind.APPROVED
        and approval.toggle == promotion.toggle
        and approval.sequence < promotion.sequence
        and all(approval.payload[name] == promotion.payload[name] for name in same)
    )
