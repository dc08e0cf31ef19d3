"""The fields in which two contracts differ, each with its value before and after and which way it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from retrain_assets.contract import Contract, format_duration
from retrain_assets.reports.contract_diff.directions import Tendency, tendency_of

ROOMS: Mapping[str, str] = {
    "gates": "Gates",
    "experiment": "Ramp and experiment",
    "toggle": "Toggle",
    "approval": "Approvals",
    "promoted_from": "Approvals",
    "cadence": "Cadence",
    "compute": "Compute and cost",
    "economics": "Compute and cost",
    "serving": "Serving, notifications, retention",
    "notify": "Serving, notifications, retention",
    "retention": "Serving, notifications, retention",
}
"""The heading that a part of the contract is told under; what is not here says what the model is."""

MODEL_ITSELF = "Model and data"
HEADINGS = (*dict.fromkeys(ROOMS.values()), MODEL_ITSELF)

_NAMED_BY = ("check", "column", "start")
"""The field that names an entry of a list, so that one that moved has not changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs.

    Args:
        field: dotted.
        before: as people write it; None where it is not there.
        after: the same.
        tendency: which way it goes.
    """

    field: str
    before: str | None
    after: str | None
    tendency: Tendency

    @property
    def heading(self) -> str:
        """What it is told under."""
        return ROOMS.get(self.field.partition(".")[0], MODEL_ITSELF)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {"field": self.field, "before": self.before, "after": self.after, "tendency": str(self.tendency)}


def changes_between(before: Contract, after: Contract) -> list[Change]:
    """Every field in which two contracts of one model differ, in the contract's order; empty where their digests are equal."""
    old, new = (one.model_dump(mode="python", by_alias=True) for one in (before, after))
    return list(_differing(old, new, ""))


def _differing(old: Any, new: Any, field: str) -> Iterator[Change]:
    if old == new:
        return
    parts = [_parts(one) for one in (old, new)]
    if None in parts or (not field.count(".") and not (old and new)):
        yield Change(field, _shown(old), _shown(new), tendency_of(field, old, new))
        return
    for name in dict.fromkeys(key for one in parts for key in one or ()):
        before, after = ((one or {}).get(name) for one in parts)
        yield from _differing(before, after, f"{field}.{name}" if field else name)


def _parts(value: Any) -> dict[str, Any] | None:
    """The named parts of a value: of a mapping, or of a list whose entries have names; None of any other."""
    if isinstance(value, Mapping):
        return {str(name): one for name, one in value.items()}
    if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
        named = {str(next((one[key] for key in _NAMED_BY if key in one), place)): one for place, one in enumerate(value)}
        return named if len(named) == len(value) else None
    return None


def _shown(value: Any) -> str | None:
    """A value as a person would write it into the contract."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_shown(one)}" for name, one in value.items() if one is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(str(_shown(one)) for one in value) + "]"
    return " ".join(str(value).split())
