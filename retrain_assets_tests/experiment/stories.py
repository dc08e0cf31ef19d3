"""A canary that is watched: looks at given times, each knowing the one before as it was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from retrain_assets.contract import canonical_json
from retrain_assets.experiment import CanaryData, Look, Plan, analyse
from retrain_assets_tests.experiment.builders import ARMED, arm, events, measure, stratum, winning

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def watch(plan: Plan, seen: Iterable[tuple[float, CanaryData]], *, stage: str = "50", before: Look | None = None) -> list[Look]:
    """One look for each (days since arming, data)."""
    looks: list[Look] = []
    for days, data in seen:
        looks.append(look_at(plan, data, days=days, stage=stage, before=looks[-1] if looks else before))
    return looks


def look_at(plan: Plan, data: CanaryData, *, days: float = 5, stage: str = "50", before: Look | None = None, **more: Any) -> Look:
    """One look; the stage began with the arming."""
    recorded = Look.from_json(json.loads(canonical_json(before.to_json()))) if before else None
    times = {"stage_started_at": ARMED, "armed_at": ARMED, "now": ARMED + days * DAY, **more}
    return analyse(data, plan, stage=stage, revision=4, before=recorded, **times)


def harmed(n: int = 5000, cost: float = 12.0) -> CanaryData:
    """Cost per unit rises from 10: shown worse."""
    return with_measures(winning(n), cost=measure(stratum(arm(n, 10.0, 8.0), arm(n, cost, 8.0))))


def calm(n: int = 900) -> CanaryData:
    """Neither a win nor harm."""
    flat = measure(stratum(arm(n, 10.0, 8.0), arm(n, 10.0, 8.0)))
    return with_measures(winning(n), cost=flat, error_rate=measure(stratum(events(n, 20), events(n, 20))))


def with_measures(data: CanaryData, **measures: Any) -> CanaryData:
    """The canary with some measures replaced."""
    return replace(data, measures={**data.measures, **measures})


def unreadable() -> CanaryData:
    """What is left when a file of the log is broken."""
    return CanaryData(stages=(), measures={}, problem="exposures/part-7.parquet is truncated")
