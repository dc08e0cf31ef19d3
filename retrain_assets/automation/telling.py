"""Telling: from the alerts that are due and what was told before to messages sent, and to what is told next time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from retrain_assets.automation.alerts import Alert, message_of
from retrain_assets.automation.notifications import Message, Recipient, send
from retrain_assets.automation.outbox import EVENT, TRIES, Outbox, Waiting
from retrain_assets.automation.shared_alerts import claimed
from retrain_assets.home import Home


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it.

    Args:
        outbox: where telling stands now.
        sent: who was told what, one line each.
        failed: what was not taken and is tried again, one line each.
        given_up: what nobody will be told any more, one line each.
    """

    outbox: Outbox
    sent: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Letters:
    """What is to be sent about one model, before it is sent.

    Args:
        before: where telling stood.
        after: where it stands once everything is taken.
        waiting: by recipient what it has not taken, those who get nothing now included.
        messages: what is sent now.
    """

    before: Outbox
    after: Outbox
    waiting: Mapping[str, Waiting]
    messages: Mapping[Recipient, Message]

    def told(self, faults: Mapping[Recipient, str | None], now: datetime) -> Told:
        """What came of it, by what kept each message from being taken."""
        messages = self.messages
        left = {one.key: Waiting() if fault is None else self.waiting[one.key].failed(now) for one, fault in faults.items()}
        waiting = {**self.waiting, **left}
        return Told(
            replace(self.after, waiting=waiting),
            sent=tuple(f"{one.name} was told: {messages[one].title}" for one, fault in faults.items() if fault is None),
            failed=tuple(_again(fault, waiting[one.key]) for one, fault in faults.items() if fault and waiting[one.key].keys),
            given_up=tuple(_lost(fault, messages, one) for one, fault in faults.items() if fault and not waiting[one.key].keys),
        )


def letters_of(
    model: str, home: Home, outbox: Outbox, alerts: Sequence[Alert], recipients: Sequence[Recipient], until: int, now: datetime
) -> Letters:
    """What everybody is to be told: what is new to them, in one message each, and what they have not taken before.

    Args:
        model: whose alerts they are.
        home: the home; it says who tells what concerns all models.
        outbox: where telling stands.
        alerts: all that is due, those that wait included.
        recipients: who is told.
        until: the last ledger event that was considered.
        now: aware.
    """
    known = {alert.key: alert for alert in alerts}
    events = [key for key in known if key.startswith(EVENT)]
    standing = [key for key in known if not key.startswith(EVENT)]
    after = outbox.taken_up(events, standing, [recipient.key for recipient in recipients], until)
    waiting = {one.key: _own(model, home, outbox, after.waiting[one.key], one, known) for one in recipients}
    due = {one: waiting[one.key] for one in recipients if waiting[one.key].due(now)}
    return Letters(outbox, after, waiting, {one: message_of(model, [known[key] for key in due[one].keys]) for one in due})


def tell(letters: Mapping[str, Letters], now: datetime) -> dict[str, Told]:
    """Send what is to be told of some models, all at once, so that a service that does not answer keeps nobody else waiting."""
    errands = [(model, one, message) for model, found in letters.items() for one, message in found.messages.items()]
    faults = send([(one, message) for _, one, message in errands])
    came: dict[str, dict[Recipient, str | None]] = {model: {} for model in letters}
    for (model, one, _), fault in zip(errands, faults, strict=True):
        came[model][one] = fault
    return {model: found.told(came[model], now) for model, found in letters.items()}


def _own(model: str, home: Home, before: Outbox, after: Waiting, recipient: Recipient, alerts: Mapping[str, Alert]) -> Waiting:
    """What concerns the recipient's roles, without what concerns all models and another model's sensor tells it."""
    old = before.waiting.get(recipient.key, Waiting()).keys
    keys = tuple(
        key
        for key in after.keys
        if alerts[key].roles & recipient.roles
        and (not alerts[key].shared or key in old or claimed(home, recipient.key, key, model))
    )
    return replace(after, keys=keys) if keys else Waiting()


def _again(fault: str, waiting: Waiting) -> str:
    when = f"{waiting.again_at:%H:%M}" if waiting.again_at else "at once"
    return f"{fault}; try {waiting.tries} of {TRIES}, again from {when} UTC"


def _lost(fault: str, messages: Mapping[Recipient, Message], recipient: Recipient) -> str:
    return f"given up after {TRIES} tries: {fault}; it was: {messages[recipient].title}"
