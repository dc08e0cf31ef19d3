"""What people are told about custody: overrides, approvals taken back, another system key, what a review suggests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.event_words import RELEASE, Background, about, said_by
from retrain_assets.automation.gate_alerts import OF_GATE
from retrain_assets.automation.notifications import Urgency
from retrain_assets.contract import Gate
from retrain_assets.contract.notify import Role
from retrain_assets.ledger import Event, EventKind

SIGNERS = 2
"""Approvers an override takes."""


def _overridden(event: Event, background: Background) -> Alert:
    """The first of two approvers asks for it; the second one puts it in force."""
    gate, check = str(event.payload.get("gate")), str(event.payload.get("check"))
    names = list(dict.fromkeys(one.actor.name for one in _words_on(event, background)))
    roles = RELEASE | OF_GATE.get(Gate(gate), frozenset({Role.EXPERIMENT}))
    show = (f"retrain audit show {event.model} {event.retrain}", "Read the check and what else was found")
    pack = background.pack(event.model, event.retrain)
    if len(names) < SIGNERS:
        return about(
            event,
            Urgency.TODAY,
            roles,
            f"{names[0]} signed an override of {gate}.{check} of retrain {event.retrain}: {event.reason}",
            [f"It is not in force: it takes {SIGNERS} approvers, and {len(names)} signed.", said_by(event)],
            show,
            evidence=background.file(event.payload.get("evidence")) or pack,
        )
    return about(
        event,
        Urgency.NOW,
        roles,
        f"OVERRIDE IN FORCE: {gate}.{check} of retrain {event.retrain} counts as passed by {' and '.join(names)}",
        [
            f"The check did not pass, and the retrain goes on as if it had: {event.reason.rstrip('.')}.",
            "It opened a follow-up that stays visible until somebody closes it.",
            said_by(event),
        ],
        show,
        (f"retrain status {event.model}", "See what goes on and which follow-ups are open"),
        (f'retrain reject {event.model} {event.retrain} --reason "why not"', "If it should not go on, end the retrain"),
        evidence=background.file(event.payload.get("evidence")) or pack,
    )


def _words_on(event: Event, background: Background) -> list[Event]:
    """What was signed about the same check as it was judged, up to the event."""
    matter = [event.payload.get(name) for name in ("gate", "check", "evidence")]
    signed = background.ledger.events(model=event.model, kinds=[EventKind.OVERRIDE_SIGNED])
    return [
        one
        for one in signed
        if one.retrain == event.retrain
        and one.sequence <= event.sequence
        and [one.payload.get(name) for name in ("gate", "check", "evidence")] == matter
    ]


def _withdrawn(event: Event, background: Background) -> Alert:
    return about(
        event,
        Urgency.TODAY,
        RELEASE,
        f"{event.actor.name} took the approval of retrain {event.retrain} back: {event.reason}",
        ["It counts no more; what the contract asks for is missing again.", said_by(event)],
        (f"retrain canary {event.model} {event.retrain}", "Read what was found"),
        (f'retrain reject {event.model} {event.retrain} --reason "why not"', "If it should not go live, end the retrain"),
    )


def _key_added(event: Event, background: Background) -> Alert | None:
    """The first key comes with the home; one that replaces it is somebody's doing."""
    if not event.payload.get("replaces"):
        return None
    return about(
        event,
        Urgency.TODAY,
        RELEASE,
        f"the system signs with another key from now on, {event.payload.get('fingerprint')}",
        [
            f"It replaces {event.payload['replaces']}. Checkpoints of before stay as they are.",
            "If nobody changed the key, somebody else did: keep the files as they are and verify the record.",
            said_by(event),
        ],
        ("retrain audit verify", "See whether the record is whole"),
    )


def _reviewed(event: Event, background: Background) -> Alert | None:
    """A review that suggests nothing is there to be read, and is not told."""
    if not (suggested := event.payload.get("suggestions")):
        return None
    return about(
        event,
        Urgency.THIS_WEEK,
        RELEASE | {Role.EVALUATION},
        f"the review of retrain {event.retrain} suggests {_number(int(suggested))} of thresholds",
        [f"{event.payload.get('finding') or event.reason}".rstrip(".") + "."],
        (f"retrain review {event.model} {event.retrain}", "Read it, with the change of the contract to apply"),
        evidence=background.file(event.payload.get("evidence")),
    )


def _number(suggested: int) -> str:
    return "a change" if suggested == 1 else f"{suggested} changes"


CUSTODY: Mapping[EventKind, Callable[[Event, Background], Alert | None]] = {
    EventKind.OVERRIDE_SIGNED: _overridden,
    EventKind.APPROVAL_WITHDRAWN: _withdrawn,
    EventKind.SYSTEM_KEY_ADDED: _key_added,
    EventKind.RELEASE_REVIEWED: _reviewed,
}
"""The kinds of events this file tells of."""
