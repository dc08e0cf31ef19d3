"""The record of retrains that the cadence held back: observations of the drift report, kept as long as its history.

The ledger holds what decides about activation; an alarm that launches nothing decides nothing yet. When it launches a retrain
after all, the trigger in the ledger says how long it was held back, and by what. People are told once for each set of reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from retrain_assets.assets import Road
from retrain_assets.automation.cadence import Hold, in_words
from retrain_assets.drift import DriftAlarm

LISTED = 4
"""Groups of held-back windows a trigger names, the latest ones; a run tag must stay below 2,700 bytes for PostgreSQL's index."""
LETTERS = 240
"""Letters of the reasons that a trigger keeps of each; the observation has all."""
PAGE = 10
"""Observations that are read at once."""


def observation(
    road: Road, champion: str, alarms: Sequence[DriftAlarm], held: Sequence[Hold], now: datetime, opens: datetime | None
) -> dg.AssetObservation:
    """What was held back and why, as a person reads it on the drift report's page a year later.

    Args:
        road: the model's.
        champion: version the alarms are about.
        alarms: the worst first.
        held: every rule that holds.
        now: the clock's time.
        opens: when a retrain may start at the earliest; None where that is not known.
    """
    worst = alarms[0]
    return dg.AssetObservation(
        asset_key=road.key("drift_report"),
        description=f"Drift held back. {worst.message}. Held back by {in_words(held)}.",
        metadata={
            "held_back_at": now.isoformat(),
            "held_back_by": ", ".join(hold.rule for hold in held),
            "reasons": in_words(held),
            "alarms": "; ".join(alarm.message for alarm in alarms),
            "metric": worst.metric,
            "value": float(worst.value),
            "threshold": float(worst.threshold),
            "window_end": worst.window[1].isoformat(),
            "champion": champion,
            "earliest_retrain": opens.isoformat() if opens else "not known",
        },
    )


def observation_of_schedule(road: Road, cron: str, held: Sequence[Hold], now: datetime) -> dg.AssetObservation:
    """A scheduled retrain that was held back, beside the alarms that were.

    Args:
        road: the model's.
        cron: its schedule.
        held: every rule that holds.
        now: the clock's time.
    """
    return dg.AssetObservation(
        asset_key=road.key("drift_report"),
        description=f"Scheduled retrain held back by {in_words(held)}.",
        metadata={
            "held_back_at": now.isoformat(),
            "schedule_held_back_by": ", ".join(hold.rule for hold in held),
            "reasons": in_words(held),
            "cron": cron,
        },
    )


def is_recorded(instance: dg.DagsterInstance, seen: dg.AssetObservation) -> bool:
    """Whether the latest observation says the same: this champion, window and metric, held back by these rules."""
    latest = next(_observations(instance, seen.asset_key), None)
    same = ("champion", "window_end", "metric", "held_back_by")
    return latest is not None and all(latest.get(name) == seen.metadata[name].value for name in same)


def held_before(instance: dg.DagsterInstance, road: Road, champion: str, since: datetime | None) -> list[dict[str, Any]]:
    """Why and how long alarms about a champion were held back since a moment, oldest first: neighbouring windows with the same
    reasons together, the latest :data:`LISTED` groups.

    Args:
        instance: Dagster's record.
        road: the model's.
        champion: version the alarm is about.
        since: when the latest retrain was launched: what was held back before it, it answered; None for all.
    """
    groups: list[dict[str, Any]] = []
    window_end = None
    for one in _observations(instance, road.key("drift_report")):
        at = one["held_back_at"]
        if one["champion"] != champion or (since is not None and datetime.fromisoformat(at) <= since):
            break
        if groups and groups[-1]["by"] == one["held_back_by"]:
            groups[-1] |= {"first": at, "windows": groups[-1]["windows"] + (one["window_end"] != window_end)}
        elif len(groups) == LISTED:
            break
        else:
            words = {"by": one["held_back_by"], "because": str(one["reasons"])[:LETTERS]}
            groups.append({**words, "metric": one["metric"], "first": at, "last": at, "windows": 1})
        window_end = one["window_end"]
    return groups[::-1]


def _observations(instance: dg.DagsterInstance, asset: dg.AssetKey) -> Iterator[dict[str, Any]]:
    """Metadata of the observations of alarms, the latest first."""
    return (values for values in held_back(instance, asset) if "held_back_by" in values)


def held_back(instance: dg.DagsterInstance, asset: dg.AssetKey) -> Iterator[dict[str, Any]]:
    """Metadata of this module's observations of an asset, of alarms and of schedules, the latest first."""
    cursor: str | None = None
    while True:
        fetched = instance.fetch_observations(asset, limit=PAGE, cursor=cursor)
        for record in fetched.records:
            observed = record.asset_observation
            values = {name: value.value for name, value in (observed.metadata if observed else {}).items()}
            if "held_back_at" in values:
                yield values
        if not fetched.has_more or not fetched.records:
            return
        cursor = fetched.cursor
