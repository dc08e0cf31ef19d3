"""What people are told because it holds now and somebody has to act: an expiry near, an approval or an offer that waits, debt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.event_words import BOTH, RELEASE
from retrain_assets.automation.notifications import Urgency
from retrain_assets.contract import format_duration
from retrain_assets.home import Home
from retrain_assets.ledger import EVERY_MODEL, EvidenceStore, timestamp
from retrain_assets.release import Debt, DebtKind, ModelState, PlatformState, ToggleState, ToggleStatus
from retrain_assets.release.follow_ups import OPEN_AT_MOST
from retrain_assets.release.policy import standing_approvals
from retrain_assets.reports import words

SUGGESTED = timedelta(days=7)
"""Extension that a warning suggests, where the removal date allows it."""


def standing_alerts(state: ModelState, beyond: PlatformState, debts: Sequence[Debt], home: Home, now: datetime) -> list[Alert]:
    """The alerts about what holds now; each has the same key for as long as it is the same matter.

    Args:
        state: the model's.
        beyond: what holds for all models.
        debts: what is owed about its toggles.
        home: where its evidence is.
        now: aware.
    """
    active = state.active_toggle
    found = [] if active is None else [*_expires(active, now), *_awaits_approval(active, home, now)]
    owed = (_owed(debt) for debt in debts if debt.kind in _OWED)
    return [*found, *_offered(state), *owed, *_unanswered(beyond, now)]


def _expires(toggle: ToggleState, now: datetime) -> Iterator[Alert]:
    """The latest of the contract's warnings that is due; after an extension they come anew."""
    expires, warnings = toggle.expires_at, toggle.terms.toggle.alert_before
    due = [before for before in warnings if expires is not None and expires - before <= now < expires]
    if expires is None or not due:
        return
    spare = min(SUGGESTED, _whole_hours(toggle.remove_by - expires)) if toggle.remove_by else timedelta(0)
    extend = (
        (
            f'retrain toggle extend {toggle.name} --by {format_duration(spare)} --reason "why it needs longer"',
            f"Give it {format_duration(spare)} more",
        ),
    )
    yield Alert(
        key=f"expires:{toggle.name}:{timestamp(expires)}:{format_duration(min(due))}",
        at=expires - min(due),
        urgency=Urgency.TODAY if min(due) == min(warnings) else Urgency.THIS_WEEK,
        headline=f"toggle {toggle.name} expires in {words.lasted(timestamp(now), timestamp(expires))}",
        lines=(
            f"It is {_state(toggle)} and rolls back by itself on {words.moment(timestamp(expires))}: the champion then answers "
            "everybody, and the retrain ends without a decision of yours.",
            f"Its owner is {toggle.owner}.",
        ),
        commands=(
            (f"retrain canary {toggle.model} {toggle.retrain}", "See how far the evidence is"),
            *(extend if spare else ()),
            (f'retrain toggle rollback {toggle.name} --reason "why"', "End it now"),
        ),
        roles=BOTH,
    )


def _awaits_approval(toggle: ToggleState, home: Home, now: datetime) -> Iterator[Alert]:
    """Anew when an approval that was given does not count any more."""
    if toggle.state is not ToggleStatus.AWAITING_APPROVAL:
        return
    terms, given = toggle.terms.approval, len(standing_approvals(toggle, now))
    if given >= terms.required:
        return
    void = len(toggle.approvals) - given
    look = toggle.last_look
    lines = [
        f"{given} of {terms.required} approvals are given; approvers are {', '.join(terms.approvers)}.",
        *([f"{void} given before {'does' if void == 1 else 'do'} not count any more."] if void else []),
        *([f"Last look at the canary, {words.moment(timestamp(look.at))}: {look.reason.rstrip('.')}."] if look else []),
        "The traffic stays divided as it is until somebody decides"
        + (f", at the latest until it expires on {words.moment(timestamp(toggle.expires_at))}." if toggle.expires_at else "."),
    ]
    yield Alert(
        key=f"approval:{toggle.name}:{timestamp(toggle.status_since)}:{void}",
        at=toggle.status_since,
        urgency=Urgency.TODAY,
        headline=f"retrain {toggle.retrain} waits for approval",
        lines=tuple(lines),
        commands=(
            (f"retrain canary {toggle.model} {toggle.retrain}", "Read what was found"),
            (f'retrain approve {toggle.model} {toggle.retrain} --reason "why it may go live"', "Let it go live"),
            (f'retrain reject {toggle.model} {toggle.retrain} --reason "why not"', "Or not"),
        ),
        evidence=str(EvidenceStore(home.evidence_dir).path(look.evidence)) if look else "",
        roles=RELEASE,
    )


