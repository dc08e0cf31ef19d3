"""What stops a release besides its own verdicts: an engaged kill switch, a change freeze, an owner who left. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from retrain_assets.contract import Contract, Refused
from retrain_assets.ledger import EVERY_MODEL
from retrain_assets.release.commands import lift_of, release_of
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.toggle import Move


class BrakeKind(StrEnum):
    """What stops a move."""

    KILL_SWITCH = "kill_switch"
    FREEZE = "freeze"
    OWNER_LEFT = "owner_left"


@dataclass(frozen=True, slots=True)
class Brake:
    """One thing that stops a move, in words, and what ends it."""

    kind: BrakeKind
    message: str
    remedy: str


STOPPED: dict[BrakeKind, frozenset[Move]] = {
    BrakeKind.KILL_SWITCH: frozenset({Move.ARM, Move.STEP, Move.RESUME, Move.ASK_APPROVAL, Move.PROMOTE}),
    BrakeKind.FREEZE: frozenset({Move.ARM, Move.STEP, Move.RESUME, Move.EXTEND, Move.PROMOTE}),
    BrakeKind.OWNER_LEFT: frozenset({Move.ARM, Move.STEP, Move.ASK_APPROVAL, Move.PROMOTE}),
}
"""The moves each brake stops, whoever makes them. Holding and rolling back are in none of them."""


def brakes(platform: PlatformState, terms: Contract, move: Move, now: datetime, *, toggle: str | None, owner: str) -> list[Brake]:
    """Everything that stops a move now; empty when nothing does.

    Args:
        platform: kill switches, declared freezes and owners who left.
        terms: the contract that counts: a toggle's frozen one, before arming the present one.
        move: what is to be done.
        now: aware.
        toggle: the toggle's name; None before arming.
        owner: who answers for the toggle, or will.
    """
    found: list[Brake] = []
    if (switch := platform.kill_switch(terms.model)) is not None and move in STOPPED[BrakeKind.KILL_SWITCH]:
        found.append(
            Brake(
                BrakeKind.KILL_SWITCH,
                f"the kill switch of {switch.scope} is engaged since {switch.engaged_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC "
                f"({switch.reason})",
                f"when its cause is gone: {release_of(switch)}",
            )
        )
    if move in STOPPED[BrakeKind.FREEZE] and (frozen := freeze_in_force(platform, terms, now)) is not None:
        found.append(frozen)
    if (gone := platform.left(owner)) is not None and move in STOPPED[BrakeKind.OWNER_LEFT]:
        found.append(
            Brake(
                BrakeKind.OWNER_LEFT,
                f"its owner {owner} left on {gone.since.astimezone(UTC):%Y-%m-%d} ({gone.reason})",
                f'an approver offers it to somebody: retrain toggle transfer {toggle} --to OWNER --reason "why"'
                if toggle
                else "name another toggle.owner in the contract",
            )
        )
    return found


def freeze_in_force(platform: PlatformState, terms: Contract, now: datetime) -> Brake | None:
    """The change freezes of now as one brake, the contract's own and declared ones; None when there is none."""
    today = now.astimezone(UTC).date()
    freezes = platform.cadence(terms).freezes_at(now)
    if not freezes:
        return None
    why, over = "; ".join(one.reason for one in freezes), max(one.end for one in freezes)
    declared = [lift_of(one) for one in platform.freezes_in_force(now) if one.model in (EVERY_MODEL, terms.model)]
    ways = (f"wait until {over} is over", *([" && ".join(declared)] if len(declared) == len(freezes) else []))
    return Brake(BrakeKind.FREEZE, f"{today} is in a change freeze ({why})", ", or: ".join(ways))


def require_free(found: list[Brake], move: Move, where: str) -> None:
    """Refuse a move that something stops.

    Raises:
        Refused: naming all that stops it and what ends each.
    """
    if found:
        raise Refused(
            f"{move} is stopped: {'; '.join(brake.message for brake in found)}",
            where=where,
            remedy="; ".join(brake.remedy for brake in found),
        )
