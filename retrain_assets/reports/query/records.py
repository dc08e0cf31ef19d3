"""What the tables are made from: the ledger's events, read once, and what they amount to; evidence where it is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from retrain_assets.home import Home
from retrain_assets.ledger import GENESIS, Event, EventKind, EvidenceStore, Ledger
from retrain_assets.ledger.reading import all_stays
from retrain_assets.release import ModelState, fold

Row = dict[str, Any]


class Records:
    """A home's record as of one moment; what is written meanwhile is not in it.

    Args:
        home: whose evidence, stages and reports.
        ledger: read in one transaction, when the first table is made.
    """

    def __init__(self, home: Home, ledger: Ledger) -> None:
        self.home, self._ledger = home, ledger
        self.evidence = EvidenceStore(home.evidence_dir)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Every event, by ascending sequence."""
        with all_stays():
            return tuple(self._ledger.events())

    @cached_property
    def states(self) -> dict[str, ModelState]:
        """Every model as it stands."""
        events = self.events
        with all_stays():
            return fold(events)

    @cached_property
    def by_kind(self) -> dict[EventKind, list[Event]]:
        """The events of each kind, in order."""
        found: dict[EventKind, list[Event]] = defaultdict(list)
        for event in self.events:
            found[event.kind].append(event)
        return found

    def of(self, *kinds: EventKind) -> list[Event]:
        """The events of some kinds, in order."""
        return sorted((event for kind in kinds for event in self.by_kind[kind]), key=lambda event: event.sequence)

    @cached_property
    def past(self) -> Ledger:
        """The same events behind a ledger's face, so that a record can be read from them without reading the database again."""
        return EventsRead(self.events)


class EventsRead(Ledger):
    """Events that were read before; nothing can be added.

    Args:
        events: by ascending sequence.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._events: list[Event] = []
        self._of_model: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """One more event, in memory."""
        self._events.append(event)
        self._of_model[event.model].append(event)

    def events(
        self,
        *,
        model: str | None = None,
        retrain: str | None = None,
        kinds: Iterable[EventKind] | None = None,
        after: int = 0,
    ) -> list[Event]:
        """As :meth:`~retrain_assets.ledger.Ledger.events`."""
        wanted = None if kinds is None else frozenset(kinds)
        return [
            event
            for event in (self._events if model is None else self._of_model.get(model, ()))
            if event.sequence > after and retrain in (None, event.retrain) and (wanted is None or event.kind in wanted)
        ]

    def head(self) -> tuple[int, str]:
        """Sequence and hash of the last event read."""
        last = self._events[-1] if self._events else None
        return (last.sequence, last.hash) if last is not None else (0, GENESIS)

    @property
    def identity(self) -> str:
        """Hash of the first event."""
        return self._events[0].hash if self._events else ""
