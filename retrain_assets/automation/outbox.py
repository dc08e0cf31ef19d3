"""What was told and what still waits to be taken, as the upkeep sensor's cursor keeps it of a model between ticks. Pure.

Dagster stores a cursor after its tick, so a process that dies in between sends again what it had sent: at least once. What a
recipient does not take is tried again, further and further apart, and given up after :data:`TRIES` times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

TRIES = 24
"""How often a message is tried; with the pauses that is five hours."""
LONGEST_PAUSE = timedelta(minutes=15)
"""Between two tries; the first pause is a minute, the next ones double up to here."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one recipient has not taken yet.

    Args:
        keys: the alerts, oldest first.
        tries: how often it has been tried since the last success.
        again_at: when it is tried next; None: at once.
    """

    keys: tuple[str, ...] = ()
    tries: int = 0
    again_at: datetime | None = None

    def due(self, now: datetime) -> bool:
        """Whether it is to be tried now. A time that lies further ahead than any pause was set by a clock that ran ahead."""
        return bool(self.keys) and (self.again_at is None or now >= self.again_at or self.again_at - now > LONGEST_PAUSE)

    def failed(self, now: datetime) -> Waiting:
        """After a try that was not taken; empty when that was the last one."""
        tries = self.tries + 1
        if tries >= TRIES:
            return Waiting()
        return replace(self, tries=tries, again_at=now + min(LONGEST_PAUSE, timedelta(minutes=2 ** (tries - 1))))


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where telling stands for one model.

    Args:
        sequence: the last ledger event that was considered.
        standing: keys of the alerts about a state that lasts; they are told when the state begins.
        waiting: by recipient.
        shown: what the toggle debt asset shows, as text to compare with.
    """

    sequence: int
    standing: frozenset[str] = frozenset()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    shown: str = ""

    @classmethod
    def of(cls, value: Any) -> Outbox | None:
        """From what the sensor kept; None at a model's first tick, and where the cursor was edited by hand."""
        try:
            return None if value is None else _outbox_of(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def to_json(self) -> dict[str, Any]:
        """As the sensor keeps it in its cursor."""
        waiting = {
            recipient: {
                "keys": list(one.keys),
                "tries": one.tries,
                "again_at": one.again_at.isoformat() if one.again_at else None,
            }
            for recipient, one in sorted(self.waiting.items())
        }
        return {"sequence": self.sequence, "standing": sorted(self.standing), "waiting": waiting, "shown": self.shown}

    @property
    def events_waiting(self) -> frozenset[int]:
        """Sequences of the ledger events that somebody still has to be told of."""
        keys = {key for one in self.waiting.values() for key in one.keys}
        return frozenset(int(key.removeprefix(EVENT)) for key in keys if key.startswith(EVENT))

    def taken_up(self, events: Iterable[str], standing: Iterable[str], recipients: Iterable[str], until: int) -> Outbox:
        """With what is new queued for everybody, without what has settled itself meanwhile, and without recipients of the past.

        Args:
            events: keys of the events that are told, those that still wait included, oldest first.
            standing: keys of the alerts about what holds now.
            recipients: keys of the contract's recipients.
            until: the last event that was considered.
        """
        events, standing = list(events), list(standing)
        told = {key for key in events if int(key.removeprefix(EVENT)) <= self.sequence} | self.standing
        known = [*events, *standing]
        waiting = {}
        for recipient in recipients:
            before = self.waiting.get(recipient, Waiting())
            keys = tuple(key for key in known if key in before.keys or key not in told)
            waiting[recipient] = replace(before, keys=keys) if keys else Waiting()
        return replace(self, sequence=max(self.sequence, until), standing=frozenset(standing), waiting=waiting)


EVENT = "event:"
"""How the key of an alert about a ledger event begins; the event's sequence follows."""


def _outbox_of(value: Mapping[str, Any]) -> Outbox:
    waiting = {
        recipient: Waiting(
            tuple(map(str, one["keys"])), int(one["tries"]), datetime.fromisoformat(one["again_at"]) if one["again_at"] else None
        )
        for recipient, one in value["waiting"].items()
    }
    return Outbox(int(value["sequence"]), frozenset(map(str, value["standing"])), waiting, str(value["shown"]))
