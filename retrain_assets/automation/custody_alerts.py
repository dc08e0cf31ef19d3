"""What people are told about custody: overrides, approvals taken back, another system key, what a review suggests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.event_words import RELEASE, Background, about, closes, said_by
from retrain_assets.automation.gate_alerts import OF_GATE
from retrain_assets.automation.notifications import Urgency
from retrain_assets.contract import Gate
from retrain_assets.contract.notify import Role
from retrain_assets.ledger import Event, EventKind
from retrain_assets.reports import words
from retrain_assets.reports.reading import readable


def _overridden(event: Event, background: Background) -> Alert:
    """The first of two approvers asks for it; the second one puts it in force."""
    payload = event.payload
    name = f"{payload['gate']}.{payload['check']}"
    roles = RELEASE | OF_GATE.get(Gate(payload["gate"]), frozenset({Role.EXPERIMENT}))
    show = (f"retrain audit show {event.model} {event.retrain}", "Read the check and what else was found")
    evidence = background.file(payload.get("evidence"))
    series = f"override:{event.retrain}:{name}"
    if payload.get("withdrawn"):
        return about(
            event,
            Urgency.TODAY,
            roles,
            f"{event.actor.name} took the override of {name} of retrain {event.retrain} back: {event.reason}",
            ["The gate is closed again; what was armed while it held stays armed.", said_by(event)],
            show,
            evidence=evidence,
            series=series,
        )
    was = f"It was: {words.words(str(payload.get('outcome')))}, {readable(str(payload.get('message'))).rstrip('.')}."
    if not payload.get("in_force"):
        return about(
            event,
            Urgency.TODAY,
            roles,
            f"{event.actor.name} signed an override of {name} of retrain {event.retrain}: {event.reason}",
            [was, "It is not in force: a second approver has to sign as well.", said_by(event)],
            show,
            (
                f'retrain override {event.model} {event.retrain} --check {name} --reason "why"',
                "To put it in force, by another approver",
            ),
            evidence=evidence,
            series=series,
        )
    signers = " and ".join(payload["signers"])
    return about(
        event,
        Urgency.NOW,
        roles,
        f"OVERRIDE IN FORCE: {name} of retrain {event.retrain} counts as passed by {signers}",
        [
            was,
            f"It counts as passed because: {event.reason.rstrip('.')}.",
            *(["The retrain had ended; it is open again and goes on by itself."] if payload.get("reopens") else []),
            said_by(event),
        ],
        show,
        (f'retrain override {event.model} {event.retrain} --check {name} --withdraw --reason "why"', "To take it back"),
        (closes(event)[0], "When it is settled, somebody who did not sign closes the follow-up"),
        evidence=evidence,
        series=series,
    )


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


def _contract_promoted(event: Event, background: Background) -> Alert | None:
    origin, changes = event.payload["origin"], event.payload["changes"]
    return about(
        event,
        Urgency.THIS_WEEK,
        RELEASE,
        f"a contract of {event.model} was promoted from {origin['environment']}: {event.reason}",
        [f"{one['field']}: {one['before'] or '-'} -> {one['after'] or '-'} ({one['tendency']})" for one in changes],
        (f"retrain contract show {event.model}", "Read the contract that holds now"),
    )


def _number(suggested: int) -> str:
    return "a change" if suggested == 1 else f"{suggested} changes"


CUSTODY: Mapping[EventKind, Callable[[Event, Background], Alert | None]] = {
    EventKind.OVERRIDE_SIGNED: _overridden,
    EventKind.APPROVAL_WITHDRAWN: _withdrawn,
    EventKind.SYSTEM_KEY_ADDED: _key_added,
    EventKind.RELEASE_REVIEWED: _reviewed,
    EventKind.CONTRACT_PROMOTED: _contract_promoted,
}
"""The kinds of events this file tells of."""
