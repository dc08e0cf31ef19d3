"""The decision about a retrain: promote, reject or wait. Decided on the state in the drafts, which get the events of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from retrain_assets.contract import Contract, Verdict
from retrain_assets.ledger import EventKind
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.overrides import closed_checks, overrides_in_force
from retrain_assets.release.policy import (
    ALL_GATES,
    GATES_BEFORE_TRAFFIC,
    approval_may_be_given,
    arming_subjects,
    canary_subjects,
    expired,
    gate_obstacles,
    standing_approvals,
    toggle_brakes,
)
from retrain_assets.release.policy_case import policy_case
from retrain_assets.release.promotion import POLICY_CHECK, Grounds, promotion_verdicts
from retrain_assets.release.ramping import roll_back
from retrain_assets.release.retrains import known_retrain
from retrain_assets.release.state import Decision, Ending, RetrainState, ToggleState, ToggleStatus
from retrain_assets.release.toggle import Move, require_possible


def decide(drafts: Drafts, key: str, contract: Contract, grounds: Grounds) -> Decision:
    """Promote when policy allows, reject what cannot be promoted any more, otherwise wait. A decision is made once.

    Args:
        drafts: where the events go.
        key: the retrain.
        contract: the contract the retrain was launched under; a toggle's own comes before it.
        grounds: what was read anew besides.
    """
    retrain = known_retrain(drafts, key)
    if retrain.decision is not None:
        return retrain.decision
    toggle = drafts.state.toggle_of(key)
    terms = toggle.terms if toggle else contract
    verdicts = promotion_verdicts(retrain, toggle, terms, grounds, drafts.now, drafts.platform)
    ending, reason = _cannot_be_promoted(retrain, toggle, drafts.now)
    if ending is not None:
        end(drafts, retrain, toggle, verdicts, ending, reason)
        return Decision("reject", tuple(verdicts), (), reason)
    if toggle is None:
        missing = (
            "; ".join(gate_obstacles(retrain, arming_subjects(retrain, drafts.state.champion), now=drafts.now))
            or "its challenger is not armed yet"
        )
        return Decision("wait", tuple(verdicts), (), missing)
    closed = [verdict.message for verdict in verdicts if not verdict.passed]
    if waits := "; ".join(closed) or _waits_for(drafts, retrain, toggle, grounds.manifest):
        return Decision("wait", tuple(verdicts), (), waits)
    return _promote(drafts, retrain, toggle, verdicts, grounds)


def case_for_policy(drafts: Drafts, key: str, decision: Decision, grounds: Grounds) -> dict[str, Any] | None:
    """What the contract's policy is to be asked, when it alone keeps a decision waiting; None otherwise."""
    toggle = drafts.state.toggle_of(key)
    closed = {verdict.check for verdict in decision.verdicts if not verdict.passed}
    if decision.decision != "wait" or toggle is None or closed != {POLICY_CHECK}:
        return None
    retrain = known_retrain(drafts, key)
    return None if _waits_for(drafts, retrain, toggle, grounds.manifest) else policy_case(retrain, toggle, drafts.now)


def _cannot_be_promoted(retrain: RetrainState, toggle: ToggleState | None, now: datetime) -> tuple[Ending | None, str]:
    if retrain.rejected is not None:
        return Ending.REJECTED, f"rejected: {retrain.rejected}"
    if toggle is not None and toggle.state in (ToggleStatus.ROLLED_BACK, ToggleStatus.REJECTED):
        return Ending.ROLLED_BACK, f"rolled back: {toggle.ended_because}"
    for gate in GATES_BEFORE_TRAFFIC:
        if (record := retrain.verdicts.get(gate)) is not None and closed_checks(retrain, gate, now):
            return Ending.STOPPED, gate_obstacles(retrain, retrain.subjects or record.subjects, [gate], now=now)[0]
    if retrain.failure is not None and toggle is None:
        return Ending.FAILED, f"failed in {retrain.failure}"
    return None, ""


