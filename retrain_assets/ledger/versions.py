"""Versions of what events carry: which this program writes, how an earlier one is read as the present one, and what is too new.

What is recorded is never written anew. An event keeps its payload and its hash; :func:`current` gives what it means today.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from retrain_assets.contract import CustodyError
from retrain_assets.ledger.events import Event, EventKind

FIELD = "payload_version"
"""Where a payload says its version; one without it is of version 1."""

Upcast = Callable[[Mapping[str, Any]], Mapping[str, Any]]

UPCASTS: Mapping[EventKind, tuple[Upcast, ...]] = {}
"""By kind what makes a payload of version 1 one of version 2, of version 2 one of version 3, and so on."""

_KINDS = frozenset(map(str, EventKind))


def version_of(kind: EventKind) -> int:
    """The version of a kind's payload that this program writes."""
    return 1 + len(UPCASTS.get(kind, ()))


def stamped(kind: EventKind, payload: Mapping[str, Any]) -> dict[str, Any]:
    """A payload as it is recorded: with its version where that is not the first."""
    return {**payload, FIELD: version} if (version := version_of(kind)) > 1 else dict(payload)


def current(event: Event) -> Event:
    """The event as if this program had written it; itself where it did."""
    steps = UPCASTS.get(event.kind)
    if not steps or (version := _version(event.payload)) == len(steps) + 1:
        return event
    payload = event.payload
    for step in steps[version - 1 :]:
        payload = step(payload)
    return replace(event, payload=stamped(event.kind, payload))


def require_known(sequence: int, kind: str, payload: Mapping[str, Any]) -> None:
    """Refuse an event that a later version of this program wrote.

    Raises:
        CustodyError: naming the kind or the version of its payload.
    """
    remedy = "use the version of retrain-assets that wrote it, or a later one; run retrain audit verify if there is none"
    if kind not in _KINDS:
        raise CustodyError(
            f"stored event {sequence} is of kind {kind!r}, which this version does not know", where="ledger", remedy=remedy
        )
    known = version_of(EventKind(kind))
    if not 1 <= (found := _version(payload)) <= known:
        raise CustodyError(
            f"the payload of event {sequence} ({kind}) is of version {found}, this version knows it up to {known}",
            where="ledger",
            remedy=remedy,
        )


def _version(payload: Mapping[str, Any]) -> int:
    found = payload.get(FIELD, 1)
    return found if type(found) is int else 0
