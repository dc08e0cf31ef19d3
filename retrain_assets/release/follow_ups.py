"""Follow-ups: what an emergency leaves open until a person says what its cause was and what was changed. Pure.

They are read off the ledger's events and never written: a person's rollback, a kill switch, an override that came into force, and
every order that nobody signed though the contract names keys. The number of one is its event's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from retrain_assets.contract import Refused
from retrain_assets.contract.approval import folded
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind, named

if TYPE_CHECKING:
    from retrain_assets.release.drafts import Drafts
    from retrain_assets.release.platform import PlatformState
    from retrain_assets.release.state import ModelState

OPEN_AT_MOST = timedelta(days=7)
"""How long a follow-up may stay open before that counts as debt. It is shown from the first minute."""


FOLLOWED_KINDS = frozenset(
    {
        EventKind.KILL_SWITCH_ENGAGED,
        EventKind.ROLLED_BACK,
        EventKind.TOGGLE_HELD,
        EventKind.OVERRIDE_SIGNED,
        EventKind.FOLLOW_UP_CLOSED,
    }
)
"""Events that may open or close one."""


class FollowUpKind(StrEnum):
    """What opened it."""

    ROLLBACK = "rollback"
    """A person rolled back."""
    HOLD = "hold"
    """A person held a ramp without signing."""
    KILL_SWITCH = "kill_switch"
    """A kill switch was engaged."""
    OVERRIDE = "override"
    """Two approvers let a check count as open that did not pass."""


@dataclass(frozen=True, slots=True)
class Closed:
    """How a follow-up was closed.

    Args:
        at: when (clock time).
        by: the actor as text.
        finding: what the cause was, and what was changed.
        sequence: the ledger event.
    """

    at: datetime
    by: str
    finding: str
    sequence: int


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Something that was done in an emergency, and that somebody has to look into.

    Args:
        number: the ledger event that opened it.
        kind: what was done.
        model: the model; ``*`` for all models.
        retrain: the retrain, if it is about one.
        toggle: the toggle, if it is about one.
        opened_at: when (clock time).
        by: who, the actors as text; of an override both.
        what: what was done, in a few words.
        reason: why.
        unsigned: why nothing vouches for it; empty where a signature or a token does, or none was asked for.
        vouched: the key that signed it, or the token it came with; empty where people are named only.
        closed: how it was closed; None while it is open.
    """

    number: int
    kind: FollowUpKind
    model: str
    retrain: str | None
    toggle: str | None
    opened_at: datetime
    by: tuple[str, ...]
    what: str
    reason: str
    unsigned: str = ""
    vouched: str = ""
    closed: Closed | None = None

    @property
    def scope(self) -> str:
        """Whom it concerns, in words."""
        return "all models" if self.model == EVERY_MODEL else self.model

    @property
    def command(self) -> str:
        """What closes it."""
        return f'retrain follow-up close {self.number} --reason "what the cause was, and what was changed"'

    @property
    def closed_by(self) -> str:
        """Who may close it, where not everybody may; empty: any person."""
        signers = " and ".join(map(named, self.by))
        return f"anybody but {signers}" if self.kind is FollowUpKind.OVERRIDE else ""

    @property
    def sentence(self) -> str:
        """What was done, by whom and why: one sentence without a full stop."""
        unsigned = f" UNSIGNED ({self.unsigned})" if self.unsigned else ""
        return f"{self.what} by {' and '.join(map(named, self.by))}{unsigned}: {self.reason}"


def follow_ups(state: ModelState, platform: PlatformState) -> tuple[FollowUp, ...]:
    """The open follow-ups that concern a model, those of all models included, the oldest first."""
    return tuple(one for one in platform.follow_ups.values() if one.closed is None and one.model in (EVERY_MODEL, state.model))


def follow_ups_after(known: Mapping[int, FollowUp], event: Event) -> Mapping[int, FollowUp]:
    """All follow-ups, open and closed, by number, after one more event."""
    if event.kind is EventKind.FOLLOW_UP_CLOSED:
        number = event.payload["number"]
        closed = Closed(event.at, str(event.actor), event.payload["finding"], event.sequence)
        return {**known, number: replace(known[number], closed=closed)} if number in known else known
    opened = _opened(event)
    return {**known, opened.number: opened} if opened is not None else known


