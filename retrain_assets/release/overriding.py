"""Two approvers let a check count as open that did not pass: what they may override, and what becomes of the candidate then.

Never an error, harm that was shown, the gate promotion, an expired toggle, or a verdict about something else than the candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from typing import Any

from retrain_assets.contract import Approval, Contract, Gate, Outcome, Refused, SignatureError
from retrain_assets.contract.approval import folded, same_person
from retrain_assets.ledger import Act, EventKind
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.overrides import SIGNERS, closed_checks, overrides_in_force, standing_in_words, standing_words
from retrain_assets.release.policy import (
    GATES_BEFORE_TRAFFIC,
    arming_subjects,
    canary_subjects,
    expired,
    gate_obstacles,
    require_approver,
    require_move,
    stale_obstacle,
)
from retrain_assets.release.retrains import known_retrain
from retrain_assets.release.signed_override import SignedOverride
from retrain_assets.release.signing import Case, Signed, held_until, signed_payload
from retrain_assets.release.state import CheckRecord, Ending, GateRecord, RetrainState, ToggleState, ToggleStatus
from retrain_assets.release.toggle import Move, next_stage

NO_HARM = frozenset(
    {
        "sample_ratio_holds",
        "outcomes_arrive",
        "units_stay_in_one_arm",
        "records_are_sound",
        "enough_units",
        "full_weeks_seen",
        "worth_its_cost",
    }
)
"""Checks of gate canary whose failure does not say that the challenger harms; every other one that fails does."""


@dataclass(frozen=True, slots=True)
class CheckName:
    """A check as people name it: ``GATE.CHECK``."""

    gate: Gate
    check: str

    def __str__(self) -> str:
        return f"{self.gate}.{self.check}"

    @classmethod
    def parse(cls, text: str) -> CheckName:
        """The inverse of ``str``.

        Raises:
            Refused: when it names no gate.
        """
        gate, separator, check = text.strip().partition(".")
        if not separator or not check or gate not in tuple(Gate):
            raise Refused(f"{text!r} names no check", remedy="write GATE.CHECK, such as offline.slices_hold")
        return cls(Gate(gate), check)


def override_case(
    drafts: Drafts, key: str, name: CheckName, contract: Contract, *, look: Mapping[str, Any] | None = None, ledger: str
) -> Case:
    """What an approver has to say to override a check: gate, check, bundle and evidence, and before training the digests of what
    was judged instead of a bundle.

    Args:
        drafts: their actor is to sign.
        key: the retrain.
        name: the check.
        contract: the contract that counts: the toggle's, else the one the retrain was launched under.
        look: the last look at the canary, for a check of that gate.
        ledger: the ledger's identity.

    Raises:
        Refused: naming why this check cannot be overridden, or not by this person.
    """
    retrain, toggle = known_retrain(drafts, key), drafts.state.toggle_of(key)
    where = f"{drafts.state.model} {key} {name}"
    record = _recorded(retrain, name)
    _require_overriders(contract, drafts, where)
    _require_overridable(record, where)
    _require_open(retrain, toggle, name, where)
    _require_right_subject(drafts, retrain, toggle, name, where)
    if name.gate is Gate.CANARY:
        _require_undecided_canary(drafts, toggle, record, look or {}, where)
    before = standing_words(retrain, record, drafts.now)
    if any(same_person(drafts.actor.name, word.signer) for word in before):
        raise Refused(
            f"{drafts.actor.name} has signed this override",
            where=where,
            remedy=f"have another approver sign: {_others(contract, before)}" if len(before) < SIGNERS else "it is in force",
        )
    if len(before) >= SIGNERS:
        raise Refused("it is in force already", where=where, remedy="nothing more is needed")
    return _case(drafts, Act.OVERRIDE, retrain, toggle, record, ledger)


def sign(
    drafts: Drafts,
    key: str,
    name: CheckName,
    contract: Contract,
    *,
    typed_by: str,
    look: Mapping[str, Any] | None = None,
    ledger: str,
    signed: Signed | None = None,
) -> None:
    """One approver's word; the second one's puts the override in force.

    Then a retrain that ended because of the check is open again; of a canary that waits for nothing else, approval is asked for.

    Args:
        drafts: where the events go; their actor signs.
        key: the retrain.
        name: the check.
        contract: as in :func:`override_case`.
        typed_by: operating-system account that typed it.
        look: as in :func:`override_case`.
        ledger: the ledger's identity.
        signed: the approver's statement; needed where the contract names keys.
    """
    case = override_case(drafts, key, name, contract, look=look, ledger=ledger)
    proof = signed_payload(contract.approval, case, signed)
    retrain, toggle = known_retrain(drafts, key), drafts.state.toggle_of(key)
    record = _recorded(retrain, name)
    before = standing_words(retrain, record, drafts.now)
    signing_key = proof["signed"]["key"] if proof else None
    if any(contract.approval.one_hand(drafts.actor.name, signing_key, word.signer, word.key) for word in before):
        raise SignatureError(
            f"its key, or that of {before[0].signer}, may sign for both approvers",
            where=f"{drafts.state.model} {key} {name}",
            remedy="two people sign, each with a key of their own",
        )
    until = held_until(contract.approval, case, signed)
    word = SignedOverride(
        gate=name.gate,
        check=name.check,
        bundle=case.subject["bundle"],
        evidence=record.evidence,
        signer=drafts.actor.name,
        at=drafts.now,
        valid_until=datetime.fromisoformat(until),
        reason=drafts.reason,
        typed_by=typed_by,
        sequence=0,
        key=signing_key,
    )
    after = replace(retrain, overrides=(*retrain.overrides, word))
    signers = [one.signer for one in standing_words(after, record, drafts.now)]
    in_force = len(signers) >= SIGNERS
    payload = {
        **case.subject,
        "outcome": str(record.verdict.outcome),
        "message": record.verdict.message,
        "valid_until": until,
        "signers": signers,
        "in_force": in_force,
        "reopens": in_force and retrain.decision is not None and not any(closed_checks(after, gate, drafts.now) for gate in Gate),
        "typed_by": typed_by,
        **proof,
    }
    drafts.add(EventKind.OVERRIDE_SIGNED, key, payload, toggle=case.toggle)
    if in_force and name.gate is Gate.CANARY and toggle is not None:
        _ask_approval(drafts, after, toggle)


def withdrawal_case(drafts: Drafts, key: str, name: CheckName, *, ledger: str) -> Case:
    """What one of the two has to say to take it back.

    Raises:
        Refused: for anyone who did not sign it, and when the retrain ended otherwise than by a gate.
    """
    retrain, toggle = known_retrain(drafts, key), drafts.state.toggle_of(key)
    where = f"{drafts.state.model} {key} {name}"
    of_check = [one for one in retrain.overrides if (one.gate, one.check) == (name.gate, name.check)]
    if not drafts.actor.is_person or not any(same_person(one.signer, drafts.actor.name) for one in of_check):
        raise Refused(f"{drafts.actor} has not signed an override of it", where=where)
    if retrain.decision is not None and retrain.ended is not Ending.STOPPED:
        raise Refused(
            f"it was decided already ({retrain.decision.decision}: {retrain.decision.reason})",
            where=where,
            remedy="roll its toggle back to undo a promotion",
        )
    return _case(drafts, Act.WITHDRAW, retrain, toggle, _recorded(retrain, name), ledger)


def withdraw(
    drafts: Drafts,
    key: str,
    name: CheckName,
    contract: Contract,
    *,
    typed_by: str,
    ledger: str,
    signed: Signed | None = None,
) -> None:
    """One of the two takes it back; the gate is closed again."""
    case = withdrawal_case(drafts, key, name, ledger=ledger)
    proof = signed_payload(contract.approval, case, signed)
    payload = {**case.subject, "withdrawn": True, "in_force": False, "reopens": False, "typed_by": typed_by, **proof}
    drafts.add(EventKind.OVERRIDE_SIGNED, key, payload, toggle=case.toggle)


def require_allowed(retrain: RetrainState, contract: Contract, now: datetime) -> None:
    """Refuse to rest on overrides that a contract does not allow, or by people who are no approvers in it.

    Raises:
        Refused: naming the override.
    """
    terms = contract.approval
    for one in overrides_in_force(retrain, now):
        others = [name for name in one.by if not folded([name]) & folded(terms.approvers)]
        shared = any(
            terms.one_hand(first.signer, first.key, second.signer, second.key) for first, second in combinations(one.words, 2)
        )
        if terms.overrides and not others and not shared:
            continue
        why = "a key of it may sign for both who signed" if shared else "the contract allows no overrides"
        if others:
            why = f"{' and '.join(others)} is no approver any more"
        raise Refused(
            f"{one.name} is overridden, and {why}", where=f"{retrain.model} {retrain.key}", remedy="launch a new retrain"
        )


def _require_overriders(contract: Contract, drafts: Drafts, where: str) -> None:
    terms: Approval = contract.approval
    if not terms.overrides:
        raise Refused(
            "the contract allows no overrides (approval.overrides is off)",
            where=where,
            remedy="mend the cause and launch a new retrain",
        )
    if len(folded(terms.approvers)) < SIGNERS:
        raise Refused(
            f"an override takes {SIGNERS} approvers, and the contract names one",
            where=where,
            remedy="name another in approval.approvers",
        )
    require_approver(contract, drafts.actor, where)


def _recorded(retrain: RetrainState, name: CheckName) -> CheckRecord:
    """The recorded verdict of a check.

    Raises:
        Refused: naming the checks that keep the gates closed.
    """
    where = f"{retrain.model} {retrain.key}"
    if name.gate is Gate.PROMOTION:
        raise Refused(
            "gate promotion cannot be overridden: it is the approval itself", where=where, remedy="get the approvals it asks for"
        )
    gate = retrain.verdicts.get(name.gate)
    if gate is None or name.check not in gate.checks:
        closed = [
            f"{one.gate}.{check}"
            for one in retrain.verdicts.values()
            for check, record in one.checks.items()
            if record.verdict.outcome is not Outcome.PASS
        ]
        raise Refused(
            f"no verdict of {name} is recorded", where=where, remedy=f"checks that did not pass: {', '.join(closed) or 'none'}"
        )
    return gate.checks[name.check]


def _require_overridable(record: CheckRecord, where: str) -> None:
    verdict = record.verdict
    if verdict.outcome is Outcome.PASS:
        raise Refused("it passed", where=where, remedy="nothing has to be overridden")
    if verdict.outcome is Outcome.ERROR:
        raise Refused(
            f"an error is no verdict and cannot be overridden ({verdict.message})",
            where=where,
            remedy="mend it and have the gate judged again",
        )


def _require_open(retrain: RetrainState, toggle: ToggleState | None, name: CheckName, where: str) -> None:
    if retrain.decision is not None and (retrain.ended is not Ending.STOPPED or toggle is not None):
        ended = f"{retrain.ended}".replace("_", " ") if retrain.ended else retrain.decision.decision
        raise Refused(
            f"it ended ({ended}: {retrain.decision.reason}); only what a gate stopped before its traffic can be opened again",
            where=where,
            remedy="launch a new retrain",
        )
    if toggle is not None and name.gate in GATES_BEFORE_TRAFFIC:
        raise Refused(
            f"its challenger is {toggle.state.value.replace('_', ' ')}; gate {name.gate} is judged before traffic",
            where=where,
            remedy="roll it back and launch a new retrain",
        )


def _require_right_subject(
    drafts: Drafts, retrain: RetrainState, toggle: ToggleState | None, name: CheckName, where: str
) -> None:
    record: GateRecord = retrain.verdicts[name.gate]
    if toggle is not None:
        expected = canary_subjects(retrain, toggle)
    else:
        expected = arming_subjects(retrain, drafts.state.champion) if retrain.subjects else dict(record.subjects)
    if stale := stale_obstacle(record, expected):
        raise Refused(stale, where=where, remedy="an override is about the candidate as it is; have the gate judged again")


def _require_undecided_canary(
    drafts: Drafts, toggle: ToggleState | None, record: CheckRecord, look: Mapping[str, Any], where: str
) -> None:
    if toggle is None or not toggle.active:
        state = f"its toggle is {toggle.state.value.replace('_', ' ')}" if toggle else "it has no toggle"
        raise Refused(f"{state}; a canary is overridden while it runs", where=where, remedy="launch a new retrain")
    if expired(toggle, drafts.now):
        raise Refused(
            f"the toggle expired on {toggle.expires_at:%Y-%m-%d %H:%M} UTC, and expiry cannot be overridden",
            where=where,
            remedy="launch a new retrain",
        )
    harm = record.verdict.outcome is Outcome.FAIL and record.verdict.check not in NO_HARM
    if harm or look.get("harm_looks") or look.get("action") in ("roll_back", "reject"):
        said = record.verdict.message if harm else look.get("reason")
        raise Refused(f"harm that was shown cannot be overridden ({said})", where=where, remedy="roll it back")
    if (following := next_stage(toggle)) is not None:
        raise Refused(
            f"the ramp goes on to stage {following} first",
            where=where,
            remedy="an override lets approval be asked for at its end",
        )
    if toggle.state is ToggleStatus.HELD:
        raise Refused(
            "its toggle is held", where=where, remedy=f'resume it first: retrain toggle resume {toggle.name} --reason "why"'
        )
    if toggle.state is ToggleStatus.RAMPING:
        require_move(toggle, Move.ASK_APPROVAL, drafts.actor, drafts.now, drafts.platform)


def _case(drafts: Drafts, act: Act, retrain: RetrainState, toggle: ToggleState | None, record: CheckRecord, ledger: str) -> Case:
    verdict, bundle = record.verdict, retrain.subjects.get("bundle")
    subject: dict[str, Any] = {"gate": str(verdict.gate), "check": verdict.check, "bundle": bundle, "evidence": record.evidence}
    if bundle is None:
        subject |= {name: record.subjects[name] for name in ("dataset", "features") if name in record.subjects}
    since = record.at if act is Act.OVERRIDE else None
    return Case.of(drafts, act, retrain.key, toggle.name if toggle else None, subject, ledger=ledger, since=since)


def _ask_approval(drafts: Drafts, retrain: RetrainState, toggle: ToggleState) -> None:
    """Ask for approval when nothing but what is overridden stood in its way."""
    gates = (*GATES_BEFORE_TRAFFIC, Gate.CANARY)
    if toggle.state is not ToggleStatus.RAMPING or toggle.last_look is None:
        return
    if gate_obstacles(retrain, canary_subjects(retrain, toggle), gates, now=drafts.now):
        return
    payload = {"evidence": toggle.last_look.evidence, "overridden": standing_in_words(retrain, drafts.now)}
    drafts.move(EventKind.APPROVAL_REQUESTED, retrain.key, toggle.name, payload)


def _others(contract: Contract, before: tuple[SignedOverride, ...]) -> str:
    given = folded(word.signer for word in before)
    return " or ".join(one for one in contract.approval.approvers if not folded([one]) & given)
