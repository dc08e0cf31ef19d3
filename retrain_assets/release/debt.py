"""Toggle debt: what was left lying around, since when, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from retrain_assets.contract import format_duration
from retrain_assets.release.commands import command_of
from retrain_assets.release.follow_ups import OPEN_AT_MOST, FollowUp, follow_ups
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.policy import expired
from retrain_assets.release.state import ModelState, ToggleState, ToggleStatus
from retrain_assets.release.toggle import Move

HELD_AT_MOST = timedelta(days=7)
"""How long a toggle may be held before that counts as debt."""
OFFERED_AT_MOST = timedelta(days=3)
"""How long the receiving side may take to accept an offer."""
ENDED_AT_MOST = timedelta(days=7)
"""How long a rolled back or rejected toggle may stay unretired."""


class DebtKind(StrEnum):
    """What is owed."""

    EXPIRED = "expired"
    """Past its expiry and not rolled back yet."""
    PAST_REMOVAL = "past_removal"
    """Past its planned removal and not retired."""
    OWNER_LEFT = "owner_left"
    """Nobody answers for it."""
    REVIEW_OVERDUE = "review_overdue"
    """Nobody has said for too long that it is still needed."""
    HELD = "held"
    """Held for too long."""
    OFFER_PENDING = "offer_pending"
    """Offered to another owner who does not accept."""
    PROMOTED_KEPT = "promoted_kept"
    """Promoted and not retired: the previous champion is still kept for a rollback."""
    ENDED_KEPT = "ended_kept"
    """Rolled back or rejected and not retired."""
    FOLLOW_UP_OPEN = "follow_up_open"
    """An emergency whose cause nobody has named."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to settle a debt.

    Args:
        commands: what to type, one after the other; the reason and an OWNER are to be filled in.
        by: who has to type it; empty: any person.
    """

    commands: tuple[str, ...]
    by: str = ""

    @property
    def line(self) -> str:
        """As a shell takes it; who has to type it stands behind it as a comment."""
        return " && ".join(self.commands) + (f"  # by {self.by}" if self.by else "")


@dataclass(frozen=True, slots=True)
class Debt:
    """One thing owed about one toggle.

    Args:
        toggle: its name; of a follow-up that is about none, the retrain's or the model's.
        kind: what is owed.
        since: from when on it counts as debt.
        days: whole days since then.
        message: one sentence.
        ways: what settles it; any one of them does.
    """

    toggle: str
    kind: DebtKind
    since: datetime
    days: int
    message: str
    ways: tuple[Way, ...]

    @property
    def remedy(self) -> str:
        """Every way, in one line; typed as a whole it is refused and does nothing."""
        return " or: ".join(way.line for way in self.ways)


def toggle_debt(state: ModelState, platform: PlatformState, now: datetime) -> tuple[Debt, ...]:
    """What is owed about the toggles of a model that are not retired, and about its emergencies, the oldest debt first.

    A follow-up of all models is owed once, not by every model.

    Args:
        state: the model's.
        platform: for owners who left, and follow-ups.
        now: aware.
    """
    found = [debt for toggle in state.toggles.values() for debt in debt_of(toggle, platform, now)]
    found += [_unanswered(one, now) for one in follow_ups(state, platform) if one.model == state.model and _overdue(one, now)]
    return tuple(sorted(found, key=lambda debt: debt.since))


def debt_of(toggle: ToggleState, platform: PlatformState, now: datetime) -> tuple[Debt, ...]:
    """What is owed about one toggle, see :func:`toggle_debt`; nothing about a retired one."""
    if toggle.state is ToggleStatus.RETIRED:
        return ()
    owed = [*_about_dates(toggle, now), *_about_owner(toggle, platform)]
    return tuple(
        Debt(toggle.name, kind, since, (now - since).days, message, ways) for kind, since, message, ways in owed if since <= now
    )


def review_due(toggle: ToggleState) -> datetime | None:
    """When a person has to say again that the toggle is still needed; None for one that ended otherwise than promoted.

    Counted from arming, or from the promotion, or from the last review, whichever was last.
    """
    if toggle.armed_at is None or not (toggle.active or toggle.state is ToggleStatus.PROMOTED):
        return None
    began = toggle.armed_at if toggle.active else toggle.status_since
    return max(began, toggle.reviewed_at or began) + toggle.terms.toggle.review_every


_Owed = tuple[DebtKind, datetime, str, tuple[Way, ...]]


def _about_dates(toggle: ToggleState, now: datetime) -> Iterator[_Owed]:
    """Of several dates that passed the gravest counts."""
    if toggle.expires_at is not None and expired(toggle, now):
        message = f"it expired on {_day(toggle.expires_at)} and is not rolled back yet"
        yield DebtKind.EXPIRED, toggle.expires_at, message, (_way(toggle, Move.ROLL_BACK),)
    elif toggle.remove_by is not None and now >= toggle.remove_by:
        message = f"it was to be gone by {_day(toggle.remove_by)} and is {toggle.state.value.replace('_', ' ')}"
        yield DebtKind.PAST_REMOVAL, toggle.remove_by, message, (_way_out(toggle),)
    elif toggle.state in (ToggleStatus.ROLLED_BACK, ToggleStatus.REJECTED):
        message = f"it was {toggle.state.value.replace('_', ' ')} on {_day(toggle.status_since)} and is not retired"
        yield DebtKind.ENDED_KEPT, toggle.status_since + ENDED_AT_MOST, message, (_way_out(toggle),)
    elif (due := review_due(toggle)) is not None:
        yield _review(toggle, due)
    if toggle.state is ToggleStatus.HELD:
        message = f"it is held since {_day(toggle.status_since)}, longer than {format_duration(HELD_AT_MOST)}"
        ways = (_way(toggle, Move.RESUME), _way(toggle, Move.ROLL_BACK))
        yield DebtKind.HELD, toggle.status_since + HELD_AT_MOST, message, ways


def _review(toggle: ToggleState, due: datetime) -> _Owed:
    again = _way(toggle, Move.REVIEW)
    if toggle.state is ToggleStatus.PROMOTED:
        kept = (
            f"it was promoted on {_day(toggle.status_since)} and keeps version {toggle.previous_champion.version}, the way back"
        )
        return DebtKind.PROMOTED_KEPT, due, kept, (_way_out(toggle), again)
    said = f"the last time on {_day(toggle.reviewed_at)}" if toggle.reviewed_at else "since it was armed"
    every = format_duration(toggle.terms.toggle.review_every)
    message = f"nobody has said for more than {every} that it is still needed ({said})"
    return DebtKind.REVIEW_OVERDUE, due, message, (again,)


def _about_owner(toggle: ToggleState, platform: PlatformState) -> Iterator[_Owed]:
    if not (toggle.active or toggle.state is ToggleStatus.PROMOTED):
        return
    if (gone := platform.left(toggle.owner)) is not None:
        message = f"its owner {toggle.owner} left on {_day(gone.since)} ({gone.reason})"
        yield DebtKind.OWNER_LEFT, gone.since, message, (_way(toggle, Move.TRANSFER, by=_approvers(toggle)),)
    if (offer := toggle.offer) is not None:
        message = f"{offer.by} offered it to {offer.owner} on {_day(offer.at)}, and it is not accepted"
        other = f", other than {offer.by}" if offer.owner.startswith("team:") else ""
        yield DebtKind.OFFER_PENDING, offer.at + OFFERED_AT_MOST, message, (_way(toggle, Move.ACCEPT, by=offer.owner + other),)


def _overdue(one: FollowUp, now: datetime) -> bool:
    return one.opened_at + OPEN_AT_MOST <= now


def _unanswered(one: FollowUp, now: datetime) -> Debt:
    since = one.opened_at + OPEN_AT_MOST
    about = one.toggle or (f"{one.model}-{one.retrain}" if one.retrain else one.model)
    message = (
        f"follow-up {one.number} is open since {_day(one.opened_at)}, and nobody has said what the cause was: {one.sentence}"
    )
    return Debt(about, DebtKind.FOLLOW_UP_OPEN, since, (now - since).days, message, (Way((one.command,), one.closed_by),))


def _way(toggle: ToggleState, *moves: Move, by: str = "") -> Way:
    return Way(tuple(command for move in moves if (command := command_of(toggle, move)) is not None), by)


def _way_out(toggle: ToggleState) -> Way:
    """How a toggle that ended is closed; a rolled back one is rejected first."""
    if toggle.state is ToggleStatus.ROLLED_BACK:
        return _way(toggle, Move.REJECT, Move.RETIRE, by=_approvers(toggle))
    return _way(toggle, Move.RETIRE)


def _approvers(toggle: ToggleState) -> str:
    return " or ".join(toggle.terms.approval.approvers)


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}" if moment else "an unknown day"
