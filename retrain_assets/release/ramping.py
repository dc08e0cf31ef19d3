"""What happens to a toggle from arming to retirement, promotion and its approval aside.

Each function decides on the state in the drafts and adds the events of one action, or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from retrain_assets.contract import Contract, Refused, StaleRevision, format_duration
from retrain_assets.ledger import EventKind
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.environment import require_promoted
from retrain_assets.release.overrides import standing_in_words
from retrain_assets.release.policy import (
    arming_subjects,
    expired,
    require_arming,
    require_candidate,
    require_gates,
    require_move,
    toggle_brakes,
)
from retrain_assets.release.state import ToggleState, ToggleStatus, stage_share
from retrain_assets.release.toggle import Move, next_stage

EXPIRED = "expired"
"""Reason of a rollback at expiry."""


def register_and_arm(drafts: Drafts, contract: Contract, key: str) -> None:
    """The challenger gets its toggle, at 0 per cent. The contract is frozen into it."""
    retrain = require_candidate(drafts.state.retrains.get(key), contract.model, key)
    require_arming(drafts.state, retrain, contract, drafts.now, drafts.platform)
    require_promoted(contract, drafts.state, drafts.environment)
    require_gates(retrain, arming_subjects(retrain, drafts.state.champion, contract), now=drafts.now, contract=contract)
    challenger, champion = retrain.candidate, drafts.state.champion
    assert challenger is not None  # require_candidate
    assert champion is not None  # require_arming
    name, terms = f"{contract.model}-{key}", contract.toggle
    drafts.move(
        EventKind.TOGGLE_REGISTERED,
        key,
        name,
        {
            "contract": contract.to_json(),
            "contract_digest": contract.digest,
            "challenger": {"version": challenger.version, "bundle": challenger.bundle},
            "previous_champion": {"version": champion.version, "bundle": champion.bundle},
            "salt": name,
            "owner": terms.owner,
            "purpose": terms.purpose,
            "gates": {str(gate): record.evidence for gate, record in retrain.verdicts.items()},
            **({"overridden": overridden} if (overridden := standing_in_words(retrain, drafts.now)) else {}),
        },
    )
    drafts.move(
        EventKind.TOGGLE_ARMED,
        key,
        name,
        {
            "expires_at": (drafts.now + terms.expires_after).isoformat(),
            "remove_by": (drafts.now + terms.remove_after).isoformat(),
            "share": 0,
        },
    )


def step(drafts: Drafts, name: str) -> None:
    """On to the next stage of the approved ramp."""
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.STEP, drafts.actor, drafts.now, drafts.platform)
    _step(drafts, toggle)


def hold(drafts: Drafts, name: str, vouched: Mapping[str, Any] | None = None) -> None:
    """The ramp stands still; the traffic stays divided as it is. What vouches for the order goes into its event."""
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.HOLD, drafts.actor, drafts.now, drafts.platform)
    drafts.move(EventKind.TOGGLE_HELD, toggle.retrain, name, {"held_from": str(toggle.state), **(vouched or {})})


def resume(drafts: Drafts, name: str) -> None:
    """Back to what the toggle was held from."""
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.RESUME, drafts.actor, drafts.now, drafts.platform)
    drafts.move(EventKind.TOGGLE_RESUMED, toggle.retrain, name, {"to": str(toggle.held_from)})


def extend(drafts: Drafts, name: str, by: timedelta) -> None:
    """Later expiry, never beyond the removal date."""
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.EXTEND, drafts.actor, drafts.now, drafts.platform)
    if toggle.expires_at is None or toggle.remove_by is None or by <= timedelta(0):
        raise Refused(f"{format_duration(by)} is no extension", where=name, remedy="write a positive duration, such as 7d")
    later = toggle.expires_at + by
    if later > toggle.remove_by:
        longest = toggle.remove_by - toggle.expires_at
        raise Refused(
            f"an expiry on {later:%Y-%m-%d %H:%M} UTC would lie after the removal date {toggle.remove_by:%Y-%m-%d %H:%M} UTC",
            where=name,
            remedy=f"extend by at most {format_duration(longest)}",
        )
    drafts.move(EventKind.TOGGLE_EXTENDED, toggle.retrain, name, {"expires_at": later.isoformat(), "by": format_duration(by)})


def retire(drafts: Drafts, name: str) -> None:
    """The toggle is gone; a promoted one can no longer be rolled back."""
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.RETIRE, drafts.actor, drafts.now, drafts.platform)
    drafts.move(EventKind.TOGGLE_RETIRED, toggle.retrain, name, {"from": str(toggle.state)})


def roll_back(drafts: Drafts, name: str, *, cause: str, vouched: Mapping[str, Any] | None = None) -> None:
    """All traffic to the champion; after a promotion, the previous champion back.

    Rolling a promoted challenger back takes the rug from under a newer one that is compared with it, so an active one is rolled
    back in the same transaction. What vouches for a person's order goes into its event.
    """
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.ROLL_BACK, drafts.actor, drafts.now, drafts.platform)
    state = drafts.state
    if toggle.state is ToggleStatus.PROMOTED and toggle.challenger != state.champion:
        now_champion = f"version {state.champion.version}" if state.champion else "nobody"
        raise Refused(
            f"its challenger, version {toggle.challenger.version}, is not champion any more; {now_champion} is",
            where=name,
            remedy="roll back the toggle that made the present champion",
        )
    active = state.active_toggle
    if toggle.state is ToggleStatus.PROMOTED and active is not None:
        drafts.move(
            EventKind.ROLLED_BACK,
            active.retrain,
            active.name,
            _rollback_payload(active, cause="champion_rolled_back"),
            reason=f"the champion it is compared with was rolled back: {drafts.reason}",
        )
    drafts.move(EventKind.ROLLED_BACK, toggle.retrain, name, {**_rollback_payload(toggle, cause=cause), **(vouched or {})})


def ask_approval(drafts: Drafts, name: str) -> None:
    """The ramp is through; people decide."""
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.ASK_APPROVAL, drafts.actor, drafts.now, drafts.platform)
    look = toggle.last_look
    if look is None:
        raise Refused("there is no look at the canary to approve on", where=name, remedy="materialise canary_report first")
    drafts.move(EventKind.APPROVAL_REQUESTED, toggle.retrain, name, {"evidence": look.evidence})


def follow(drafts: Drafts, key: str, look: Mapping[str, Any], evidence: str) -> None:
    """Record a look at the canary and carry out what it calls for. The last look again adds nothing."""
    toggle = drafts.state.toggle_of(key)
    where = f"{drafts.state.model} {key}"
    if toggle is None:
        raise Refused("it has no toggle to look at", where=where, remedy="arm its challenger first")
    if toggle.last_look and toggle.last_look.evidence == evidence:
        return
    if not toggle.active:
        raise Refused(f"its toggle is {toggle.state}; only an active one is looked at", where=where)
    if toggle.last_look and datetime.fromisoformat(look["at"]) < toggle.last_look.at:
        raise StaleRevision(
            f"the look is of {look['at']}, and another one was recorded on {toggle.last_look.at.isoformat()}",
            where=toggle.name,
            remedy="look again",
        )
    if look["revision"] != toggle.stage_revision:
        raise StaleRevision(
            f"the look is about revision {look['revision']}, the toggle's split is of revision {toggle.stage_revision}",
            where=toggle.name,
            remedy="look again",
        )
    action, reason = str(look["action"]), look["reason"]
    stopped = _stops(drafts, toggle, action)
    if stopped:
        action, reason = "hold", f"{'; '.join(stopped)}; the look calls for {action.replace('_', ' ')}: {reason}"
    payload = {
        "evidence": evidence,
        "action": action,
        "reason": reason,
        "stage": look["stage"],
        "revision": look["revision"],
        "cause": look.get("cause"),
        "again_at": look.get("again_at"),
        **({"called_for": str(look["action"])} if stopped else {}),
    }
    drafts.add(EventKind.CANARY_LOOKED, key, payload, toggle=toggle.name, reason=reason if stopped else None)
    why = {name: look["failure"][name] for name in ("mode", "sentence")} if look.get("failure") else None
    _carry_out(drafts, toggle, action, {"evidence": evidence, "failure": why}, cause=look.get("cause"))


def expire(drafts: Drafts) -> None:
    """Roll back the model's active toggle when it is past its expiry."""
    toggle = drafts.state.active_toggle
    if toggle is not None and expired(toggle, drafts.now):
        roll_back(drafts, toggle.name, cause=EXPIRED)


