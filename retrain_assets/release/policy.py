"""Who may do what now, on which recorded verdicts. Pure: states in, refusals and obstacles out.

The system may always hold and roll back, and step within the approved ramp; it never promotes past a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from retrain_assets.contract import Contract, Gate, Refused
from retrain_assets.contract.approval import folded
from retrain_assets.contract.signers import compared
from retrain_assets.ledger import Actor
from retrain_assets.release.brakes import Brake, brakes, freeze_in_force, require_free
from retrain_assets.release.overrides import closed_checks, overrides_in_force
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.state import ApprovalRecord, GateRecord, ModelState, RetrainState, ToggleState, ToggleStatus
from retrain_assets.release.toggle import Move, require_possible
from retrain_assets.routing import VersionRef

GATES_BEFORE_TRAFFIC = (Gate.DATA, Gate.TRAINING, Gate.OFFLINE)
"""Gates that must be recorded as passed before a challenger may be armed."""

ALL_GATES = (*GATES_BEFORE_TRAFFIC, Gate.CANARY)
"""Gates that must be recorded as passed before a challenger may be promoted."""

REQUIRED_SUBJECTS: Mapping[Gate, frozenset[str]] = {
    Gate.DATA: frozenset({"dataset", "features"}),
    Gate.TRAINING: frozenset({"bundle"}),
    Gate.OFFLINE: frozenset({"bundle"}),
    Gate.CANARY: frozenset({"bundle", "report"}),
}
"""What the records of a gate must have judged."""

NOT_AFTER_EXPIRY = frozenset({Move.STEP, Move.RESUME, Move.EXTEND, Move.ASK_APPROVAL, Move.APPROVE, Move.PROMOTE})
"""Moves an expired toggle can no longer make; its traffic went back to the champion at that moment and stays there."""

_CANDIDATES = tuple((subject, "the candidate's") for subject in ("dataset", "features", "bundle"))
_BESIDES: Mapping[Gate, tuple[tuple[str, str], ...]] = {
    Gate.OFFLINE: (("champion", "the one to beat"),),
    Gate.CANARY: (("report", "the last look"),),
}
"""What the records of a gate judge besides the candidate, and what it must be."""

SYSTEM_MOVES = frozenset({Move.ARM, Move.STEP, Move.HOLD, Move.ASK_APPROVAL, Move.PROMOTE, Move.ROLL_BACK, Move.REJECT})
"""Moves the system may make by itself. Promotion is among them because it needs people's approvals whoever carries it out."""


def require_move(toggle: ToggleState, move: Move, actor: Actor, now: datetime, platform: PlatformState) -> None:
    """Refuse a move that the state, the actor, the toggle's expiry, a kill switch, a freeze or a missing owner forbids.

    Raises:
        Refused: naming what forbids it.
    """
    require_possible(toggle, move)
    if not actor.is_person and move not in SYSTEM_MOVES and not (move is Move.RETIRE and toggle.state is ToggleStatus.REJECTED):
        raise Refused(f"{move} is for a person, not for {actor}", where=toggle.name, remedy="have a person do it, with a reason")
    if move in NOT_AFTER_EXPIRY and expired(toggle, now):
        raise Refused(
            f"the toggle expired on {toggle.expires_at:%Y-%m-%d %H:%M} UTC", where=toggle.name, remedy="possible now: roll back"
        )
    require_free(toggle_brakes(toggle, move, now, platform), move, toggle.name)


def toggle_brakes(toggle: ToggleState, move: Move, now: datetime, platform: PlatformState) -> list[Brake]:
    """What stops a toggle's move besides its own state; empty when nothing does."""
    return brakes(platform, toggle.terms, move, now, toggle=toggle.name, owner=toggle.owner)


def expired(toggle: ToggleState, now: datetime) -> bool:
    """Whether an active toggle is at or past its expiry."""
    return toggle.active and toggle.expires_at is not None and now >= toggle.expires_at


def require_launch(contract: Contract, now: datetime, platform: PlatformState) -> None:
    """Refuse to start a retrain in a change freeze, the contract's or a declared one.

    Raises:
        Refused: naming the freeze.
    """
    if (frozen := freeze_in_force(platform, contract, now)) is not None:
        raise Refused(frozen.message, where=contract.model, remedy=frozen.remedy)


