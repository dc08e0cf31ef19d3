"""A look: what one analysis of a running canary found, and the action it calls for. A value that can be stored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from retrain_assets.experiment.data import StageCounts
from retrain_assets.experiment.decision.economics import NetValue
from retrain_assets.experiment.estimation.measures import MeasureResult
from retrain_assets.experiment.estimation.statistics import MeasureStatistics
from retrain_assets.experiment.health.health_check import HealthCheck


class Action(StrEnum):
    """What a look calls for. Nothing here promotes: that takes a person's approval."""

    HOLD = "hold"
    STEP = "step"
    ROLL_BACK = "roll_back"
    ASK_APPROVAL = "ask_approval"
    REJECT = "reject"


class Cause(StrEnum):
    """Why a look ends the experiment."""

    HARM = "harm"
    MISSING_DATA = "missing_data"
    INCONCLUSIVE = "inconclusive"
    NOT_WORTH_IT = "not_worth_it"


@dataclass(frozen=True, slots=True)
class PlannedLook:
    """A planned look that was taken.

    Args:
        number: its place in the plan, from 1.
        at: when it was taken, UTC.
        information: information on the difference it rested on: sum over strata of n_c n_t / (n_c + n_t), matured units.
    """

    number: int
    at: datetime
    information: float


@dataclass(frozen=True, slots=True)
class Look:
    """One analysis of a canary.

    Args:
        at: when, UTC.
        stage: stage of the ramp the toggle was in.
        revision: toggle revision it was in.
        results: one per measure of the plan, in its order.
        health: checks of the experiment's soundness.
        segments: results per segment (``column=value``), with estimates shrunk towards the total.
        judged_segments: names of those that are large enough to be held to their segment margins.
        action: what the look calls for.
        reason: one sentence why.
        cause: why it ends the experiment, None for a look that does not.
        stages: the counts it rests on.
        planned: the planned looks taken so far, this one included when it is one; empty without a plan of looks.
        next_planned: when the next planned look is due; None when there is none.
        harm_looks: looks in a row, up to this one, that showed harm, each at least ``confirm_after`` after the one before.
        harm_at: the latest of the looks counted in ``harm_looks``; None when it is 0.
        unusable_since: first of the looks in a row, up to this one, that could not be judged; None when this one could.
        again_at: when another look is due at the latest, to confirm harm or as a planned one; None for the usual rhythm.
        warnings: sentences the release owner should read before deciding.
        matured: time between the first exposure to real traffic and the latest whose outcome window has closed.
        net_value: what the effect is worth; None when the contract does not say what a unit is worth.
        statistics: per measure the sums its result rests on, so that the look can be judged again without the traffic.
    """

    at: datetime
    stage: str
    revision: int
    results: tuple[MeasureResult, ...]
    health: tuple[HealthCheck, ...]
    segments: Mapping[str, tuple[MeasureResult, ...]] = field(default_factory=dict)
    judged_segments: tuple[str, ...] = ()
    action: Action = Action.HOLD
    reason: str = ""
    cause: Cause | None = None
    stages: tuple[StageCounts, ...] = ()
    planned: tuple[PlannedLook, ...] = ()
    next_planned: datetime | None = None
    harm_looks: int = 0
    harm_at: datetime | None = None
    unusable_since: datetime | None = None
    again_at: datetime | None = None
    warnings: tuple[str, ...] = ()
    matured: timedelta = timedelta(0)
    net_value: NetValue | None = None
    statistics: Mapping[str, MeasureStatistics] = field(default_factory=dict)

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
            "judged_segments": list(self.judged_segments),
            "action": self.action.value,
            "reason": self.reason,
            "cause": self.cause.value if self.cause else None,
            "stages": [counts.to_json() for counts in self.stages],
            "planned": [{**asdict(one), "at": one.at.isoformat()} for one in self.planned],
            "next_planned": _text(self.next_planned),
            "harm_looks": self.harm_looks,
            "harm_at": _text(self.harm_at),
            "unusable_since": _text(self.unusable_since),
            "again_at": _text(self.again_at),
            "warnings": list(self.warnings),
            "matured_seconds": self.matured.total_seconds(),
            "net_value": self.net_value.to_json() if self.net_value else None,
            "statistics": {name: one.to_json() for name, one in self.statistics.items()},
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
            judged_segments=tuple(value.get("judged_segments", ())),
            action=Action(value["action"]),
            reason=value["reason"],
            cause=Cause(value["cause"]) if value.get("cause") else None,
            stages=tuple(StageCounts.from_json(counts) for counts in value["stages"]),
            planned=tuple(PlannedLook(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in value.get("planned", ())),
            next_planned=_moment(value.get("next_planned")),
            harm_looks=value.get("harm_looks", 0),
            harm_at=_moment(value.get("harm_at")),
            unusable_since=_moment(value.get("unusable_since")),
            again_at=_moment(value.get("again_at")),
            warnings=tuple(value.get("warnings", ())),
            matured=timedelta(seconds=value.get("matured_seconds", 0.0)),
            net_value=NetValue.from_json(value["net_value"]) if value.get("net_value") else None,
            statistics={name: MeasureStatistics.from_json(one) for name, one in value.get("statistics", {}).items()},
        )


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