def known_toggle(drafts: Drafts, name: str) -> ToggleState:
    """The toggle the drafts are about.

    Raises:
        Refused: when there is none of that name.
    """
    if name not in drafts.state.toggles:
        known = ", ".join(drafts.state.toggles) or "none"
        raise Refused("there is no such toggle", where=name, remedy=f"toggles of {drafts.state.model}: {known}")
    return drafts.state.toggles[name]


def _stops(drafts: Drafts, toggle: ToggleState, action: str) -> list[str]:
    """Why the next step or request for approval that a look calls for is not made now; empty when it is, or none is due."""
    move = _called_for(toggle, action)
    if move is None:
        return []
    return [brake.message for brake in toggle_brakes(toggle, move, drafts.now, drafts.platform)]


def _called_for(toggle: ToggleState, action: str) -> Move | None:
    """The move that a look's action means in the toggle's state; None for none, and for what leads back."""
    ramp_goes_on = next_stage(toggle) is not None
    if action == "step" and toggle.state in (ToggleStatus.SHADOW, ToggleStatus.RAMPING) and ramp_goes_on:
        return Move.STEP
    if action == "ask_approval" and toggle.state is ToggleStatus.RAMPING and not ramp_goes_on:
        return Move.ASK_APPROVAL
    return None


def _carry_out(drafts: Drafts, toggle: ToggleState, action: str, found: Mapping[str, Any], *, cause: str | None) -> None:
    if expired(toggle, drafts.now):
        payload = _rollback_payload(toggle, cause=EXPIRED)
        drafts.move(EventKind.ROLLED_BACK, toggle.retrain, toggle.name, payload, reason=EXPIRED)
    elif action in ("roll_back", "reject"):
        payload = _rollback_payload(toggle, cause=cause or ("harm" if action == "roll_back" else "inconclusive"))
        drafts.move(EventKind.ROLLED_BACK, toggle.retrain, toggle.name, {**payload, **found})
        if action == "reject":
            drafts.move(EventKind.REJECTED, toggle.retrain, toggle.name, dict(found))
    elif _called_for(toggle, action) is Move.STEP:
        _step(drafts, toggle)
    elif _called_for(toggle, action) is Move.ASK_APPROVAL:
        drafts.move(EventKind.APPROVAL_REQUESTED, toggle.retrain, toggle.name, {"evidence": found["evidence"]})
    elif action not in ("hold", "step", "ask_approval"):
        raise Refused(f"{action!r} is not what a look can call for", where=toggle.name)


def _step(drafts: Drafts, toggle: ToggleState) -> None:
    stage = next_stage(toggle)
    payload = {"from_stage": toggle.stage, "to_stage": stage, "share": stage_share(stage)}
    drafts.move(EventKind.TOGGLE_STEPPED, toggle.retrain, toggle.name, payload)


def _rollback_payload(toggle: ToggleState, *, cause: str) -> dict[str, Any]:
    restored = toggle.previous_champion
    return {
        "cause": cause,
        "from": str(toggle.state),
        "stage": toggle.stage,
        "restored": {"version": restored.version, "bundle": restored.bundle},
    }
