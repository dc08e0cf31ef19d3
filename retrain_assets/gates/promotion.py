"""Gate PROMOTION: may this very bundle become champion now? Pure; the release controller gathers the evidence and acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from retrain_assets.contract import Approval, Freeze, Gate, Outcome, Verdict, format_duration
from retrain_assets.contract.approval import PolicyAnswer, folded
from retrain_assets.contract.signers import compared
from retrain_assets.gates.limits import counted, listed

PROMOTION_CHECKS = (
    "all_gates_passed",
    "verdicts_match_bundle",
    "approved_by_enough",
    "approved_by_each_role",
    "approver_is_not_the_launcher",
    "approval_is_fresh_and_for_this_evidence",
    "approvals_are_signed",
    "not_in_change_freeze",
    "toggle_awaits_approval",
    "policy_allows",
)
"""The checks :func:`promotion_gate` gives, in this order, always all of them."""

GATES_BEFORE = (Gate.DATA, Gate.TRAINING, Gate.OFFLINE, Gate.CANARY)
REQUIRED_SUBJECTS: Mapping[Gate, tuple[str, ...]] = {
    Gate.DATA: ("dataset",),
    Gate.TRAINING: ("bundle",),
    Gate.OFFLINE: ("bundle",),
    Gate.CANARY: ("bundle",),
}
"""What each gate's record must name at least; whatever else it names of the manifest must agree too."""


