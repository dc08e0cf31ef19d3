"""People's word on a retrain: approve a promotion, take it back, reject. What each has to sign, and what is recorded.

Each function decides on the state in the drafts and adds the events of one action, or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.contract import Contract, Refused, SignatureError, StaleRevision
from retrain_assets.contract.approval import same_person
from retrain_assets.contract.duties import stakes
from retrain_assets.contract.signers import compared
from retrain_assets.ledger import Act, Actor, EventKind
from retrain_assets.release import deciding
from retrain_assets.release.brakes import require_free
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.policy import (
    ALL_GATES,
    approval_may_be_given,
    arming_brakes,
    arming_subjects,
    canary_subjects,
    require_approver,
    require_candidate,
    require_gates,
    require_move,
    standing_approvals,
)
from retrain_assets.release.retrains import known_retrain
from retrain_assets.release.signing import Case, Signed, held_until, signed_payload
from retrain_assets.release.state import Ending, LookRecord, RetrainState, ToggleState, ToggleStatus
from retrain_assets.release.toggle import Move


def approve(
    drafts: Drafts, key: str, *, typed_by: str, evidence: str | None = None, ledger: str = "", signed: Signed | None = None
) -> None:
    """One person's approval, bound to version, bundle, the last look and the evidence of every gate.

    Args:
        drafts: where the event goes; their actor approves.
        key: the retrain.
        typed_by: operating-system account that typed it.
        evidence: digest of the look the person has seen, where known; must be the last one.
        ledger: the ledger's identity.
        signed: the approver's statement; needed where the contract names keys.
    """
    case, terms = approval_case(drafts, key, evidence=evidence, ledger=ledger)
    proof = signed_payload(terms.approval, case, signed)
    _refuse_one_hand(drafts, key, terms, proof)
    payload = {**case.subject, "valid_until": held_until(terms.approval, case, signed), "typed_by": typed_by, **proof}
    drafts.add(EventKind.APPROVED, key, payload, toggle=case.toggle)


def approval_case(drafts: Drafts, key: str, *, evidence: str | None = None, ledger: str = "") -> tuple[Case, Contract]:
    """What an approval of the drafts' actor has to say now, and the terms it counts by: those frozen in the toggle.

    Raises:
        Refused: when it cannot be approved, by them, now.
        StaleRevision: when there was another look since the one they have seen.
    """
    where = f"{drafts.state.model} {key}"
    retrain = require_candidate(drafts.state.retrains.get(key), drafts.state.model, key)
    require_gates(retrain, retrain.subjects, now=drafts.now)
    toggle = drafts.state.toggle_of(key)
    if toggle is None:
        raise Refused(
            "its challenger was never armed, there is nothing to approve", where=where, remedy="take it through its ramp"
        )
    require_approver(toggle.terms, drafts.actor, where)
    require_move(toggle, Move.APPROVE, drafts.actor, drafts.now, drafts.platform)
    look = _look_to_approve(drafts, retrain, toggle, evidence)
    require_gates(retrain, canary_subjects(retrain, toggle), ALL_GATES, now=drafts.now, contract=toggle.terms)
    if any(same_person(drafts.actor.name, item.approver) for item in standing_approvals(toggle, drafts.now)):
        raise Refused(
            f"{drafts.actor.name} has approved this very evidence already", where=where, remedy="nothing more is needed"
        )
    subject = {
        "version": toggle.challenger.version,
        "bundle": toggle.challenger.bundle,
        "evidence": look.evidence,
        "gates": judged_evidence(retrain),
    }
    return Case.of(drafts, Act.APPROVE, key, toggle.name, subject, ledger=ledger, since=look.at), toggle.terms


def withdraw(drafts: Drafts, key: str, *, ledger: str = "", signed: Signed | None = None) -> None:
    """An approver takes the approval back while nothing is promoted."""
    case, terms = withdrawal_case(drafts, key, ledger=ledger)
    proof = signed_payload(terms.approval, case, signed)
    drafts.add(EventKind.APPROVAL_WITHDRAWN, key, {**case.subject, **proof}, toggle=case.toggle)


def withdrawal_case(drafts: Drafts, key: str, *, ledger: str = "") -> tuple[Case, Contract]:
    """What a withdrawal of the drafts' actor has to say: which approval of theirs.

    Raises:
        Refused: when there is none, or nothing to be withdrawn from any more.
    """
    toggle = drafts.state.toggle_of(key)
    where = f"{drafts.state.model} {key}"
    own = [item for item in toggle.approvals if same_person(item.approver, drafts.actor.name)] if toggle else []
    if toggle is None or not own or not drafts.actor.is_person:
        raise Refused(f"{drafts.actor} has not approved it", where=where)
    if not toggle.active:
        raise Refused(f"its toggle is {toggle.state}", where=where, remedy="roll back to undo a promotion")
    return Case.of(drafts, Act.WITHDRAW, key, toggle.name, {"approval": own[-1].sequence}, ledger=ledger), toggle.terms


def reject(drafts: Drafts, key: str, contract: Contract, *, ledger: str = "", signed: Signed | None = None) -> None:
    """An approver ends the retrain: an active toggle is rolled back, the rejection and the decision are recorded.

    After a promotion that was rolled back only the toggle is left to reject; the decision of then stays.

    Args:
        drafts: where the events go; their actor rejects.
        key: the retrain.
        contract: the contract the retrain was launched under; a toggle's own comes before it.
        ledger: the ledger's identity.
        signed: the approver's statement; needed where the contract names keys.
    """
    case, terms = rejection_case(drafts, key, contract, ledger=ledger)
    proof = {**case.subject, **signed_payload(terms.approval, case, signed)}
    retrain, toggle = known_retrain(drafts, key), drafts.state.toggle_of(key)
    if toggle is not None and toggle.state is ToggleStatus.ROLLED_BACK and retrain.decision is not None:
        drafts.move(EventKind.REJECTED, key, toggle.name, {"ending": str(Ending.ROLLED_BACK), **proof})
        return
    reason = f"rejected by {drafts.actor.name}: {drafts.reason}"
    deciding.end(drafts, retrain, toggle, [], Ending.REJECTED, reason, proof=proof)


def rejection_case(drafts: Drafts, key: str, contract: Contract, *, ledger: str = "") -> tuple[Case, Contract]:
    """What a rejection of the drafts' actor has to say.

    Raises:
        Refused: when it is decided or rejected already, or not theirs to reject.
    """
    retrain, toggle = known_retrain(drafts, key), drafts.state.toggle_of(key)
    where, terms = f"{drafts.state.model} {key}", toggle.terms if toggle else contract
    require_approver(terms, drafts.actor, where)
    undone = toggle is not None and toggle.state is ToggleStatus.ROLLED_BACK
    if retrain.decision is not None and not undone:
        raise Refused(
            f"it was decided already ({retrain.decision.decision}: {retrain.decision.reason})",
            where=where,
            remedy="roll its toggle back to undo a promotion",
        )
    if retrain.rejected is not None and not undone:
        raise Refused(f"it was rejected already: {retrain.rejected}", where=where)
    candidate = retrain.candidate
    subject = {"version": candidate.version if candidate else None, "bundle": candidate.bundle if candidate else None}
    return Case.of(drafts, Act.REJECT, key, toggle.name if toggle else None, subject, ledger=ledger), terms


def bootstrap(drafts: Drafts, key: str, contract: Contract, *, ledger: str = "", signed: Signed | None = None) -> None:
    """The first champion, explicitly: there is nothing to compare with, and the record says so.

    Args:
        drafts: where the events go; their actor answers for it.
        key: the retrain.
        contract: the model's release contract.
        ledger: the ledger's identity.
        signed: the approver's statement; needed where the contract names keys.
    """
    case = bootstrap_case(drafts, key, contract, ledger=ledger)
    proof = signed_payload(contract.approval, case, signed)
    if proof:
        _refuse_own_work(known_retrain(drafts, key), contract, drafts.actor, f"{contract.model} {key}", proof["signed"]["key"])
    note = {"compared_with": None, "note": "bootstrap: there was no champion to compare with"}
    drafts.add(EventKind.CHAMPION_BOOTSTRAPPED, key, {**case.subject, **note, **proof})
    reason = "bootstrapped: there was no champion to compare with"
    drafts.add(EventKind.DECISION_RECORDED, key, {"decision": "promote", "verdicts": [], "approvals": []}, reason=reason)
    drafts.add(EventKind.RETRAIN_ENDED, key, {"ending": str(Ending.BOOTSTRAPPED)}, reason=reason)


def bootstrap_case(drafts: Drafts, key: str, contract: Contract, *, ledger: str = "") -> Case:
    """What the word on a first champion has to say.

    Raises:
        Refused: there is a champion, the actor may not, something stops it, or a gate before traffic is not open.
    """
    where = f"{contract.model} {key}"
    if drafts.state.champion is not None:
        raise Refused(
            f"the model has a champion, version {drafts.state.champion.version}",
            where=where,
            remedy="a bootstrap is for the first one only; take the retrain through its toggle",
        )
    require_approver(contract, drafts.actor, where)
    require_free(arming_brakes(contract, drafts.now, drafts.platform, Move.PROMOTE), Move.PROMOTE, where)
    retrain = require_candidate(drafts.state.retrains.get(key), contract.model, key)
    require_gates(retrain, arming_subjects(retrain, None, contract), now=drafts.now, contract=contract)
    _refuse_own_work(retrain, contract, drafts.actor, where)
    candidate = retrain.candidate
    assert candidate is not None  # require_candidate
    subject = {
        "version": candidate.version,
        "bundle": candidate.bundle,
        "contract_digest": contract.digest,
        "gates": judged_evidence(retrain),
    }
    return Case.of(drafts, Act.BOOTSTRAP, key, None, subject, ledger=ledger)


def judged_evidence(retrain: RetrainState) -> dict[str, list[str]]:
    """By gate the digests of the evidence its checks were judged with; another one as soon as a check is judged anew."""
    found = {gate: retrain.verdicts[gate] for gate in ALL_GATES if gate in retrain.verdicts}
    return {str(gate): record.evidence_digests for gate, record in found.items()}


def evidence_behind(retrain: RetrainState, toggle: ToggleState | None) -> set[str]:
    """Digests of everything in the evidence store that a promotion rests on."""
    checks = [check for record in retrain.verdicts.values() for check in record.checks.values()]
    stages = {check.subjects["stage_record"] for check in checks if "stage_record" in check.subjects}
    digests = stages | {check.evidence for check in checks}
    looks = {toggle.last_look.evidence} if toggle is not None and toggle.last_look is not None else set()
    return digests | looks | {retrain.contract_digest}


def _refuse_one_hand(drafts: Drafts, key: str, terms: Contract, proof: Mapping[str, Any]) -> None:
    """Approvals count by people, so one key does not give those of two."""
    toggle, signing_key = drafts.state.toggle_of(key), proof["signed"]["key"] if proof else None
    for given in standing_approvals(toggle, drafts.now) if toggle is not None else ():
        if terms.approval.one_hand(drafts.actor.name, signing_key, given.approver, given.key):
            raise SignatureError(
                f"the key of {drafts.actor.name} or of {given.approver}, who approved it, may sign for both",
                where=f"{drafts.state.model} {key}",
                remedy="two people sign, each with a key of their own",
            )


def _refuse_own_work(retrain: RetrainState, contract: Contract, actor: Actor, where: str, key: str | None = None) -> None:
    """One person alone makes a first champion, so it cannot be somebody with a stake in it, nor come with the key of one."""
    known = stakes(contract, retrain.launched_by)
    theirs = next(
        (f"signs with a key of {who}, who {why}" for who, why in known.items() if contract.approval.signs_for(key, who)), None
    )
    stake = known.get(compared(actor.name), theirs)
    if stake is not None and contract.approval.separation_of_duties:
        raise Refused(
            f"{actor.name} {stake}, and nobody else would have approved it",
            where=where,
            remedy="have another approver bootstrap it, or write approval.separation_of_duties: false",
        )


def _look_to_approve(drafts: Drafts, retrain: RetrainState, toggle: ToggleState, evidence: str | None) -> LookRecord:
    look, where = toggle.last_look, f"{drafts.state.model} {retrain.key}"
    if look is None or not approval_may_be_given(retrain, toggle, drafts.now):
        raise Refused(
            f"the last look does not ask for approval ({look.action}: {look.reason})"
            if look
            else "there is no look at the canary",
            where=where,
            remedy="wait for a look that does",
        )
    if evidence is not None and evidence != look.evidence:
        raise StaleRevision(
            f"there was another look since: the last one is {look.evidence[:15]}…, not {evidence[:15]}…",
            where=where,
            remedy="read it first",
        )
    return look
