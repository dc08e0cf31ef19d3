"""A set of event drafts that belong together: same actor, same moment, revisions counted on from the toggle's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from retrain_assets.contract import Refused
from retrain_assets.contract.environments import DEFAULT_ENVIRONMENT
from retrain_assets.ledger import Actor, EventDraft, EventKind
from retrain_assets.release.environment import SAY_WHERE, named
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.state import ModelState


@dataclass
class Drafts:
    """Collects what one action appends.

    Args:
        state: the model's state the action is decided on.
        actor: who acts.
        now: the clock's time.
        reason: why; the default of every event of the action.
        platform: what holds for all models; the action is decided on it as well.
        environment: where this is; launches, armings and promotions say so.
    """

    state: ModelState
    actor: Actor
    now: datetime
    reason: str
    platform: PlatformState
    environment: str = DEFAULT_ENVIRONMENT
    events: list[EventDraft] = field(default_factory=list)
    _revisions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise Refused("a reason is missing", where=self.state.model, remedy="say why in one sentence")
        if not self.actor.name.strip():
            raise Refused("nobody is named as the one who acts", where=self.state.model, remedy="name the person or the system")

    def add(
        self,
        kind: EventKind,
        retrain: str | None,
        payload: Mapping[str, Any] | None = None,
        *,
        toggle: str | None = None,
        reason: str | None = None,
    ) -> None:
        """An event that leaves every toggle's revision alone; without a retrain it is about the model, or about all."""
        self.events.append(self._draft(kind, retrain, payload, toggle=toggle, reason=reason))

    def move(
        self, kind: EventKind, retrain: str, toggle: str, payload: Mapping[str, Any] | None = None, *, reason: str | None = None
    ) -> None:
        """An event that changes a toggle, with its next revision."""
        known = self.state.toggles.get(toggle)
        before = self._revisions.get(toggle, known.revision if known else 0)
        self._revisions[toggle] = before + 1
        self.events.append(self._draft(kind, retrain, payload, toggle=toggle, reason=reason, revisions=(before, before + 1)))

    def _draft(
        self,
        kind: EventKind,
        retrain: str | None,
        payload: Mapping[str, Any] | None,
        *,
        toggle: str | None,
        reason: str | None,
        revisions: tuple[int | None, int | None] = (None, None),
    ) -> EventDraft:
        return EventDraft(
            at=self.now,
            actor=self.actor,
            kind=kind,
            model=self.state.model,
            reason=reason or self.reason,
            retrain=retrain,
            toggle=toggle,
            revision_before=revisions[0],
            revision_after=revisions[1],
            payload={**(payload or {}), **(named(self.environment) if kind in SAY_WHERE else {})},
        )