def gate_obstacles(
    retrain: RetrainState,
    subjects: Mapping[str, str],
    gates: Iterable[Gate] = GATES_BEFORE_TRAFFIC,
    *,
    now: datetime,
    contract: Contract | None = None,
) -> list[str]:
    """What keeps gates closed for a candidate, one sentence each; empty when all are recorded as passed for exactly it.

    A check that did not pass counts as open while an override of it is in force.

    Args:
        retrain: the retrain with its recorded verdicts and overrides.
        subjects: digests of what must have been judged: ``dataset``, ``features``, ``bundle``, where there is one the bundle of
            the ``champion``, the ``limits`` where they matter, for the canary ``report``.
        gates: the gates that must be open.
        now: the clock's time, for overrides that lapse.
        contract: whose own checks must be recorded too, where it matters.
    """
    found = (_gate_obstacle(retrain, subjects, gate, now) or _unrecorded(retrain, gate, contract) for gate in gates)
    return [obstacle for obstacle in found if obstacle]


def require_candidate(retrain: RetrainState | None, model: str, key: str) -> RetrainState:
    """The retrain, when it is open and has a registered candidate.

    Raises:
        Refused: when it is unknown, decided, or has nothing to release.
    """
    where = f"{model} {key}"
    if retrain is None:
        raise Refused("this retrain was never launched", where=where, remedy="launch it first")
    if retrain.decision is not None:
        raise Refused(
            f"it was decided already ({retrain.decision.decision}: {retrain.decision.reason})",
            where=where,
            remedy="launch a new retrain",
        )
    if retrain.candidate is None:
        raise Refused("no candidate version is registered", where=where, remedy="materialise candidate_model first")
    return retrain


def require_gates(
    retrain: RetrainState,
    subjects: Mapping[str, str],
    gates: Iterable[Gate] = GATES_BEFORE_TRAFFIC,
    *,
    now: datetime,
    contract: Contract | None = None,
) -> None:
    """Refuse unless the gates are recorded as passed for exactly these subjects, see :func:`gate_obstacles`.

    Raises:
        Refused: naming each closed gate and why.
    """
    if obstacles := gate_obstacles(retrain, subjects, gates, now=now, contract=contract):
        raise Refused("; ".join(obstacles), where=f"{retrain.model} {retrain.key}", remedy="run these gates for this very bundle")


def require_arming(state: ModelState, retrain: RetrainState, contract: Contract, now: datetime, platform: PlatformState) -> None:
    """Refuse to arm without a champion, beside another active challenger, a second time, or while something stops it.

    Raises:
        Refused: naming what stands in the way.
    """
    where = f"{state.model} {retrain.key}"
    if state.champion is None:
        raise Refused("the model has no champion to compare with", where=where, remedy="bootstrap the first champion explicitly")
    if (active := state.active_toggle) is not None:
        raise Refused(
            f"toggle {active.name} is {active.state}; a model has one active challenger at a time",
            where=where,
            remedy=f"wait for its end or roll {active.name} back",
        )
    if (own := state.toggle_of(retrain.key)) is not None:
        raise Refused(f"its toggle {own.name} is {own.state} already", where=where, remedy="launch a new retrain")
    if retrain.candidate == state.champion:
        raise Refused("its candidate is the champion itself", where=where, remedy="launch a new retrain")
    require_free(arming_brakes(contract, now, platform), Move.ARM, where)


def arming_brakes(contract: Contract, now: datetime, platform: PlatformState, move: Move = Move.ARM) -> list[Brake]:
    """What stops a model's next toggle, or its first champion, besides the retrain's own gates; empty when nothing does."""
    return brakes(platform, contract, move, now, toggle=None, owner=contract.toggle.owner)


def require_approver(contract: Contract, actor: Actor, where: str) -> None:
    """Refuse anyone but a person the contract names as approver.

    Raises:
        Refused: naming who may.
    """
    if not actor.is_person or not folded([actor.name]) <= folded(contract.approval.approvers):
        raise Refused(
            f"{actor} is not an approver of {contract.model}",
            where=where,
            remedy=f"ask {' or '.join(contract.approval.approvers)}",
        )


