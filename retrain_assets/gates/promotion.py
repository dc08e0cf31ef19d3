"""Gate PROMOTION: may this very bundle become champion now? Pure; the release controller gathers the evidence and acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from retrain_assets.contract import Approval, Freeze, Gate, Outcome, Verdict, format_duration
from retrain_assets.gates.limits import counted, listed

PROMOTION_CHECKS = (
    "all_gates_passed",
    "verdicts_match_bundle",
    "approved_by_enough",
    "approver_is_not_the_launcher",
    "approval_is_fresh_and_for_this_evidence",
    "not_in_change_freeze",
    "toggle_awaits_approval",
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
    """A gate's result as the ledger holds it: overall outcome, digests of what was judged, when."""

    gate: Gate
    outcome: Outcome
    subjects: Mapping[str, str]
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordedApproval:
    """One word of one approver about one bundle, given on one piece of evidence (digests)."""

    approver: str
    at: datetime
    bundle: str
    evidence: str
    decision: ApprovalDecision = ApprovalDecision.APPROVE


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
        _separate(evidence, valid),
        _fresh(evidence, given, valid),
        _no_freeze(evidence),
        _awaits(evidence),
    ]


def _all_passed(evidence: PromotionEvidence) -> Verdict:
    check, outcomes = "all_gates_passed", {record.gate: record.outcome for record in _latest(evidence)}
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
    return _verdict(check, outcome, message, passed, len(GATES_BEFORE), {"gates": table})


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


def _separate(evidence: PromotionEvidence, valid: list[RecordedApproval]) -> Verdict:
    check, launcher = "approver_is_not_the_launcher", _principal(evidence.launched_by)
    approvers = sorted({_principal(word.approver) for word in valid})
    detail = {"launched_by": evidence.launched_by, "approvers": approvers}
    if not evidence.policy.separation_of_duties:
        return _verdict(check, Outcome.PASS, "approval.separation_of_duties is off in the contract", evidence=detail)
    if not approvers:
        return _verdict(check, Outcome.NO_DATA, "there is no valid approval yet", evidence=detail)
    if approvers == [launcher]:
        message = f"{launcher} launched the retrain and is its only approver; somebody else must approve too"
        return _verdict(check, Outcome.FAIL, message, evidence=detail)
    return _verdict(check, Outcome.PASS, f"launched by {evidence.launched_by}, approved by {listed(approvers)}", evidence=detail)


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
    return word.decision is ApprovalDecision.REJECT and _principal(word.approver) in evidence.policy.approvers


def _invalid(word: RecordedApproval, evidence: PromotionEvidence) -> str:
    """Why an approval does not count; empty when it does."""
    if _principal(word.approver) not in evidence.policy.approvers:
        return "not an approver of this contract"
    if word.bundle != evidence.manifest.get("bundle"):
        return "given for another bundle"
    if word.evidence != evidence.evidence:
        return "given on other evidence"
    if word.at > evidence.now:
        return "dated in the future"
    if evidence.now - word.at > evidence.policy.valid_for:
        return f"older than {format_duration(evidence.policy.valid_for)}"
    return ""


def _principal(actor: str) -> str:
    return actor.removeprefix("person:")


def _verdict(
    check: str,
    outcome: Outcome,
    message: str,
    observed: float | str | None = None,
    threshold: float | str | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Verdict:
    return Verdict(Gate.PROMOTION, check, outcome, message, observed, threshold, evidence or {})
