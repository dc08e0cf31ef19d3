"""A contract goes from one environment into the next: on proof that it ran there, on the word of an approver, as one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from retrain_assets.contract import Approval, Contract, Refused, RetrainError
from retrain_assets.ledger import Act, Actor, Event, EventKind, Ledger
from retrain_assets.release import anchoring
from retrain_assets.release.door import Door
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.policy import require_approver
from retrain_assets.release.signing import Case, Signed, signed_payload
from retrain_assets.release.state import ModelState

SCHEMA = "retrain_assets/contract-proof/1"


@dataclass(frozen=True, slots=True)
class Proof:
    """That a contract ran in an environment, from the ledger of that environment.

    Args:
        model: the model.
        environment: where.
        contract_digest: of the contract, as it holds there.
        ledger: identity, the hash of its first event.
        head: sequence and hash of its last event when this was read.
        retrain: the newest retrain under that contract.
        launched: sequence and hash of the event that launched it.
        ended: how it ended, `open` while it has not.
    """

    model: str
    environment: str
    contract_digest: str
    ledger: str
    head: str
    retrain: str
    launched: str
    ended: str

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {"schema": SCHEMA, **{name: getattr(self, name) for name in self.__slots__}}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            RetrainError: for anything else.
        """
        names = tuple(cls.__slots__)
        if (
            not isinstance(value, Mapping)
            or value.get("schema") != SCHEMA
            or set(value) != {"schema", *names}
            or not all(isinstance(value[name], str) and value[name] for name in names)
        ):
            raise RetrainError("it is no proof of a contract", remedy="make one with retrain contract proof MODEL > proof.json")
        return cls(**{name: value[name] for name in names})


def proof_of(ledger: Ledger, state: ModelState, contract: Contract, environment: str) -> Proof:
    """The proof that a contract ran, read in its own environment.

    Raises:
        Refused: no retrain was launched under exactly this contract.
    """
    where = f"{contract.model} in {environment}"
    ran = [one for one in state.retrains.values() if one.contract_digest == contract.digest]
    if not ran:
        raise Refused(
            f"no retrain ran under this contract ({contract.digest[7:19]}) there", where=where, remedy="launch one there first"
        )
    newest = ran[-1]
    if newest.environment is not None and newest.environment != environment:
        raise Refused(
            f"retrain {newest.key} was launched in {newest.environment}",
            where=where,
            remedy="read the ledger of that environment",
        )
    launched = next(
        event for event in ledger.events(model=contract.model, kinds=[EventKind.RETRAIN_LAUNCHED]) if event.retrain == newest.key
    )
    sequence, head = ledger.head()
    return Proof(
        model=contract.model,
        environment=environment,
        contract_digest=contract.digest,
        ledger=ledger.identity,
        head=f"{sequence}:{head}",
        retrain=newest.key,
        launched=f"{launched.sequence}:{launched.hash}",
        ended=str(newest.ended or "open"),
    )


class ContractControl(Door):
    """Takes a contract into this environment."""

    def contract_promotion_case(
        self, contract: Contract, origin: Contract, proof: Proof, actor: Actor, reason: str
    ) -> tuple[Case, Approval]:
        """What has to be signed for :meth:`promote_contract`, and the terms it counts by; refused as that would be."""
        if contract.approval.signed and not self.ledger.identity:
            anchoring.checkpoint(
                self.ledger, self.home, self.clock.now()
            )  # a statement is for a ledger; an empty one is none yet
        drafts = self._drafted(contract, actor, reason)
        return self._case(drafts, contract, origin, proof), contract.approval

    def promote_contract(
        self,
        contract: Contract,
        origin: Contract,
        proof: Proof,
        changes: Sequence[Mapping[str, Any]],
        actor: Actor,
        reason: str,
        *,
        signed: Signed | None = None,
    ) -> Event:
        """Record that a contract may be launched and armed under here.

        Args:
            contract: as it holds in this environment.
            origin: as it holds in the environment it comes from.
            proof: that ``origin`` ran there.
            changes: what differs between the two, as JSON.
            actor: an approver of ``contract``.
            reason: why.
            signed: their signature, where the contract names keys.

        Raises:
            Refused: the proof is about something else, the actor is no approver, or it was promoted already.
            SignatureError: the signature is missing or does not count.
        """
        self.evidence.put(contract.to_json())

        def plan(drafts: Drafts) -> None:
            case = self._case(drafts, contract, origin, proof)
            vouched = signed_payload(contract.approval, case, signed)
            payload = {**case.subject, "origin": proof.to_json(), "changes": [dict(one) for one in changes], **vouched}
            drafts.add(EventKind.CONTRACT_PROMOTED, None, payload)

        return self._change(contract.model, actor, reason, plan)[1][0]

    def _case(self, drafts: Drafts, contract: Contract, origin: Contract, proof: Proof) -> Case:
        here = self.home.environment
        where = f"{contract.model} in {here}"
        if contract.promoted_from != proof.environment:
            asked = f"it is promoted from {contract.promoted_from}" if contract.promoted_from else "it asks for no promotion"
            raise Refused(f"{asked}, not from {proof.environment}", where=where, remedy="set promoted_from below environments")
        if (proof.model, proof.contract_digest) != (contract.model, origin.digest):
            raise Refused(
                f"the proof is about contract {proof.contract_digest[7:19]} of {proof.model}, not {origin.digest[7:19]}",
                where=where,
                remedy=f"run this very contract in {proof.environment} first",
            )
        if proof.ledger == self.ledger.identity:
            raise Refused("the proof is from this very ledger", where=where, remedy=f"read it in {proof.environment}")
        if contract.digest in drafts.state.promoted_contracts:
            raise Refused(f"contract {contract.digest[7:19]} was promoted already", where=where, remedy="launch a retrain")
        require_approver(contract, drafts.actor, where)
        return Case(
            act=Act.PROMOTE_CONTRACT,
            ledger=self.ledger.identity,
            model=contract.model,
            retrain=None,
            toggle=None,
            subject={"contract_digest": contract.digest, "from_contract": origin.digest, "from_head": proof.head},
            actor=drafts.actor,
            reason=drafts.reason,
            now=drafts.now,
            used=drafts.state.statements,
        )

    def _drafted(self, contract: Contract, actor: Actor, reason: str) -> Drafts:
        states, platform = self.snapshot()
        state = states.get(contract.model) or ModelState(contract.model)
        return Drafts(state, actor, self.clock.now(), reason, platform, self.home.environment)
