"""People's word on a promotion and the decision about a retrain.

Each function decides on the state in the drafts and adds the events of one action, or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from retrain_assets.contract import Contract, Gate, Refused, StaleRevision, Verdict
from retrain_assets.ledger import EventKind
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.overrides import closed_checks, overrides_in_force
from retrain_assets.release.policy import (
    GATES_BEFORE_TRAFFIC,
    approval_may_be_given,
    arming_subjects,
    canary_subjects,
    expired,
    gate_obstacles,
    require_approver,
    require_candidate,
    require_gates,
    require_move,
    standing_approvals,
    toggle_brakes,
)
from retrain_assets.release.promotion import promotion_verdicts
from retrain_assets.release.ramping import roll_back
from retrain_assets.release.retrains import known_retrain
from retrain_assets.release.state import Decision, Ending, RetrainState, ToggleState, ToggleStatus
from retrain_assets.release.toggle import Move, require_possible

ALL_GATES = (*GATES_BEFORE_TRAFFIC, Gate.CANARY)


def approve(drafts: Drafts, key: str, *, typed_by: str, evidence: str | None) -> None:
    """One person's approval, bound to version, bundle and the last look.

    Args:
        drafts: where the event goes; their actor approves.
        key: the retrain.
        typed_by: operating-system account that typed it.
        evidence: digest of the look the person has seen, where known; must be the last one.
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
    look = toggle.last_look
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
    require_gates(retrain, canary_subjects(retrain, toggle), ALL_GATES, now=drafts.now)
    if drafts.actor.name in {item.approver for item in standing_approvals(toggle, drafts.now)}:
        raise Refused(
            f"{drafts.actor.name} has approved this very evidence already", where=where, remedy="nothing more is needed"
        )
    payload = {
        "version": toggle.challenger.version,
        "bundle": toggle.challenger.bundle,
        "evidence": look.evidence,
        "valid_until": (drafts.now + toggle.terms.approval.valid_for).isoformat(),
        "typed_by": typed_by,
    }
    drafts.add(EventKind.APPROVED, key, payload, toggle=toggle.name)


def withdraw(drafts: Drafts, key: str) -> None:
    """An approver takes the approval back while nothing is promoted."""
    toggle = drafts.state.toggle_of(key)
    where = f"{drafts.state.model} {key}"
    if toggle is None or drafts.actor.name not in {item.approver for item in toggle.approvals}:
        raise Refused(f"{drafts.actor} has not approved it", where=where)
    if not toggle.active:
        raise Refused(f"its toggle is {toggle.state}", where=where, remedy="roll back to undo a promotion")
    drafts.add(EventKind.APPROVAL_WITHDRAWN, key, {}, toggle=toggle.name)


def reject(drafts: Drafts, key: str, contract: Contract) -> None:
    """An approver ends the retrain: an active toggle is rolled back, the rejection and the decision are recorded.

    After a promotion that was rolled back only the toggle is left to reject; the decision of then stays.

    Args:
        drafts: where the events go; their actor rejects.
        key: the retrain.
        contract: the contract the retrain was launched under; a toggle's own comes before it.
    """
    retrain = known_retrain(drafts, key)
    toggle = drafts.state.toggle_of(key)
    where = f"{drafts.state.model} {key}"
    require_approver(toggle.terms if toggle else contract, drafts.actor, where)
    if toggle is not None and toggle.state is ToggleStatus.ROLLED_BACK and retrain.decision is not None:
        drafts.move(EventKind.REJECTED, key, toggle.name, {"ending": str(Ending.ROLLED_BACK)})
        return
    if retrain.decision is not None:
        raise Refused(
            f"it was decided already ({retrain.decision.decision}: {retrain.decision.reason})",
            where=where,
            remedy="roll its toggle back to undo a promotion",
        )
    if retrain.rejected is not None:
        raise Refused(f"it was rejected already: {retrain.rejected}", where=where)
    end(drafts, retrain, toggle, [], Ending.REJECTED, f"rejected by {drafts.actor.name}: {drafts.reason}")