class ApprovalDecision(StrEnum):
    """What an approver said; the latest word of each approver counts."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class RecordedGate:
    """A gate's result as the ledger holds it: overall outcome, digests of what was judged, when.

    ``overridden`` names the checks that did not pass and that two approvers let count as open, each with who and why; ``outcome``
    is that of all others.
    """

    gate: Gate
    outcome: Outcome
    subjects: Mapping[str, str]
    at: datetime
    overridden: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedApproval:
    """One word of one approver about one bundle, given on one piece of evidence (digests).

    Args:
        approver: who.
        at: when.
        bundle: digest of the bundle.
        evidence: digest of the look.
        decision: what they said.
        valid_until: until when it holds, where that was recorded.
        key: fingerprint of the key that signed it; None where it is named only.
        fault: why its signature does not hold; empty where it does.
        voided: what became of the evidence it rests on since; empty where nothing did.
    """

    approver: str
    at: datetime
    bundle: str
    evidence: str
    decision: ApprovalDecision = ApprovalDecision.APPROVE
    valid_until: datetime | None = None
    key: str | None = None
    fault: str = ""
    voided: str = ""


@dataclass(frozen=True, slots=True)
class PromotionEvidence:
    """Everything the decision rests on.

    Args:
        gates: the latest record of each gate of this retrain.
        manifest: digests ``dataset``, ``features`` and ``bundle`` of the version about to be promoted, read from the
            bundle itself, not from the records.
        evidence: digest of the evidence the approvals must have been given on.
        approvals: every approval, rejection and withdrawal of this retrain.
        policy: the contract's ``approval``.
        launched_by: actor that launched the retrain, ``person:NAME`` or ``system:NAME``.
        toggle_status: state of the challenger's toggle, None when it has none.
        freezes: the contract's ``cadence.freeze``.
        now: the moment of the promotion, timezone-aware.
        stakes: people, as they are compared, who cannot be the only approvers, and why: who launched the retrain, who owns
            its training, experiment or toggle.
        answer: what the contract's policy answered about this very case; None while it was not asked.
    """

    gates: tuple[RecordedGate, ...]
    manifest: Mapping[str, str]
    evidence: str
    approvals: tuple[RecordedApproval, ...]
    policy: Approval
    launched_by: str
    toggle_status: str | None
    freezes: tuple[Freeze, ...]
    now: datetime
    stakes: Mapping[str, str] = field(default_factory=dict)
    answer: PolicyAnswer | None = None


def promotion_gate(evidence: PromotionEvidence) -> list[Verdict]:
    """Judge whether the promotion may happen.

    Returns:
        One verdict per name in ``PROMOTION_CHECKS``. Missing records and approvals that are still awaited are
        ``no_data``, fewer approvals than required ``inconclusive``, an explicit rejection ``fail``.

    Raises:
        ValueError: when ``now`` or a recorded time has no timezone.
    """
    moments = [evidence.now, *(record.at for record in evidence.gates), *(word.at for word in evidence.approvals)]
    if any(moment.tzinfo is None for moment in moments):
        raise ValueError("a time in the promotion evidence has no timezone; pass timezone-aware datetimes")
    given = _standing_approvals(evidence)
    valid = [word for word in given if not _invalid(word, evidence)]
    return [
        _all_passed(evidence),
        _match(evidence),
        _enough(evidence, valid),
        _each_role(evidence, valid),
        _separate(evidence, valid),
        _fresh(evidence, given, valid),
        _signed(evidence, given),
        _no_freeze(evidence),
        _awaits(evidence),
        _policy(evidence),
    ]


def _all_passed(evidence: PromotionEvidence) -> Verdict:
    check, records = "all_gates_passed", _latest(evidence)
    outcomes = {record.gate: record.outcome for record in records}
    overridden = [f"{record.gate.value}.{name} by {why}" for record in records for name, why in record.overridden.items()]
    table = [{"gate": gate.value, "outcome": outcomes[gate].value if gate in outcomes else None} for gate in GATES_BEFORE]
    missing = [gate.value for gate in GATES_BEFORE if gate not in outcomes]
    closed = [
        f"{gate.value} ({outcomes[gate].value})" for gate in GATES_BEFORE if outcomes.get(gate, Outcome.PASS) is not Outcome.PASS
    ]
    passed = len(GATES_BEFORE) - len(missing) - len(closed)
    if closed:
        outcome, message = Outcome.FAIL, f"gates that did not pass: {listed(closed)}"
    elif missing:
        outcome, message = Outcome.NO_DATA, f"gates without a recorded verdict: {listed(missing)}"
    else:
        outcome, message = Outcome.PASS, "gates data, training, offline and canary are recorded as passed"
    if overridden:
        said = "; ".join(f"overridden: {one}" for one in overridden)
        message = f"NOT EVERY CHECK PASSED; {said}" if outcome is Outcome.PASS else f"{message}; {said}"
    return _verdict(check, outcome, message, passed, len(GATES_BEFORE), {"gates": table, "overridden": overridden})


def _match(evidence: PromotionEvidence) -> Verdict:
    check, records = "verdicts_match_bundle", _latest(evidence)
    differing, unnamed = [], []
    for record in records:
        for name in REQUIRED_SUBJECTS.get(record.gate, ()):
            if name not in record.subjects or name not in evidence.manifest:
                unnamed.append(f"{record.gate.value}: {name}")
        for name, digest in record.subjects.items():
            if name in evidence.manifest and evidence.manifest[name] != digest:
                differing.append(
                    {"gate": record.gate.value, "subject": name, "recorded": digest, "manifest": evidence.manifest[name]}
                )
    detail = {"differing": differing, "unnamed": unnamed, "manifest": dict(evidence.manifest)}
    if differing:
        names = [f"{row['gate']} ({row['subject']})" for row in differing]
        message = f"verdicts were given on something else than this bundle: {listed(names)}; run the gate again"
        return _verdict(check, Outcome.FAIL, message, len(differing), 0, detail)
    if unnamed:
        message = f"records or manifest do not say what was judged: {listed(unnamed)}"
        return _verdict(check, Outcome.FAIL, message, len(unnamed), 0, detail)
    if missing := [gate.value for gate in GATES_BEFORE if gate not in {record.gate for record in records}]:
        return _verdict(check, Outcome.NO_DATA, f"gates without a recorded verdict: {listed(missing)}", None, 0, detail)
    return _verdict(check, Outcome.PASS, "every recorded verdict was given on this bundle and its data", 0, 0, detail)


def _enough(evidence: PromotionEvidence, valid: list[RecordedApproval]) -> Verdict:
    check, required = "approved_by_enough", evidence.policy.required
    against = sorted({word.approver for word in _standing(evidence) if _rejects(word, evidence)})
    approvers = sorted({_principal(word.approver) for word in valid})
    detail = {"approvers": approvers, "allowed": sorted(evidence.policy.approvers), "rejected_by": against}
    if against:
        return _verdict(check, Outcome.FAIL, f"rejected by {listed(against)}", len(approvers), required, detail)
    message = f"approved by {listed(approvers) or 'nobody yet'}; {counted(required, 'approver')} required"
    outcome = Outcome.PASS if len(approvers) >= required else Outcome.INCONCLUSIVE if approvers else Outcome.NO_DATA
    return _verdict(check, outcome, message, len(approvers), required, detail)


def _each_role(evidence: PromotionEvidence, valid: list[RecordedApproval]) -> Verdict:
    check, roles = "approved_by_each_role", evidence.policy.roles
    approvers = {_principal(word.approver) for word in valid}
    given = {role: sorted(approvers & folded(having)) for role, having in roles.items()}
    detail = {"roles": given}
    if not roles:
        return _verdict(check, Outcome.PASS, "the contract names no roles", 0, 0, detail)
    missing = [f"{role} ({' or '.join(roles[role])})" for role, by in given.items() if not by]
    if not missing:
        message = f"approved by each role: {listed([f'{role} ({one[0]})' for role, one in given.items()])}"
        return _verdict(check, Outcome.PASS, message, len(roles), len(roles), detail)
    outcome = Outcome.INCONCLUSIVE if approvers else Outcome.NO_DATA
    message = f"no approval yet by {listed(missing)}"
    return _verdict(check, outcome, message, len(roles) - len(missing), len(roles), detail)


def _separate(evidence: PromotionEvidence, valid: list[RecordedApproval]) -> Verdict:
    check, launcher = "approver_is_not_the_launcher", evidence.launched_by
    stakes = {**({_principal(launcher): "launched the retrain"} if launcher.startswith("person:") else {}), **evidence.stakes}
    approvers = sorted({_principal(word.approver) for word in valid})
    concerned = {name: stakes[name] for name in approvers if name in stakes}
    for word in valid:  # who approves with the key of somebody with a stake may be that person
        for name, why in stakes.items():
            if evidence.policy.signs_for(word.key, name):
                concerned.setdefault(_principal(word.approver), f"signed with a key of {name}, who {why},")
    detail = {"launched_by": launcher, "approvers": approvers, "with_a_stake": concerned}
    if not evidence.policy.separation_of_duties:
        return _verdict(check, Outcome.PASS, "approval.separation_of_duties is off in the contract", evidence=detail)
    if not approvers:
        return _verdict(check, Outcome.NO_DATA, "there is no valid approval yet", evidence=detail)
    if len(concerned) == len(approvers):
        only = "is its only approver" if len(approvers) == 1 else "are its only approvers"
        words = listed([f"{name} {why}" for name, why in concerned.items()])
        return _verdict(check, Outcome.FAIL, f"{words} and {only}; somebody else must approve too", evidence=detail)
    return _verdict(check, Outcome.PASS, f"launched by {launcher}, approved by {listed(approvers)}", evidence=detail)


def _fresh(evidence: PromotionEvidence, given: list[RecordedApproval], valid: list[RecordedApproval]) -> Verdict:
    check, limit = "approval_is_fresh_and_for_this_evidence", evidence.policy.valid_for
    refused = [{"approver": word.approver, "at": word.at.isoformat(), "because": _invalid(word, evidence)} for word in given]
    refused = [row for row in refused if row["because"]]
    detail = {"refused": refused, "evidence": evidence.evidence, "valid_for": format_duration(limit)}
    oldest = max(((evidence.now - word.at) / timedelta(days=1) for word in valid), default=None)
    threshold = limit / timedelta(days=1)
    if not given:
        return _verdict(check, Outcome.NO_DATA, "there is no approval yet", None, threshold, detail)
    if len({_principal(word.approver) for word in valid}) >= evidence.policy.required:
        message = f"enough approvals are for this bundle and evidence and at most {format_duration(limit)} old"
        return _verdict(check, Outcome.PASS, message, oldest, threshold, detail)
    if refused:
        reasons = [f"{row['approver']}: {row['because']}" for row in refused]
        return _verdict(check, Outcome.FAIL, f"approvals that do not count: {listed(reasons)}", oldest, threshold, detail)
    return _verdict(check, Outcome.INCONCLUSIVE, "the approvals given hold, but more are required", oldest, threshold, detail)


def _signed(evidence: PromotionEvidence, given: list[RecordedApproval]) -> Verdict:
    check = "approvals_are_signed"
    keys = {_principal(word.approver): word.key for word in given}
    if not evidence.policy.signed:
        return _verdict(check, Outcome.PASS, "the contract names no keys: approvals are named, not signed")
    if not given:
        return _verdict(check, Outcome.NO_DATA, "there is no approval yet")
    broken = [f"{word.approver}: {word.fault or 'it is not signed'}" for word in given if word.fault or word.key is None]
    if broken:
        message = f"approvals whose signature does not hold: {listed(broken)}"
        return _verdict(check, Outcome.FAIL, message, len(broken), 0, {"keys": keys, "broken": broken})
    message = f"signed by {listed([f'{who} ({key})' for who, key in sorted(keys.items())])}"
    return _verdict(check, Outcome.PASS, message, 0, 0, {"keys": keys})


def _policy(evidence: PromotionEvidence) -> Verdict:
    check, hook, answer = "policy_allows", evidence.policy.policy, evidence.answer
    if hook is None:
        return _verdict(check, Outcome.PASS, "the contract asks no policy")
    if answer is None:
        message = f"the policy ({hook.shown}) is asked when everything else allows the promotion"
        return _verdict(check, Outcome.NO_DATA, message)
    said = f": {listed(list(answer.reasons))}" if answer.reasons else ""
    outcome, word = (Outcome.PASS, "allows") if answer.allow else (Outcome.FAIL, "does not allow")
    return _verdict(check, outcome, f"the policy ({answer.by}) {word} it{said}", evidence={"answer": answer.to_json()})


def _no_freeze(evidence: PromotionEvidence) -> Verdict:
    check, today = "not_in_change_freeze", evidence.now.astimezone(UTC).date()
    active = [freeze for freeze in evidence.freezes if freeze.start <= today <= freeze.end]
    if active:
        words = [f"{freeze.reason} (until {freeze.end.isoformat()})" for freeze in active]
        return _verdict(check, Outcome.FAIL, f"{today.isoformat()} is in a change freeze: {listed(words)}", len(active), 0)
    return _verdict(check, Outcome.PASS, f"{today.isoformat()} is in no change freeze", 0, 0)


def _awaits(evidence: PromotionEvidence) -> Verdict:
    check, wanted = "toggle_awaits_approval", "awaiting_approval"
    if evidence.toggle_status is None:
        return _verdict(check, Outcome.NO_DATA, "the challenger has no toggle", None, wanted)
    outcome = Outcome.PASS if evidence.toggle_status == wanted else Outcome.FAIL
    return _verdict(
        check, outcome, f"the toggle is {evidence.toggle_status}; required is {wanted}", evidence.toggle_status, wanted
    )


def _latest(evidence: PromotionEvidence) -> list[RecordedGate]:
    """The last record of each gate; of two, the later one counts."""
    return list({record.gate: record for record in sorted(evidence.gates, key=lambda record: record.at)}.values())


def _standing(evidence: PromotionEvidence) -> list[RecordedApproval]:
    """The latest word of each approver."""
    words = sorted(evidence.approvals, key=lambda word: word.at)
    return list({_principal(word.approver): word for word in words}.values())


def _standing_approvals(evidence: PromotionEvidence) -> list[RecordedApproval]:
    return [word for word in _standing(evidence) if word.decision is ApprovalDecision.APPROVE]


def _rejects(word: RecordedApproval, evidence: PromotionEvidence) -> bool:
    return word.decision is ApprovalDecision.REJECT and _principal(word.approver) in folded(evidence.policy.approvers)


def _invalid(word: RecordedApproval, evidence: PromotionEvidence) -> str:
    """Why an approval does not count; empty when it does."""
    if _principal(word.approver) not in folded(evidence.policy.approvers):
        return "not an approver of this contract"
    if word.bundle != evidence.manifest.get("bundle"):
        return "given for another bundle"
    if word.evidence != evidence.evidence:
        return "given on other evidence"
    if word.at > evidence.now:
        return "dated in the future"
    if evidence.now - word.at > evidence.policy.valid_for:
        return f"older than {format_duration(evidence.policy.valid_for)}"
    if word.valid_until is not None and evidence.now > word.valid_until:
        return f"given until {word.valid_until.isoformat()} only"
    if word.voided:
        return f"given on other evidence ({word.voided})"
    return f"not proven ({word.fault})" if word.fault else ""


def _principal(actor: str) -> str:
    """A person as people are compared."""
    return compared(actor.removeprefix("person:"))


def _verdict(
    check: str,
    outcome: Outcome,
    message: str,
    observed: float | str | None = None,
    threshold: float | str | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Verdict:
    return Verdict(Gate.PROMOTION, check, outcome, message, observed, threshold, evidence or {})
