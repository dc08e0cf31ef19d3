"""The drift that set a retrain off: the metric over the windows that were looked at, with its limit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.metric_trend import Window, metric_trend


def trigger_plot(trigger: Mapping[str, Any]) -> Markup | None:
    """The plot of a drift trigger; None for another trigger, or one with fewer than two values on record.

    Args:
        trigger: as recorded at launch: ``metric``, ``threshold``, ``history`` of ``{"end", "value"}``, oldest first.
    """
    metric, limit, history = trigger.get("metric"), trigger.get("threshold"), trigger.get("history")
    if not isinstance(limit, int | float) or not isinstance(history, list) or len(history) < 2:
        return None
    windows = [
        Window(datetime.fromisoformat(one["end"]), None if one.get("value") is None else float(one["value"])) for one in history
    ]
    known = [window.value for window in windows if window.value is not None]
    if len(known) < 2:
        return None
    above = sum(value > limit for value in known)
    title = (
        f"{words.words(str(metric)).capitalize()} in the {len(known)} windows that were looked at, the last one until "
        f"{windows[-1].end:%Y-%m-%d}: above its limit of {words.number(limit)} in {above}. "
        f"Latest value {words.number(known[-1])}."
    )
    return metric_trend(windows, limit, title)
