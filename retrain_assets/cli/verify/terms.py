"""The contract in force for what a person signed: who may, and whose keys count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from retrain_assets.contract import Approval, Contract
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind, EvidenceStore
from retrain_assets.release import ModelState, fold


class Terms:
    """The approval terms of every contract the ledger names.

    Args:
        evidence: where contracts are.
        events: the whole chain.
    """

    def __init__(self, evidence: EvidenceStore, events: list[Event]) -> None:
        self._evidence, self._events = evidence, events
        self._toggles = {event.toggle: event for event in events if event.kind is EventKind.TOGGLE_REGISTERED}
        self._launched = {(event.model, event.retrain): event for event in events if event.kind is EventKind.RETRAIN_LAUNCHED}
        self._read: dict[str, Approval] = {}

    def of(self, event: Event) -> list[Approval]:
        """The terms an event counts by: those frozen in its toggle, else those its retrain was launched or begun under; of an
        order about whole models those of each. None where no contract says so.

        Raises:
            CustodyError: when a contract is gone or was changed.
        """
        if event.kind is EventKind.CONTRACT_PROMOTED:
            return [self._stored(event.payload["contract_digest"])]
        if event.toggle is not None and event.toggle in self._toggles:
            return [self._frozen(self._toggles[event.toggle])]
        if event.retrain is not None:
            digests = [event.payload.get("contract_digest"), self._launch_digest(event)]
            stored = [digest for digest in digests if isinstance(digest, str) and digest in self._evidence]
            return [self._stored(digest) for digest in [*stored, *digests[1:]][:1] if digest]
        before = fold(one for one in self._events if one.sequence < event.sequence)
        states = before.values() if event.model == EVERY_MODEL else [before[event.model]] if event.model in before else []
        found = list(self._in_force(states))
        return found if event.model != EVERY_MODEL else [terms for terms in found if terms.signed]

    def _launch_digest(self, event: Event) -> str | None:
        launched = self._launched.get((event.model, event.retrain))
        return launched.payload["contract_digest"] if launched is not None else None

    def _in_force(self, states: Iterable[ModelState]) -> Iterator[Approval]:
        for state in states:
            if (toggle := state.active_toggle) is not None:
                yield toggle.terms.approval
            elif state.retrains:
                yield self._stored([*state.retrains.values()][-1].contract_digest)

    def _frozen(self, registered: Event) -> Approval:
        name = registered.toggle or ""
        if name not in self._read:
            self._read[name] = Contract.recorded(dict(registered.payload["contract"])).approval
        return self._read[name]

    def _stored(self, digest: str) -> Approval:
        if digest not in self._read:
            self._read[digest] = Contract.recorded(self._evidence.get(digest)).approval
        return self._read[digest]
