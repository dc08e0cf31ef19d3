"""What a sensor of all models remembers of each between two ticks, as its cursor keeps it. Pure.

A model that was looked at is left alone until something is recorded about it, its contract changes, or the moment comes from
which on the answer may be another. A cursor that was reset or edited by hand is a first tick.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from retrain_assets.assets import Road
from retrain_assets.release import ModelState, PlatformState


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of one model since it was looked at.

    Args:
        seen: the last ledger event about it, and the last about all models, that were looked at.
        terms: version of code and contract it was looked at with.
        at: when it was looked at.
        again_at: from when on the answer may be another though nothing is recorded; None: at every tick.
        about: what holds, in words that many models share.
        said: what holds, in full.
        matters: whether that is worth a line of its own among a hundred models.
        kept: what the kind of sensor keeps for itself, as JSON.
    """

    seen: tuple[int, int]
    terms: str
    at: datetime
    again_at: datetime | None = None
    about: str = ""
    said: str = ""
    matters: bool = False
    kept: Any = None

    def holds(self, road: Road, state: ModelState, platform: PlatformState, now: datetime) -> bool:
        """Whether a look now would find the same. One from a later time was made by a clock that was set back since."""
        return (
            self.again_at is not None
            and self.at <= now < self.again_at
            and self.seen == (state.sequence, platform.sequence)
            and self.terms == road.code_version
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """What one sensor remembers.

    Args:
        models: by model.
        first: the model the next tick begins with, where the last one did not come to all; empty: the first by name.
        mark: how far the sensor has read what is not in the ledger, as JSON.
    """

    models: Mapping[str, Remembered] = field(default_factory=dict)
    first: str = ""
    mark: Any = None

    @classmethod
    def read(cls, cursor: str | None) -> Memory:
        """From a cursor."""
        try:
            value = json.loads(cursor or "{}")
            models = {model: _remembered(one) for model, one in value.get("models", {}).items()}
            return cls(models, str(value.get("first", "")), value.get("mark"))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def cursor(self) -> str:
        """As text of a cursor."""
        models = {model: _written(one) for model, one in sorted(self.models.items())}
        return json.dumps({"models": models, "first": self.first, "mark": self.mark}, ensure_ascii=False, separators=(",", ":"))

    def rotation(self, roads: Sequence[Road]) -> list[Road]:
        """All models, beginning with the one the last tick did not come to."""
        start = next((number for number, road in enumerate(roads) if road.model >= self.first), 0)
        return [*roads[start:], *roads[:start]]

    def waking(self, models: frozenset[str]) -> Memory:
        """With some models to be looked at whatever is remembered of them."""
        woken = {model: replace(self.models[model], again_at=None) for model in models if model in self.models}
        return replace(self, models={**self.models, **woken})


def _written(one: Remembered) -> dict[str, Any]:
    value = {
        "seen": one.seen,
        "terms": one.terms,
        "at": one.at.isoformat(),
        "again_at": one.again_at.isoformat() if one.again_at else None,
        "about": one.about,
        "said": one.said,
        "matters": one.matters,
        "kept": one.kept,
    }
    return {name: entry for name, entry in value.items() if entry not in (None, "", False)}


def _remembered(value: Mapping[str, Any]) -> Remembered:
    event, shared = value["seen"]
    return Remembered(
        (int(event), int(shared)),
        str(value["terms"]),
        datetime.fromisoformat(value["at"]),
        datetime.fromisoformat(value["again_at"]) if value.get("again_at") else None,
        str(value.get("about", "")),
        str(value.get("said", "")),
        bool(value.get("matters", False)),
        value.get("kept"),
    )