def arming_subjects(retrain: RetrainState, champion: VersionRef | None, contract: Contract | None = None) -> dict[str, str]:
    """What must have been judged before arming: the candidate's digests, as ``champion`` the bundle it was compared with, and as
    ``limits`` the thresholds of the contract it is armed under.

    A comparison with an earlier champion, or with none in a bootstrap, says nothing about the one that serves now; nor does a
    verdict by thresholds that were changed since say that the present ones hold.
    """
    return {
        **retrain.subjects,
        **({"champion": champion.bundle} if champion else {}),
        **({"limits": contract.limits_digest} if contract else {}),
    }


def canary_subjects(retrain: RetrainState, toggle: ToggleState) -> dict[str, str]:
    """What must have been judged for a promotion: as for arming, and as ``report`` the last look."""
    look = toggle.last_look.evidence if toggle.last_look else ""
    return {**arming_subjects(retrain, toggle.previous_champion, toggle.terms), "report": look}


def standing_approvals(toggle: ToggleState, now: datetime) -> tuple[ApprovalRecord, ...]:
    """Approvals that count now: for this bundle, on the last look and the gates as judged, not lapsed; each approver's latest."""
    evidence = toggle.last_look.evidence if toggle.last_look else None
    latest = {compared(approval.approver): approval for approval in toggle.approvals}
    return tuple(
        approval
        for approval in latest.values()
        if approval.evidence == evidence
        and approval.bundle == toggle.challenger.bundle
        and approval.voided_by is None
        and approval.at <= now <= approval.valid_until
    )


def approval_may_be_given(retrain: RetrainState, toggle: ToggleState, now: datetime) -> bool:
    """Whether the last look asks for approval, or holds and a check of it is overridden."""
    look = toggle.last_look
    if look is None or look.action != "hold":
        return look is not None and look.action == "ask_approval"
    return bool(overrides_in_force(retrain, now, [Gate.CANARY]))


def stale_obstacle(record: GateRecord, subjects: Mapping[str, str]) -> str:
    """What a gate's record judged that is not what it should have judged; empty when nothing."""
    for name, check in record.checks.items():
        for subject, whose in (*_CANDIDATES, *_BESIDES.get(record.gate, ())):
            digest, expected = check.subjects.get(subject), subjects.get(subject)
            if digest is not None and digest != expected and (subject != "champion" or expected is not None):
                return f"gate {record.gate} is stale: {name} judged {subject} {_short(digest)}, {whose} is {_short(expected)}"
    return ""


def _gate_obstacle(retrain: RetrainState, subjects: Mapping[str, str], gate: Gate, now: datetime) -> str:
    record = retrain.verdicts.get(gate)
    if record is None or not record.checks:
        return f"gate {gate} is missing: no verdict is recorded"
    if stale := stale_obstacle(record, subjects):
        return stale
    judged = {subject for check in record.checks.values() for subject in check.subjects}
    if closed := closed_checks(retrain, gate, now):
        words = ", ".join(f"{check.verdict.check} {check.verdict.outcome}" for check in closed)
        return f"gate {gate} did not pass: {words} ({closed[0].verdict.message})"
    if unjudged := REQUIRED_SUBJECTS[gate] - judged:
        return f"gate {gate} is missing: nothing is recorded about the candidate's {' and '.join(sorted(unjudged))}"
    limits = {check.subjects.get("limits") for check in record.checks.values()} - {None}
    if gate in GATES_BEFORE_TRAFFIC and "limits" in subjects and limits - {subjects["limits"]}:
        return f"gate {gate} is stale: the contract's thresholds were changed since it was judged"
    if gate is Gate.OFFLINE and "champion" in subjects and "champion" not in judged:
        return f"gate {gate} is stale: it was judged without a champion, now {_short(subjects['champion'])} serves"
    return ""


def _unrecorded(retrain: RetrainState, gate: Gate, contract: Contract | None) -> str:
    """That a check of the team's own has no verdict; empty where each has one."""
    record = retrain.verdicts.get(gate)
    own = contract.gates.own_in(gate.value) if contract is not None else []
    missing = [one.check for one in own if record is None or one.check not in record.checks]
    return f"gate {gate} is missing: no verdict of {', '.join(missing)} is recorded" if missing else ""


def _short(digest: str | None) -> str:
    return "unknown" if not digest else f"{digest[:15]}…"
