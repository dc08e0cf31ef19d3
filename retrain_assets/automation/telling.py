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


def tell(
    model: str, home: Home, outbox: Outbox, alerts: Sequence[Alert], recipients: Sequence[Recipient], until: int, now: datetime
) -> Told:
    """Tell everybody what is new to them, in one message each, and what they have not taken before.

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
    messages = {one: message_of(model, [known[key] for key in due[one].keys]) for one in due}
    faults = send(messages)
    waiting |= {one.key: Waiting() if fault is None else due[one].failed(now) for one, fault in faults.items()}
    return Told(
        replace(after, waiting=waiting),
        sent=tuple(f"{one.name} was told: {messages[one].title}" for one, fault in faults.items() if fault is None),
        failed=tuple(_again(fault, waiting[one.key]) for one, fault in faults.items() if fault and waiting[one.key].keys),
        given_up=tuple(_lost(fault, messages, one) for one, fault in faults.items() if fault and not waiting[one.key].keys),
    )


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