def _offered(state: ModelState) -> Iterator[Alert]:
    for toggle in state.toggles.values():
        if toggle.offer is None or toggle.state is ToggleStatus.RETIRED:
            continue
        offer = toggle.offer
        yield Alert(
            key=f"offer:{toggle.name}:{offer.sequence}",
            at=offer.at,
            urgency=Urgency.THIS_WEEK,
            headline=f"toggle {toggle.name} is offered to {offer.owner}",
            lines=(f"{offer.by} offers it: {offer.reason.rstrip('.')}.", f"Until it is accepted it stays {toggle.owner}'s."),
            commands=((f'retrain toggle accept {toggle.name} --reason "why you take it"', f"Accept it, by {offer.owner}"),),
            roles=RELEASE,
        )


def _unanswered(beyond: PlatformState, now: datetime) -> Iterator[Alert]:
    """Follow-ups of all models that stay open; a model's own are its debt."""
    for one in beyond.follow_ups.values():
        if one.model != EVERY_MODEL or one.closed is not None or one.opened_at + OPEN_AT_MOST > now:
            continue
        yield Alert(
            key=f"follow-up:{one.number}",
            at=one.opened_at + OPEN_AT_MOST,
            urgency=Urgency.THIS_WEEK,
            headline=f"follow-up {one.number} is open since {words.day(timestamp(one.opened_at))}: {one.what}",
            lines=(f"Nobody has said what the cause was. {words.sentence(one.sentence).rstrip('.')}.",),
            commands=((one.command, "Say what the cause was, and what was changed"),),
            shared=True,
            roles=RELEASE,
        )


def _owed(debt: Debt) -> Alert:
    return Alert(
        key=f"debt:{debt.kind}:{debt.toggle}:{timestamp(debt.since)}",
        at=debt.since,
        urgency=_OWED[debt.kind],
        headline=f"toggle {debt.toggle}: {debt.message}",
        lines=(f"It counts as debt since {words.moment(timestamp(debt.since))}.",),
        commands=tuple(_steps(debt)),
        roles=RELEASE,
    )


def _steps(debt: Debt) -> Iterator[tuple[str, str]]:
    """The commands one by one, who types it or what else there is beside each."""
    for number, way in enumerate(debt.ways):
        for step, command in enumerate(way.commands):
            what = "Then" if step else "Or" if number else "Settle it"
            yield command, f"{what}, by {way.by}" if way.by and not step else what


_OWED: Mapping[DebtKind, Urgency] = {
    DebtKind.OWNER_LEFT: Urgency.TODAY,
    DebtKind.PAST_REMOVAL: Urgency.THIS_WEEK,
    DebtKind.REVIEW_OVERDUE: Urgency.THIS_WEEK,
    DebtKind.HELD: Urgency.THIS_WEEK,
    DebtKind.OFFER_PENDING: Urgency.THIS_WEEK,
    DebtKind.FOLLOW_UP_OPEN: Urgency.THIS_WEEK,
    DebtKind.PROMOTED_KEPT: Urgency.TO_KNOW,
    DebtKind.ENDED_KEPT: Urgency.TO_KNOW,
}
"""By when a debt has to be settled. An expiry that could not be carried out is told as upkeep that failed."""


def _whole_hours(period: timedelta) -> timedelta:
    return timedelta(hours=period // timedelta(hours=1))


def _state(toggle: ToggleState) -> str:
    stage = "" if toggle.stage is None else " in shadow" if toggle.stage == "shadow" else f" at {words.stage(toggle.stage)}"
    return f"{words.words(toggle.state.value)}{stage}".replace("shadow in shadow", "in shadow")