def _waits_for(drafts: Drafts, retrain: RetrainState, toggle: ToggleState, manifest: Mapping[str, str]) -> str:
    """What keeps a promotion waiting besides the promotion gate; empty when nothing does."""
    if expired(toggle, drafts.now):
        return "the toggle expired and is about to be rolled back"
    if not approval_may_be_given(retrain, toggle, drafts.now):
        return "the last look at the canary does not ask for approval"
    subjects = {**canary_subjects(retrain, toggle), **manifest}
    if obstacles := gate_obstacles(retrain, subjects, ALL_GATES, now=drafts.now, contract=toggle.terms):
        return "; ".join(obstacles)
    approvals = standing_approvals(toggle, drafts.now)
    if len(approvals) < toggle.terms.approval.required:
        return f"{len(approvals)} of {toggle.terms.approval.required} approvals hold for the last look"
    if drafts.state.champion != toggle.previous_champion:
        return "the champion is not the one the challenger was compared with"
    return "; ".join(brake.message for brake in toggle_brakes(toggle, Move.PROMOTE, drafts.now, drafts.platform))


def _promote(drafts: Drafts, retrain: RetrainState, toggle: ToggleState, verdicts: list[Verdict], grounds: Grounds) -> Decision:
    require_possible(toggle, Move.PROMOTE)
    approvals = standing_approvals(toggle, drafts.now)
    names = " and ".join(item.approver for item in approvals)
    overridden = [one.sentence for one in overrides_in_force(retrain, drafts.now)]
    reason = f"{'; '.join(overridden) or 'all gates passed'}, approved by {names}: {approvals[-1].reason}"
    sequences = [item.sequence for item in approvals]
    payload = {
        "version": toggle.challenger.version,
        "bundle": toggle.challenger.bundle,
        "previous_champion": {"version": toggle.previous_champion.version, "bundle": toggle.previous_champion.bundle},
        "evidence": approvals[-1].evidence,
        "approvals": sequences,
        **({"policy": grounds.answer.to_json()} if grounds.answer is not None else {}),
    }
    drafts.move(EventKind.PROMOTED, retrain.key, toggle.name, payload, reason=reason)
    _record(drafts, retrain, "promote", verdicts, sequences, Ending.PROMOTED, reason)
    return Decision("promote", tuple(verdicts), approvals, reason)


def end(
    drafts: Drafts,
    retrain: RetrainState,
    toggle: ToggleState | None,
    verdicts: Sequence[Verdict],
    ending: Ending,
    reason: str,
    *,
    proof: Mapping[str, Any] | None = None,
) -> None:
    """Reject: an active toggle is rolled back first, a rolled back one becomes rejected, and the decision is recorded.

    Args:
        drafts: where the events go.
        retrain: the retrain.
        toggle: its toggle, None before arming.
        verdicts: of the promotion gate, where it was asked.
        ending: how it ends.
        reason: why.
        proof: what the rejection itself carries besides, such as a person's signature.
    """
    more = dict(proof or {})
    if toggle is not None and toggle.active:
        roll_back(drafts, toggle.name, cause=str(ending))
    if retrain.rejected is None:
        if toggle is not None and (toggle.active or toggle.state is ToggleStatus.ROLLED_BACK):
            drafts.move(EventKind.REJECTED, retrain.key, toggle.name, {"ending": str(ending), **more}, reason=reason)
        elif toggle is None:
            payload = {"ending": str(ending), "failure": _failure(retrain), **more}
            drafts.add(EventKind.REJECTED, retrain.key, payload, reason=reason)
    _record(drafts, retrain, "reject", verdicts, [], ending, reason)


def _failure(retrain: RetrainState) -> dict[str, str] | None:
    """Why a retrain never met traffic, as its gates or its failed stage say; None where a person ended it."""
    from retrain_assets.experiment.loss.failure_modes import (  # brings numpy: status has no need
        failure_of_stage,
        failure_of_verdicts,
    )

    gates = [retrain.verdicts[gate] for gate in GATES_BEFORE_TRAFFIC if gate in retrain.verdicts]
    found = failure_of_verdicts(check.verdict for gate in gates for check in gate.checks.values())
    if found is None and retrain.failure is not None:
        found = failure_of_stage(*retrain.failure.partition(": ")[::2])
    return {"mode": found.mode.value, "sentence": found.sentence} if found is not None else None


def _record(
    drafts: Drafts,
    retrain: RetrainState,
    decision: str,
    verdicts: Sequence[Verdict],
    approvals: list[int],
    ending: Ending,
    reason: str,
) -> None:
    payload = {"decision": decision, "verdicts": [verdict.to_json() for verdict in verdicts], "approvals": approvals}
    drafts.add(EventKind.DECISION_RECORDED, retrain.key, payload, reason=reason)
    drafts.add(EventKind.RETRAIN_ENDED, retrain.key, {"ending": str(ending)}, reason=reason)
