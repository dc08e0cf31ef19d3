"""What holds for many models at once: kill switches, freezes, owners who left, follow-ups; and the fold that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from retrain_assets.contract import Cadence, Contract, Freeze
from retrain_assets.contract.signers import compared
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind
from retrain_assets.ledger.versions import current
from retrain_assets.release.follow_ups import FOLLOWED_KINDS, FollowUp, follow_ups_after


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """An engaged kill switch.

    Args:
        model: the model, or ``*`` for all models, those to come included.
        engaged_at: since when (clock time).
        by: the actor as text.
        reason: why.
        sequence: the ledger event.
    """

    model: str
    engaged_at: datetime
    by: str
    reason: str
    sequence: int

    @property
    def scope(self) -> str:
        """Whom it concerns, in words."""
        return "all models" if self.model == EVERY_MODEL else self.model


@dataclass(frozen=True, slots=True)
class DeclaredFreeze:
    """A change freeze declared besides the contracts' own; ``number`` is the ledger event, days are UTC and both included."""

    number: int
    model: str
    start: date
    end: date
    reason: str
    by: str
    declared_at: datetime

    @property
    def scope(self) -> str:
        """Whom it concerns, in words."""
        return "all models" if self.model == EVERY_MODEL else self.model


@dataclass(frozen=True, slots=True)
class OwnerLeft:
    """An owner, ``team:name`` or an e-mail address, who answers for nothing any more."""

    owner: str
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlatformState:
    """What holds beyond one toggle.

    Args:
        kill_switches: engaged switches by model; ``*`` is that of all models.
        freezes: declared freezes that were not lifted, over or not, in the order of their declaration.
        owners_left: who left, by :func:`principal`.
        sequence: the last event about every model; part of every compare-and-set.
        switch_sequence: the last event that engaged or released a switch.
        follow_ups: what emergencies left to be looked into, of every model, open and closed, by number.
    """

    kill_switches: Mapping[str, KillSwitch] = field(default_factory=dict)
    freezes: tuple[DeclaredFreeze, ...] = ()
    owners_left: Mapping[str, OwnerLeft] = field(default_factory=dict)
    sequence: int = 0
    switch_sequence: int = 0
    follow_ups: Mapping[int, FollowUp] = field(default_factory=dict)

    def kill_switch(self, model: str) -> KillSwitch | None:
        """The switch engaged for a model: that of all models before its own."""
        return self.kill_switches.get(EVERY_MODEL) or self.kill_switches.get(model)

    def left(self, owner: str) -> OwnerLeft | None:
        """That an owner left; None for one who is there."""
        return self.owners_left.get(principal(owner))

    def cadence(self, contract: Contract) -> Cadence:
        """A contract's cadence with the freezes declared for its model added to its own."""
        declared = [
            Freeze(start=one.start, end=one.end, reason=one.reason)
            for one in self.freezes
            if one.model in (EVERY_MODEL, contract.model)
        ]
        return contract.cadence.model_copy(update={"freeze": [*contract.cadence.freeze, *declared]})

    def freezes_in_force(self, moment: datetime) -> tuple[DeclaredFreeze, ...]:
        """The declared freezes of the UTC day of an aware moment."""
        today = moment.astimezone(UTC).date()
        return tuple(one for one in self.freezes if one.start <= today <= one.end)


def principal(owner: str) -> str:
    """An owner as people are compared everywhere in the contract."""
    return compared(owner)


def fold_platform(events: Iterable[Event], start: PlatformState | None = None) -> PlatformState:
    """The platform's state after some events.

    Args:
        events: events in ascending sequence, of all models.
        start: the state before them, when the earlier events were folded already.
    """
    state = start or PlatformState()
    for event in map(current, events):
        if event.kind in _MEANING:
            state = _MEANING[event.kind](state, event)
        if (followed := follow_ups_after(state.follow_ups, event)) is not state.follow_ups:
            state = replace(state, follow_ups=followed)
        if event.model == EVERY_MODEL:
            state = replace(state, sequence=event.sequence)
    return state


def _engaged(state: PlatformState, event: Event) -> PlatformState:
    switch = KillSwitch(event.model, event.at, str(event.actor), event.reason, event.sequence)
    return replace(state, kill_switches={**state.kill_switches, event.model: switch}, switch_sequence=event.sequence)


def _released(state: PlatformState, event: Event) -> PlatformState:
    kept = {model: switch for model, switch in state.kill_switches.items() if model != event.model}
    return replace(state, kill_switches=kept, switch_sequence=event.sequence)


def _declared(state: PlatformState, event: Event) -> PlatformState:
    start, end = (date.fromisoformat(event.payload[name]) for name in ("start", "end"))
    freeze = DeclaredFreeze(event.sequence, event.model, start, end, event.reason, str(event.actor), event.at)
    return replace(state, freezes=(*state.freezes, freeze))


def _lifted(state: PlatformState, event: Event) -> PlatformState:
    return replace(state, freezes=tuple(one for one in state.freezes if one.number != event.payload["number"]))


def _left(state: PlatformState, event: Event) -> PlatformState:
    owner = event.payload["owner"]
    gone = OwnerLeft(owner, event.at, str(event.actor), event.reason)
    return replace(state, owners_left={**state.owners_left, principal(owner): gone})


def _back(state: PlatformState, event: Event) -> PlatformState:
    back = principal(event.payload["owner"])
    return replace(state, owners_left={name: gone for name, gone in state.owners_left.items() if name != back})


_MEANING: Mapping[EventKind, Callable[[PlatformState, Event], PlatformState]] = {
    EventKind.KILL_SWITCH_ENGAGED: _engaged,
    EventKind.KILL_SWITCH_RELEASED: _released,
    EventKind.FREEZE_DECLARED: _declared,
    EventKind.FREEZE_LIFTED: _lifted,
    EventKind.OWNER_LEFT: _left,
    EventKind.OWNER_BACK: _back,
}

PLATFORM_KINDS = frozenset(_MEANING)
"""Events that mean something here, and nothing for the state of the model they may be about."""

PLATFORM_FOLDED = PLATFORM_KINDS | FOLLOWED_KINDS
"""All that this state is folded from, besides every event about all models."""
