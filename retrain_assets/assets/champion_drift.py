"""How far the champion has drifted by its latest report, in a few words for the board."""

from __future__ import annotations

import dagster as dg

from retrain_assets.assets.drift_history import reports_of
from retrain_assets.assets.road import Road
from retrain_assets.contract import DriftRule
from retrain_assets.drift import DriftReport, judged
from retrain_assets.release import ModelState


def champion_drift(instance: dg.DagsterInstance, road: Road, state: ModelState) -> str:
    """The metric nearest to its limit, or furthest above it, in the champion's latest report; empty without a rule or a report.

    Args:
        instance: Dagster's record.
        road: the model's.
        state: the model's.
    """
    rule = road.contract.cadence.on_drift
    if rule is None or state.champion is None:
        return ""
    reports = reports_of(instance, road, state.champion.version, 1)
    return drift_words(reports[-1], rule) if reports else "no report yet"


def drift_words(report: DriftReport, rule: DriftRule) -> str:
    """A report in a few words: its worst metric with value and limit, and the day; metrics on too few rows do not count."""
    day = f"{report.end:%Y-%m-%d}"
    counted = [
        (value / limit if limit > 0 else float("inf"), name, value, limit)
        for name, limit in rule.limits.items()
        if (value := report.metrics.get(name)) is not None and judged(report, name, rule)
    ]
    if not counted:
        return f"too few rows for a verdict, {day}"
    _, name, value, limit = max(counted)
    return f"{name} {value:.3g} {'above' if value > limit else 'within'} {limit:g}, {day}"
