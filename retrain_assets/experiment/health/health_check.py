"""One condition of a sound experiment, as a value that can be stored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import finite


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One condition of a sound experiment.

    Args:
        name: what is checked.
        ok: whether it holds; True where there is nothing to check yet.
        message: one sentence with the values in it.
        observed: the measured value; None where there is nothing to check yet.
        threshold: its limit; None where the value is only reported.
    """

    name: str
    ok: bool
    message: str
    observed: float | None = None
    threshold: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return {name: finite(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> HealthCheck:
        """The inverse of :meth:`to_json`."""
        return cls(**value)
