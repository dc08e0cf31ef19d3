"""What waits for a person, each with the commands that settle it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from retrain_assets.release.commands import command_of
from retrain_assets.release.debt import Way, toggle_debt
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.policy import expired, standing_approvals, toggle_brakes
from retrain_assets.release.questions import overrides_view
from retrain_assets.release.state import ModelState, ToggleState
from retrain_assets.release.toggle import Move


@dataclass(frozen=True, slots=True)
class Due:
    """One thing that waits for a person.

    Args:
        what: one sentence.
        ways: what settles it; any one of them does.
    """

    what: str
    ways: tuple[Way, ...] = ()

    @property
    def line(self) -> str:
        """All of it in one line."""
        return "; ".join([self.what, *([" or: ".join(way.line for way in self.ways)] if self.ways else [])])


def due_of(state: ModelState, platform: PlatformState, now: datetime) -> list[Due]:
    """Approvals that are awaited, overrides that one of two signed, then toggle debt."""
    active = state.active_toggle
    awaited = [_approval(active, platform, now)] if active is not None and active.state == "awaiting_approval" else []
    return [
        *awaited,
        *_overrides(state, now),
        *(Due(f"{debt.toggle}: {debt.message}", debt.ways) for debt in toggle_debt(state, platform, now)),
    ]


def _overrides(state: ModelState, now: datetime) -> list[Due]:
    signed = [(retrain.key, one) for retrain in state.retrains.values() for one in overrides_view(retrain, now)]
    waiting = []
    for key, one in signed:
        if not one["in_force"]:
            names = " and ".join(word["by"] for word in one["signed"])
            command = f'retrain override {state.model} {key} --check {one["check"]} --reason "why"'
            what = (
                f"the override of {one['check']} of {key}, which {names} signed, waits for a second approver ({one['message']})"
            )
            waiting.append(Due(what, (Way((command,), f"an approver other than {names}"),)))
    return waiting


def promotion_waits(toggle: ToggleState, platform: PlatformState, now: datetime) -> str:
    """What becomes of a toggle with enough approvals."""
    if expired(toggle, now):
        return "it expired and is rolled back at the next tick"
    stopped = [brake.message for brake in toggle_brakes(toggle, Move.PROMOTE, now, platform)]
    if stopped:
        return f"it is not promoted while {'; '.join(stopped)}"
    return "the decision job promotes at its next tick"


def _approval(toggle: ToggleState, platform: PlatformState, now: datetime) -> Due:
    terms, standing = toggle.terms.approval, standing_approvals(toggle, now)
    given = ", ".join(item.approver for item in standing) or "none yet"
    counted = {item.approver for item in standing}
    if lapsed := sorted({item.approver for item in toggle.approvals} - counted):
        given += f"; no longer counted, as it lapsed or an approval holds for the look it was given on: {', '.join(lapsed)}"
    if len(standing) >= terms.required:
        return Due(f"{toggle.name} is approved (given: {given}); {promotion_waits(toggle, platform, now)}")
    who = " or ".join(terms.approvers)
    ways = [
        Way((command,), who)
        for move in (Move.APPROVE, Move.REJECT)
        if not toggle_brakes(toggle, move, now, platform) and (command := command_of(toggle, move)) is not None
    ]
    return Due(f"{toggle.name} waits for approval: {terms.required} of {who} (given: {given})", tuple(ways))
