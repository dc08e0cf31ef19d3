"""A look: what one analysis of a running canary found, and the action it calls for. A value that can be stored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from retrain_assets.experiment.data import StageCounts
from retrain_assets.experiment.health import HealthCheck
from retrain_assets.experiment.measures import MeasureResult


class Action(StrEnum):
    """What a look calls for. Nothing here promotes: that takes a person's approval."""

    HOLD = "hold"
    STEP = "step"
    ROLL_BACK = "roll_back"
    ASK_APPROVAL = "ask_approval"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Look:
    """One analysis of a canary.

    Args:
        at: when, UTC.
        stage: stage of the ramp the toggle was in.
        revision: toggle revision it was in.
        results: one per measure of the plan, in its order.
        health: checks of the experiment's soundness.
        segments: results per segment (``column=value``); shown, never decided on.
        action: what the look calls for.
        reason: one sentence why.
        stages: the counts it rests on.
    """

    at: datetime
    stage: str
    revision: int
    results: tuple[MeasureResult, ...]
    health: tuple[HealthCheck, ...]
    segments: Mapping[str, tuple[MeasureResult, ...]] = field(default_factory=dict)
    action: Action = Action.HOLD
    reason: str = ""
    stages: tuple[StageCounts, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether every health check holds; results of an invalid look may stop a challenger, never advance it."""
        return all(check.ok for check in self.health)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict: times as ISO 8601, every number finite or None."""
        return {
            "at": self.at.isoformat(),
            "stage": self.stage,
            "revision": self.revision,
            "results": [result.to_json() for result in self.results],
            "health": [check.to_json() for check in self.health],
            "segments": {name: [result.to_json() for result in results] for name, results in self.segments.items()},
            "action": self.action.value,
            "reason": self.reason,
            "stages": [counts.to_json() for counts in self.stages],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Look:
        """The inverse of :meth:`to_json`."""
        return cls(
            at=datetime.fromisoformat(value["at"]),
            stage=value["stage"],
            revision=value["revision"],
            results=tuple(MeasureResult.from_json(result) for result in value["results"]),
            health=tuple(HealthCheck.from_json(check) for check in value["health"]),
            segments={
                name: tuple(MeasureResult.from_json(result) for result in results) for name, results in value["segments"].items()
            },
            action=Action(value["action"]),
            reason=value["reason"],
            stages=tuple(StageCounts.from_json(counts) for counts in value["stages"]),
        )
