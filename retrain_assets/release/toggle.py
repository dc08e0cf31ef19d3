"""The toggle's state machine: which move is possible from which state (DESIGN.md section 8). Who may make it is policy's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from retrain_assets.contract import Refused
from retrain_assets.release.state import ACTIVE, ToggleState, ToggleStatus


class Move(StrEnum):
    """What can be done to a toggle."""

    ARM = "arm"
    STEP = "step"
    HOLD = "hold"
    RESUME = "resume"
    EXTEND = "extend"
    TRANSFER = "transfer"
    ACCEPT = "accept"
    REVIEW = "review"
    ASK_APPROVAL = "ask approval"
    APPROVE = "approve"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    REJECT = "reject"
    RETIRE = "retire"


ALLOWED: Mapping[Move, frozenset[ToggleStatus]] = {
    Move.ARM: frozenset({ToggleStatus.REGISTERED}),
    Move.STEP: frozenset({ToggleStatus.ARMED, ToggleStatus.SHADOW, ToggleStatus.RAMPING}),
    Move.HOLD: ACTIVE - {ToggleStatus.HELD},
    Move.RESUME: frozenset({ToggleStatus.HELD}),
    Move.EXTEND: ACTIVE,
    Move.TRANSFER: ACTIVE | {ToggleStatus.PROMOTED},
    Move.ACCEPT: ACTIVE | {ToggleStatus.PROMOTED},
    Move.REVIEW: ACTIVE | {ToggleStatus.PROMOTED},
    Move.ASK_APPROVAL: frozenset({ToggleStatus.RAMPING}),
    Move.APPROVE: frozenset({ToggleStatus.AWAITING_APPROVAL}),
    Move.PROMOTE: frozenset({ToggleStatus.AWAITING_APPROVAL}),
    Move.ROLL_BACK: ACTIVE | {ToggleStatus.PROMOTED},
    Move.REJECT: frozenset({ToggleStatus.ROLLED_BACK}),
    Move.RETIRE: frozenset({ToggleStatus.PROMOTED, ToggleStatus.REJECTED}),
}
"""From which states a move starts; where it also depends on the stage, :func:`possible` says so."""


def possible(toggle: ToggleState) -> tuple[Move, ...]:
    """The moves the toggle's state leaves open, in the order of :class:`Move`."""
    closed = {Move.ASK_APPROVAL} if next_stage(toggle) is not None else {Move.STEP}
    if toggle.offer is None:
        closed.add(Move.ACCEPT)
    return tuple(move for move in Move if toggle.state in ALLOWED[move] and move not in closed)


def require_possible(toggle: ToggleState, move: Move) -> None:
    """Refuse a move that the toggle's state does not leave open.

    Raises:
        Refused: naming the state and what is possible in it.
    """
    if move in (open_moves := possible(toggle)):
        return
    at = f" (stage {toggle.stage})" if toggle.stage and toggle.active else ""
    why = ""
    if move is Move.STEP and toggle.state in ALLOWED[Move.STEP]:
        why = ": it is the last stage below 100, and 100 is the promotion"
    if move is Move.ASK_APPROVAL and toggle.state in ALLOWED[Move.ASK_APPROVAL]:
        why = f": the ramp goes on to stage {next_stage(toggle)} first"
    if move is Move.ROLL_BACK and toggle.state in (ToggleStatus.ROLLED_BACK, ToggleStatus.REJECTED):
        why = ": its challenger gets no traffic any more"
    if move is Move.ACCEPT and toggle.state in ALLOWED[Move.ACCEPT]:
        why = ": it is offered to nobody"
    listed = ", ".join(open_moves) or "nothing; launch a new retrain"
    raise Refused(
        f"{move} is not possible while the toggle is {toggle.state}{at}{why}", where=toggle.name, remedy=f"possible now: {listed}"
    )


def next_stage(toggle: ToggleState) -> str | None:
    """The stage that follows in the approved ramp, None after the last one below 100."""
    ramp = toggle.ramp
    if toggle.stage is None:
        return ramp[0]
    following = ramp.index(toggle.stage) + 1 if toggle.stage in ramp else len(ramp)
    return ramp[following] if following < len(ramp) else None