def decide(drafts: Drafts, key: str, contract: Contract, manifest: Mapping[str, str]) -> Decision:
    """Promote when policy allows, reject what cannot be promoted any more, otherwise wait. A decision is made once.

    Args:
        drafts: where the events go.
        key: the retrain.
        contract: the contract the retrain was launched under; a toggle's own comes before it.
        manifest: digests ``dataset``, ``features`` and ``bundle`` read from the registered bundle; empty without one.
    """
    retrain = known_retrain(drafts, key)
    if retrain.decision is not None:
        return retrain.decision
    toggle = drafts.state.toggle_of(key)
    terms = toggle.terms if toggle else contract
    verdicts = promotion_verdicts(retrain, toggle, terms, manifest, drafts.now, drafts.platform)
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
    if waits := _waits_for(drafts, retrain, toggle, verdicts, manifest):
        return Decision("wait", tuple(verdicts), (), waits)
    return _promote(drafts, retrain, toggle, verdicts)


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


def _waits_for(
    drafts: Drafts, retrain: RetrainState, toggle: ToggleState, verdicts: list[Verdict], manifest: Mapping[str, str]
) -> str:
    if closed := [verdict.message for verdict in verdicts if not verdict.passed]:
        return "; ".join(closed)
    if expired(toggle, drafts.now):
        return "the toggle expired and is about to be rolled back"
    if not approval_may_be_given(retrain, toggle, drafts.now):
        return "the last look at the canary does not ask for approval"
    if obstacles := gate_obstacles(retrain, {**canary_subjects(retrain, toggle), **manifest}, ALL_GATES, now=drafts.now):
        return "; ".join(obstacles)
    approvals = standing_approvals(toggle, drafts.now)
    if len(approvals) < toggle.terms.approval.required:
        return f"{len(approvals)} of {toggle.terms.approval.required} approvals hold for the last look"
    if drafts.state.champion != toggle.previous_champion:
        return "the champion is not the one the challenger was compared with"
    return "; ".join(brake.message for brake in toggle_brakes(toggle, Move.PROMOTE, drafts.now, drafts.platform))


def _promote(drafts: Drafts, retrain: RetrainState, toggle: ToggleState, verdicts: list[Verdict]) -> Decision:
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
    }
    drafts.move(EventKind.PROMOTED, retrain.key, toggle.name, payload, reason=reason)
    _record(drafts, retrain, "promote", verdicts, sequences, Ending.PROMOTED, reason)
    return Decision("promote", tuple(verdicts), approvals, reason)


def end(
    drafts: Drafts, retrain: RetrainState, toggle: ToggleState | None, verdicts: list[Verdict], ending: Ending, reason: str
) -> None:
    """Reject: an active toggle is rolled back first, a rolled back one becomes rejected, and the decision is recorded."""
    if toggle is not None and toggle.active:
        roll_back(drafts, toggle.name, cause=str(ending))
    if retrain.rejected is None:
        if toggle is not None and (toggle.active or toggle.state is ToggleStatus.ROLLED_BACK):
            drafts.move(EventKind.REJECTED, retrain.key, toggle.name, {"ending": str(ending)}, reason=reason)
        elif toggle is None:
            drafts.add(EventKind.REJECTED, retrain.key, {"ending": str(ending), "failure": _failure(retrain)}, reason=reason)
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
    verdicts: list[Verdict],
    approvals: list[int],
    ending: Ending,
    reason: str,
) -> None:
    payload = {"decision": decision, "verdicts": [verdict.to_json() for verdict in verdicts], "approvals": approvals}
    drafts.add(EventKind.DECISION_RECORDED, retrain.key, payload, reason=reason)
    drafts.add(EventKind.RETRAIN_ENDED, retrain.key, {"ending": str(ending)}, reason=reason)