def close(drafts: Drafts, number: int) -> FollowUp:
    """A person says what was found; the reason of the drafts is the finding.

    Raises:
        Refused: for anyone but a person, for a follow-up that is not there or closed, and of an override for those who signed it.
    """
    if not drafts.actor.is_person:
        raise Refused(f"closing a follow-up is for a person, not for {named(drafts.actor)}", remedy="have a person look into it")
    found = open_follow_up(drafts.platform, number)
    if found.kind is FollowUpKind.OVERRIDE and folded([str(drafts.actor)]) & folded(found.by):
        raise Refused(
            f"{drafts.actor.name} signed this override",
            where=f"follow-up {number}",
            remedy="have somebody close it who did not sign",
        )
    drafts.add(
        EventKind.FOLLOW_UP_CLOSED,
        found.retrain,
        {"number": number, "finding": drafts.reason, "kind": str(found.kind)},
        toggle=found.toggle,
    )
    return found


def open_follow_up(platform: PlatformState, number: int) -> FollowUp:
    """An open follow-up by its number.

    Raises:
        Refused: when there is none of that number, or it is closed.
    """
    found = platform.follow_ups.get(number)
    if found is None:
        still = ", ".join(str(one.number) for one in platform.follow_ups.values() if one.closed is None) or "none"
        raise Refused(f"there is no follow-up {number}", remedy=f"open: {still}; retrain follow-up list shows them")
    if found.closed is not None:
        raise Refused(
            f"it was closed already by {named(found.closed.by)} on {found.closed.at:%Y-%m-%d}: {found.closed.finding}",
            where=f"follow-up {number}",
        )
    return found


def follow_up_view(one: FollowUp, now: datetime) -> dict[str, Any]:
    """One follow-up as JSON-able values."""
    return {
        "number": one.number,
        "kind": str(one.kind),
        "model": None if one.model == EVERY_MODEL else one.model,
        "retrain": one.retrain,
        "toggle": one.toggle,
        "opened_at": one.opened_at.isoformat(),
        "days": (now - one.opened_at).days,
        "by": list(one.by),
        "what": one.what,
        "reason": one.reason,
        "unsigned": one.unsigned or None,
        "vouched": one.vouched or None,
        "closed": {"at": one.closed.at.isoformat(), "by": one.closed.by, "finding": one.closed.finding} if one.closed else None,
        "command": one.command if one.closed is None else None,
        "closed_by": one.closed_by or None,
    }


def _opened(event: Event) -> FollowUp | None:
    """The follow-up an event opens, if it opens one."""
    payload, unsigned = event.payload, str(event.payload.get("unsigned", ""))
    by: tuple[str, ...] = (str(event.actor),)
    if event.kind is EventKind.KILL_SWITCH_ENGAGED:
        kind = FollowUpKind.KILL_SWITCH
        what = f"kill switch of {'all models' if event.model == EVERY_MODEL else event.model} engaged"
    elif event.kind is EventKind.ROLLED_BACK and event.actor.is_person and payload.get("cause") == "person":
        kind, what = FollowUpKind.ROLLBACK, f"{event.toggle} rolled back"
        if payload.get("from") == "promoted":
            what += f" after its promotion, version {payload['restored']['version']} restored"
    elif event.kind is EventKind.TOGGLE_HELD and unsigned:
        kind, what = FollowUpKind.HOLD, f"{event.toggle} held"
    elif event.kind is EventKind.OVERRIDE_SIGNED and payload.get("in_force"):
        kind, what = FollowUpKind.OVERRIDE, f"{payload['gate']}.{payload['check']} of {event.retrain} overridden"
        by = tuple(f"person:{name}" for name in payload["signers"])
    else:
        return None
    return FollowUp(
        number=event.sequence,
        kind=kind,
        model=event.model,
        retrain=event.retrain,
        toggle=event.toggle,
        opened_at=event.at,
        by=by,
        what=what,
        reason=event.reason,
        unsigned=unsigned,
        vouched=_vouched(payload),
    )


def _vouched(payload: Mapping[str, Any]) -> str:
    token = (payload.get("credential") or {}).get("token")
    return f"token {token}" if token else str((payload.get("signed") or {}).get("key", ""))
