"""What the promotion gate judges, gathered from recorded state. The gate itself is in ``gates.promotion``.

``gates`` brings in the data libraries of the other gates, so it is imported where a promotion is judged and not by every command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from retrain_assets.contract import Contract, Gate, Outcome, Verdict, digest_of, overall
from retrain_assets.contract.approval import PolicyAnswer
from retrain_assets.contract.duties import stakes
from retrain_assets.release.overrides import override_of, overrides_in_force
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.policy_case import policy_case
from retrain_assets.release.state import ApprovalRecord, GateRecord, RetrainState, ToggleState

if TYPE_CHECKING:
    from retrain_assets.gates.promotion import RecordedApproval

POLICY_CHECK = "policy_allows"
"""The check of the promotion gate that waits for the contract's policy."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is read anew for a decision, besides the model's recorded state.

    Args:
        manifest: digests ``dataset``, ``features`` and ``bundle`` of the registered bundle itself; empty when there is none.
        faults: approvals whose signature does not hold any more and why, by the sequence of their event.
        answer: what the contract's policy answered, None while it was not asked.
    """

    manifest: Mapping[str, str]
    faults: Mapping[int, str] = field(default_factory=dict)
    answer: PolicyAnswer | None = None


def promotion_verdicts(
    retrain: RetrainState,
    toggle: ToggleState | None,
    contract: Contract,
    grounds: Grounds,
    now: datetime,
    platform: PlatformState,
) -> list[Verdict]:
    """The verdicts of gate PROMOTION on the recorded state.

    The look a canary verdict was given on stands among the subjects as ``look`` and must be the last one; what the candidate was
    compared with offline stands there as ``champion`` and must be what it was tried against.

    Args:
        retrain: the retrain.
        toggle: its toggle, None before arming.
        contract: the contract frozen in the toggle, or the present one before arming.
        grounds: what was read anew.
        now: the clock's time.
        platform: declared freezes count as the contract's own do.
    """
    from retrain_assets.gates.promotion import PromotionEvidence, RecordedGate, promotion_gate

    look = toggle.last_look.evidence if toggle and toggle.last_look else ""
    expected = {**grounds.manifest, "look": look, **({"champion": toggle.previous_champion.bundle} if toggle else {})}
    gates = [
        RecordedGate(
            record.gate,
            _outcome(retrain, record, now),
            _judged(record, expected),
            record.at,
            {one.record.verdict.check: one.why for one in overrides_in_force(retrain, now, [record.gate])},
        )
        for record in retrain.verdicts.values()
    ]
    evidence = PromotionEvidence(
        gates=tuple(gates),
        manifest=expected,
        evidence=look,
        approvals=tuple(_approval(item, grounds.faults) for item in (toggle.approvals if toggle else ())),
        policy=contract.approval,
        launched_by=retrain.launched_by,
        toggle_status=str(toggle.state) if toggle else None,
        freezes=tuple(platform.cadence(contract).freeze),
        now=now,
        stakes=stakes(contract, retrain.launched_by, toggle.owner if toggle else None),
        answer=_answer(grounds.answer, retrain, toggle, now),
    )
    return promotion_gate(evidence)


def _approval(item: ApprovalRecord, faults: Mapping[int, str]) -> RecordedApproval:
    from retrain_assets.gates.promotion import RecordedApproval

    return RecordedApproval(
        item.approver,
        item.at,
        item.bundle,
        item.evidence,
        valid_until=item.valid_until,
        key=item.key,
        fault=faults.get(item.sequence, ""),
        voided=f"event {item.voided_by} judged a gate anew" if item.voided_by is not None else "",
    )


def _answer(answer: PolicyAnswer | None, retrain: RetrainState, toggle: ToggleState | None, now: datetime) -> PolicyAnswer | None:
    """The policy's answer, when it was given on the very case of now."""
    if answer is None or toggle is None or answer.asked != digest_of(policy_case(retrain, toggle, now)):
        return None
    return answer


def _outcome(retrain: RetrainState, record: GateRecord, now: datetime) -> Outcome:
    """A gate's outcome but for the checks that are overridden."""
    others = [check.verdict for check in record.checks.values() if override_of(retrain, check, now) is None]
    return overall(others) if others or not record.checks else Outcome.PASS


def _judged(record: GateRecord, expected: Mapping[str, str]) -> dict[str, str]:
    """What a gate's checks judged; of two digests of one subject the one that is not expected, so that nothing stale hides."""
    judged: dict[str, str] = {}
    for check in record.checks.values():
        subjects = dict(check.subjects)
        if record.gate is Gate.CANARY:
            subjects["look"] = subjects.pop("report", "missing")
        for name, digest in subjects.items():
            if judged.get(name) in (None, expected.get(name)):
                judged[name] = digest
    return judged
