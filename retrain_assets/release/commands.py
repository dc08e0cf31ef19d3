"""What a person types to make a move, or to end what stops one: ready to be copied but for the reason and an owner's name."""

from __future__ import annotations

from collections.abc import Mapping

from retrain_assets.ledger import EVERY_MODEL
from retrain_assets.release.platform import DeclaredFreeze, KillSwitch
from retrain_assets.release.state import ToggleState
from retrain_assets.release.toggle import Move

_COMMANDS: Mapping[Move, str] = {
    Move.STEP: "toggle step {toggle}",
    Move.HOLD: "toggle hold {toggle}",
    Move.RESUME: "toggle resume {toggle}",
    Move.EXTEND: "toggle extend {toggle} --by 7d",
    Move.TRANSFER: "toggle transfer {toggle} --to OWNER",
    Move.ACCEPT: "toggle accept {toggle}",
    Move.REVIEW: "toggle review {toggle}",
    Move.APPROVE: "approve {model} {retrain}",
    Move.ROLL_BACK: "toggle rollback {toggle}",
    Move.REJECT: "reject {model} {retrain}",
    Move.RETIRE: "toggle retire {toggle}",
}
"""The others are made by a job: arming and the request for approval by the canary's, promoting by the decision's."""


def command_of(toggle: ToggleState, move: Move) -> str | None:
    """The command that makes a move; None where a job makes it."""
    if move not in _COMMANDS:
        return None
    return _typed(_COMMANDS[move].format(toggle=toggle.name, model=toggle.model, retrain=toggle.retrain))


def release_of(switch: KillSwitch) -> str:
    """The command that releases a kill switch."""
    return _typed(f"kill --release {'--all' if switch.model == EVERY_MODEL else switch.model}")


def lift_of(freeze: DeclaredFreeze) -> str:
    """The command that takes a declared freeze back."""
    return _typed(f"freeze lift {freeze.number}")


def _typed(words: str) -> str:
    return f'retrain {words} --reason "why"'
