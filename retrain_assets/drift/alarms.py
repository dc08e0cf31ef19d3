"""From drift reports and the contract's limits to alarms. An alarm is what launches a retrain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrain_assets.contract import DriftRule
from retrain_assets.drift.report import DriftReport


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """One metric that stayed above its limit.

    Args:
        metric: its name.
        value: its value in the latest window.
        threshold: the limit it is above.
        window: begin and end of the latest window.
        above: how many of the looked-at windows were above the limit.
        of: how many windows were looked at.
        column: for ``feature_psi`` the feature it comes from.
    """

    metric: str
    value: float
    threshold: float
    window: tuple[datetime, datetime]
    above: int
    of: int
    column: str | None = None

    @property
    def message(self) -> str:
        """The alarm as one sentence."""
        cause = f" ({self.column})" if self.column else ""
        return (
            f"{self.metric}{cause} is {self.value:.4g}, above {self.threshold:g}, in the window from {self.window[0]:%Y-%m-%d} "
            f"to {self.window[1]:%Y-%m-%d}; above in {self.above} of the last {self.of} windows"
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; the window as two ISO-8601 times."""
        return {
            "metric": self.metric,
            "value": self.value,
            "threshold": self.threshold,
            "window": [moment.isoformat() for moment in self.window],
            "above": self.above,
            "of": self.of,
            "column": self.column,
            "message": self.message,
        }


def drift_verdicts(history: Sequence[DriftReport], rule: DriftRule) -> list[DriftAlarm]:
    """The alarms as of the latest window, the one farthest above its limit first; empty where there is no verdict.

    A metric raises an alarm when it is above its limit in the latest window and in at least ``rule.at_least`` of the last
    ``rule.of_last`` windows. A window in which the metric rests on fewer than ``rule.min_rows`` rows, or is undefined, counts as
    a window but never as one above. A window that was reported twice counts once, the later report.

    Args:
        history: reports of one champion, in any order.
        rule: limits and k of n.
    """
    by_window = {(report.end, report.start): report for report in history}
    windows = [by_window[key] for key in sorted(by_window)][-rule.of_last :]
    alarms = []
    for metric, limit in rule.limits.items():
        values = [_judged(report, metric, rule.min_rows) for report in windows]
        above = [value for value in values if value is not None and value > limit]
        if values and (latest := values[-1]) is not None and latest > limit and len(above) >= rule.at_least:
            alarms.append(
                DriftAlarm(
                    metric=metric,
                    value=latest,
                    threshold=limit,
                    window=(windows[-1].start, windows[-1].end),
                    above=len(above),
                    of=len(windows),
                    column=windows[-1].worst_column if metric == "feature_psi" else None,
                )
            )
    return sorted(alarms, key=_excess, reverse=True)


def _judged(report: DriftReport, metric: str, min_rows: int) -> float | None:
    enough = min(report.rows, report.metric_rows.get(metric, report.rows)) >= min_rows
    return report.metrics.get(metric) if enough else None


def _excess(alarm: DriftAlarm) -> float:
    return alarm.value / alarm.threshold if alarm.threshold > 0 else float("inf")
