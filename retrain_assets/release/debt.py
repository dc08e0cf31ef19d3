"""Toggle debt: what was left lying around, since when, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from retrain_assets.contract import format_duration
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.policy import expired
from retrain_assets.release.state import ModelState, ToggleState, ToggleStatus

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


@dataclass(frozen=True, slots=True)
class Debt:
    """One thing owed about one toggle.

    Args:
        toggle: its name.
        kind: what is owed.
        since: from when on it counts as debt.
        days: whole days since then.
        message: one sentence.
        remedy: the command that settles it.
    """

    toggle: str
    kind: DebtKind
    since: datetime
    days: int
    message: str
    remedy: str


def toggle_debt(state: ModelState, platform: PlatformState, now: datetime) -> tuple[Debt, ...]:
    """What is owed about the toggles of a model that are not retired, the oldest debt first.

    Args:
        state: the model's.
        platform: for owners who left.
        now: aware.
    """
    found = [debt for toggle in state.toggles.values() for debt in debt_of(toggle, platform, now)]
    return tuple(sorted(found, key=lambda debt: debt.since))


def debt_of(toggle: ToggleState, platform: PlatformState, now: datetime) -> tuple[Debt, ...]:
    """What is owed about one toggle, see :func:`toggle_debt`; nothing about a retired one."""
    if toggle.state is ToggleStatus.RETIRED:
        return ()
    owed = [*_about_dates(toggle, now), *_about_owner(toggle, platform)]
    return tuple(
        Debt(toggle.name, kind, since, (now - since).days, message, remedy)
        for kind, since, message, remedy in owed
        if since <= now
    )


def review_due(toggle: ToggleState) -> datetime | None:
    """When a person has to say again that the toggle is still needed; None for one that ended otherwise than promoted.

    Counted from arming, or from the promotion, or from the last review, whichever was last.
    """
    if toggle.armed_at is None or not (toggle.active or toggle.state is ToggleStatus.PROMOTED):
        return None
    began = toggle.armed_at if toggle.active else toggle.status_since
    return max(began, toggle.reviewed_at or began) + toggle.terms.toggle.review_every


_Owed = tuple[DebtKind, datetime, str, str]


def _about_dates(toggle: ToggleState, now: datetime) -> Iterator[_Owed]:
    """Of several dates that passed the gravest counts."""
    name, reason = toggle.name, '--reason "why"'
    if toggle.expires_at is not None and expired(toggle, now):
        yield (
            DebtKind.EXPIRED,
            toggle.expires_at,
            f"it expired on {_day(toggle.expires_at)} and is not rolled back yet",
            f"retrain toggle rollback {name} {reason}",
        )
    elif toggle.remove_by is not None and now >= toggle.remove_by:
        yield (
            DebtKind.PAST_REMOVAL,
            toggle.remove_by,
            f"it was to be gone by {_day(toggle.remove_by)} and is {toggle.state.value.replace('_', ' ')}",
            _way_out(toggle),
        )
    elif toggle.state in (ToggleStatus.ROLLED_BACK, ToggleStatus.REJECTED):
        ended = toggle.state.value.replace("_", " ")
        yield (
            DebtKind.ENDED_KEPT,
            toggle.status_since + ENDED_AT_MOST,
            f"it was {ended} on {_day(toggle.status_since)} and is not retired",
            _way_out(toggle),
        )
    elif (due := review_due(toggle)) is not None:
        yield _review(toggle, due)
    if toggle.state is ToggleStatus.HELD:
        since = toggle.status_since + HELD_AT_MOST
        message = f"it is held since {_day(toggle.status_since)}, longer than {format_duration(HELD_AT_MOST)}"
        yield DebtKind.HELD, since, message, f"retrain toggle resume {name} {reason}, or roll it back"


def _review(toggle: ToggleState, due: datetime) -> _Owed:
    again = f'retrain toggle review {toggle.name} --reason "why it is still needed"'
    if toggle.state is ToggleStatus.PROMOTED:
        kept = (
            f"it was promoted on {_day(toggle.status_since)} and keeps version {toggle.previous_champion.version}, the way back"
        )
        return DebtKind.PROMOTED_KEPT, due, kept, f"{_way_out(toggle)}; {again}"
    said = f"the last time on {_day(toggle.reviewed_at)}" if toggle.reviewed_at else "since it was armed"
    every = format_duration(toggle.terms.toggle.review_every)
    message = f"nobody has said for more than {every} that it is still needed ({said})"
    return DebtKind.REVIEW_OVERDUE, due, message, again


def _about_owner(toggle: ToggleState, platform: PlatformState) -> Iterator[_Owed]:
    needs_one = toggle.active or toggle.state is ToggleStatus.PROMOTED
    if needs_one and (gone := platform.left(toggle.owner)) is not None:
        yield (
            DebtKind.OWNER_LEFT,
            gone.since,
            f"its owner {toggle.owner} left on {_day(gone.since)} ({gone.reason})",
            f'retrain toggle transfer {toggle.name} --to OWNER --reason "why", by an approver',
        )
    if needs_one and (offer := toggle.offer) is not None:
        yield (
            DebtKind.OFFER_PENDING,
            offer.at + OFFERED_AT_MOST,
            f"{offer.by} offered it to {offer.owner} on {_day(offer.at)}, and it is not accepted",
            f'retrain toggle accept {toggle.name} --reason "why", by {offer.owner}',
        )


def _way_out(toggle: ToggleState) -> str:
    """How a toggle that ended is closed; a rolled back one is rejected first."""
    if toggle.state is ToggleStatus.ROLLED_BACK:
        return f'retrain reject {toggle.model} {toggle.retrain} --reason "why", then retrain toggle retire {toggle.name}'
    return f'retrain toggle retire {toggle.name} --reason "why"'


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}" if moment else "an unknown day"
