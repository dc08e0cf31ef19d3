"""People's word on a retrain and the decision that rests on it, through the one door.

What counts stands in ``approvals`` and ``deciding``; here all it rests on is read anew, and the contract's policy is asked.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from retrain_assets.contract import Approval, Contract, Verdict
from retrain_assets.contract.approval import PolicyAnswer
from retrain_assets.ledger import SYSTEM, Actor
from retrain_assets.release import approvals, deciding
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.emergency_control import EmergencyControl, operating_system_account
from retrain_assets.release.policy import standing_approvals
from retrain_assets.release.policy_case import policy_case
from retrain_assets.release.policy_hook import PolicyDesk
from retrain_assets.release.promotion import Grounds, promotion_verdicts
from retrain_assets.release.signing import Case, Signed
from retrain_assets.release.state import ApprovalRecord, Decision, ModelState, RetrainState, ToggleState


class PeopleControl(EmergencyControl):
    """Bootstrap, approve, withdraw, reject, decide. Where the contract names keys each word of a person comes signed: take the
    case, have its statement signed, and hand both in."""

    def bootstrap(
        self, contract: Contract, retrain: str, actor: Actor, reason: str, *, signed: Signed | None = None
    ) -> ModelState:
        """Make a retrain's candidate the first champion, on an approver's word; there is nothing to compare it with.

        Raises:
            Refused: there is a champion, the actor is no approver or has a stake, a gate before traffic is not open for this
                bundle, or the signature does not count.
            CustodyError: the registered bundle or a piece of evidence is not the recorded one.
        """
        self.evidence.put(contract.to_json())

        def plan(drafts: Drafts) -> None:
            approvals.bootstrap(drafts, retrain, contract, ledger=self.ledger.identity, signed=signed)
            self._require_evidence(drafts.state.retrains[retrain], None)
            self.require_sound_overrides(contract.model, drafts.state.retrains[retrain], contract)
            self._manifest_of_candidate(drafts.state, retrain)

        self._change(contract.model, actor, reason, plan)
        return self.state(contract.model)

    def bootstrap_case(self, contract: Contract, retrain: str, actor: Actor, reason: str) -> tuple[Case, Approval]:
        """What has to be signed for :meth:`bootstrap`, and the terms it counts by; refused as that would be."""
        drafts = self._looking(contract.model, actor, reason)
        return approvals.bootstrap_case(drafts, retrain, contract, ledger=self.ledger.identity), contract.approval

    def approve(
        self,
        model: str,
        retrain: str,
        actor: Actor,
        reason: str,
        *,
        evidence: str | None = None,
        signed: Signed | None = None,
    ) -> ApprovalRecord:
        """Approve a promotion, bound to version, bundle, the last look at the canary and the evidence of every gate.

        Args:
            model: the model.
            retrain: its key.
            actor: one of the contract's approvers.
            reason: why.
            evidence: digest of the look the approver has read; refused when there was a later one.
            signed: the approver's statement; needed where the contract names keys.

        Raises:
            Refused: it cannot be approved, by them, now, or the signature does not count.
        """
        account = operating_system_account()

        def plan(drafts: Drafts) -> None:
            approvals.approve(drafts, retrain, typed_by=account, evidence=evidence, ledger=self.ledger.identity, signed=signed)

        self._change(model, actor, reason, plan)
        toggle = self.state(model).toggle_of(retrain)
        assert toggle is not None  # approve refuses without one
        return toggle.approvals[-1]

    def approval_case(
        self, model: str, retrain: str, actor: Actor, reason: str, *, evidence: str | None = None
    ) -> tuple[Case, Approval]:
        """What has to be signed for :meth:`approve`, and the terms it counts by; refused as that would be."""
        drafts = self._looking(model, actor, reason)
        case, terms = approvals.approval_case(drafts, retrain, evidence=evidence, ledger=self.ledger.identity)
        return case, terms.approval

    def withdraw(self, model: str, retrain: str, actor: Actor, reason: str, *, signed: Signed | None = None) -> None:
        """Take an approval back; only whoever gave it can."""
        ledger = self.ledger.identity
        self._change(model, actor, reason, lambda drafts: approvals.withdraw(drafts, retrain, ledger=ledger, signed=signed))

    def withdrawal_case(self, model: str, retrain: str, actor: Actor, reason: str) -> tuple[Case, Approval]:
        """What has to be signed for :meth:`withdraw`, and the terms it counts by; refused as that would be."""
        drafts = self._looking(model, actor, reason)
        case, terms = approvals.withdrawal_case(drafts, retrain, ledger=self.ledger.identity)
        return case, terms.approval

    def reject(self, model: str, retrain: str, actor: Actor, reason: str, *, signed: Signed | None = None) -> RetrainState:
        """End a retrain as rejected; an active toggle is rolled back."""
        contract, ledger = self._contract_of(model, retrain), self.ledger.identity
        self._change(
            model, actor, reason, lambda drafts: approvals.reject(drafts, retrain, contract, ledger=ledger, signed=signed)
        )
        return self.state(model).retrains[retrain]

    def rejection_case(self, model: str, retrain: str, actor: Actor, reason: str) -> tuple[Case, Approval]:
        """What has to be signed for :meth:`reject`, and the terms it counts by; refused as that would be."""
        drafts, contract = self._looking(model, actor, reason), self._contract_of(model, retrain)
        case, terms = approvals.rejection_case(drafts, retrain, contract, ledger=self.ledger.identity)
        return case, terms.approval

    def decide(self, model: str, retrain: str, actor: Actor = SYSTEM) -> Decision:
        """Promote when policy allows, reject what cannot be promoted any more, otherwise wait.

        Everything is read anew: the recorded verdicts, the approvals with their signatures, the evidence they rest on, and the
        registered bundle's own manifest. When nothing else is in the way the contract's policy is asked, outside of any
        transaction; its answer counts only if the case is still the same then. A decision is made once; asking again gives it
        back and changes nothing.

        Raises:
            CustodyError: the registered bundle or a piece of evidence is not the recorded one.
        """
        contract = self._contract_of(model, retrain)

        def plan(drafts: Drafts, answer: PolicyAnswer | None = None) -> tuple[Decision, dict[str, Any] | None]:
            grounds = self._grounds(drafts.state, retrain, answer)
            decision = deciding.decide(drafts, retrain, contract, grounds)
            return decision, deciding.case_for_policy(drafts, retrain, decision, grounds)

        decision, case = self._change(model, actor, "decision about the retrain", plan)[0]
        answer = self._asked(model, retrain, case) if case is not None else None
        if answer is None:
            return decision
        return self._change(model, actor, "decision about the retrain", lambda drafts: plan(drafts, answer))[0][0]

    def promotion_verdicts(self, model: str, retrain: str) -> tuple[Verdict, ...]:
        """What gate promotion says: as recorded with the decision, or as of now while there is none. Nothing is changed or asked.

        Raises:
            CustodyError: the registered bundle or a piece of evidence is not the recorded one.
        """
        states, platform = self.snapshot()
        state = states.get(model) or ModelState(model)
        known = state.retrains.get(retrain)
        if known is None or known.decision is not None:
            return tuple(known.decision.verdicts) if known is not None and known.decision is not None else ()
        toggle, contract = state.toggle_of(retrain), self._contract_of(model, retrain)
        case = None
        if toggle is not None and toggle.terms.approval.policy is not None:
            case = policy_case(known, toggle, self.clock.now())
        answer = self._desk().denied(case) if case is not None else None
        grounds, terms = self._grounds(state, retrain, answer), toggle.terms if toggle else contract
        return tuple(promotion_verdicts(known, toggle, terms, grounds, self.clock.now(), platform))

    def _asked(self, model: str, retrain: str, case: dict[str, Any]) -> PolicyAnswer | None:
        toggle = self.state(model).toggle_of(retrain)
        hook = toggle.terms.approval.policy if toggle is not None else None
        return self._desk().ask(hook, case) if hook is not None else None

    def _desk(self) -> PolicyDesk:
        return PolicyDesk(self.home.root / "policy", self.evidence, self.clock)

    def _grounds(self, state: ModelState, retrain: str, answer: PolicyAnswer | None) -> Grounds:
        known, toggle = state.retrains[retrain], state.toggle_of(retrain)
        if toggle is None or known.decision is not None or not toggle.approvals or not toggle.active:
            return Grounds(known.subjects)
        self._require_evidence(known, toggle)
        self.require_sound_overrides(state.model, known, toggle.terms)
        return Grounds(self._manifest_of_candidate(state, retrain), self._approval_faults(toggle), answer)

    def _require_evidence(self, retrain: RetrainState, toggle: ToggleState | None) -> None:
        """Everything a promotion rests on must be in the evidence store as it was recorded.

        Raises:
            CustodyError: naming the file that is not.
        """
        for digest in sorted(approvals.evidence_behind(retrain, toggle)):
            self.evidence.get(digest)

    def _approval_faults(self, toggle: ToggleState) -> dict[int, str]:
        """The recorded approvals whose signatures do not hold, by sequence, or come from a hand that may be another's."""
        terms = toggle.terms.approval
        faults = self._signature_faults(toggle.model, [item.sequence for item in toggle.approvals], terms)
        for one, other in combinations(standing_approvals(toggle, self.clock.now()), 2):
            if terms.one_hand(one.approver, one.key, other.approver, other.key):
                faults.setdefault(other.sequence, f"its key, or that of {one.approver}, may sign for both")
        return faults
