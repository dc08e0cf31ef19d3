"""From drift reports and the contract's limits to alarms. An alarm is what launches a retrain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrain_assets.contract import DriftRule
from retrain_assets.drift.report import DriftReport

LEAST_STEP = 0.25
"""Share of a window's length by which an earlier one must end before it to count beside it."""


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
        column: for ``feature_psi`` and ``prediction_psi`` the column it comes from.
        segment: for ``segment_loss`` the segment it comes from, ``origin = JFK``.
    """

    metric: str
    value: float
    threshold: float
    window: tuple[datetime, datetime]
    above: int
    of: int
    column: str | None = None
    segment: str | None = None

    @property
    def message(self) -> str:
        """The alarm as one sentence."""
        cause = f" ({self.column or self.segment})" if self.column or self.segment else ""
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
            "segment": self.segment,
            "message": self.message,
        }


def drift_verdicts(history: Sequence[DriftReport], rule: DriftRule) -> list[DriftAlarm]:
    """The alarms as of the latest window, the one farthest above its limit first; empty where there is no verdict.

    A metric raises an alarm when it is above its limit in the latest window and in at least ``rule.at_least`` of the last
    ``rule.of_last`` windows. A window in which the metric rests on fewer than ``rule.min_rows`` rows, or is undefined, counts as
    a window but never as one above. Windows that lie almost on top of each other are no two looks: going back from the latest,
    a report counts only if its window ends at least a quarter of the later one's length earlier; of a window that was reported
    twice, the later report counts.

    Args:
        history: reports of one champion, in any order.
        rule: limits and k of n.
    """
    windows = distinct_windows(history)[-rule.of_last :]
    alarms = []
    for metric, limit in rule.limits.items():
        values = [report.metrics.get(metric) if judged(report, metric, rule) else None for report in windows]
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
                    column=_column(windows[-1], metric),
                    segment=_segment(windows[-1], metric),
                )
            )
    return sorted(alarms, key=_excess, reverse=True)


def distinct_windows(history: Sequence[DriftReport]) -> list[DriftReport]:
    """The reports whose windows count as windows of their own, in the order of their ends; see :func:`drift_verdicts`."""
    by_window = {(report.end, report.start): report for report in history}
    kept: list[DriftReport] = []
    for key in sorted(by_window, reverse=True):
        report = by_window[key]
        if not kept or kept[-1].end - report.end >= (kept[-1].end - kept[-1].start) * LEAST_STEP:
            kept.append(report)
    return kept[::-1]


def _column(report: DriftReport, metric: str) -> str | None:
    return {"feature_psi": report.worst_column, "prediction_psi": report.worst_prediction}.get(metric)


def _segment(report: DriftReport, metric: str) -> str | None:
    worst = report.worst_segment if metric == "segment_loss" else None
    return worst.name if worst else None


def judged(report: DriftReport, metric: str, rule: DriftRule) -> bool:
    """Whether a metric rests on enough rows of a window for a verdict."""
    return min(report.rows, report.metric_rows.get(metric, report.rows)) >= rule.min_rows


def _excess(alarm: DriftAlarm) -> float:
    return alarm.value / alarm.threshold if alarm.threshold > 0 else float("inf")
