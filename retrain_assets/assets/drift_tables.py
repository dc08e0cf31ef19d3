"""The tables of a drift report as a person reads them on the asset's page: metrics, columns and segments, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from retrain_assets.assets.faces import table
from retrain_assets.contract import DriftRule
from retrain_assets.drift import ColumnDrift, DriftAlarm, DriftReport, judged


def alarm_table(alarms: Sequence[DriftAlarm], rule: DriftRule) -> dg.MetadataValue | str:
    """What is above its limit often enough for a retrain, as the drift sensor will see it; in words where nothing is."""
    if not alarms:
        return f"none: nothing is above its limit now and in {rule.at_least} of the last {rule.of_last} windows"
    return table(
        (
            {
                "metric": alarm.metric,
                "value": alarm.value,
                "limit": alarm.threshold,
                "where": alarm.column or alarm.segment,
                "windows above": f"{alarm.above} of {alarm.of}",
            }
            for alarm in alarms
        ),
        as_written=True,
    )


def metric_table(report: DriftReport, rule: DriftRule, undefined: Mapping[str, str]) -> dg.MetadataValue:
    """Every metric with its value, limit and rows; those with a limit first, and why one has no value or gives no verdict."""
    names = dict.fromkeys([*rule.limits, *report.metrics])
    return table(
        (
            {
                "metric": name,
                "value": report.metrics.get(name),
                "limit": rule.limits.get(name),
                "above limit": _above(report, name, rule),
                "note": _note(report, name, rule, undefined),
                "rows": report.metric_rows.get(name, 0),
            }
            for name in names
        ),
        as_written=True,
    )


def column_table(report: DriftReport) -> dg.MetadataValue:
    """Every feature, and the scores: by what counts towards the limit, then by what would if the model used it."""
    rows = [(name, "feature", drift) for name, drift in report.columns.items()]
    rows += [(name, "score", drift) for name, drift in report.predictions.items()]
    rows.sort(key=lambda row: (-(row[2].weighted_psi or 0.0), -(row[2].psi or 0.0), row[0]))
    return table((_column(name, kind, drift) for name, kind, drift in rows), as_written=True)


def segment_table(report: DriftReport) -> dg.MetadataValue:
    """Loss per segment against the hold-out, the largest growth first."""
    return table(
        (
            {
                "segment": segment.name,
                "drifted": segment.drifted,
                "increase": segment.increase,
                "loss before": segment.reference_mean,
                "loss now": segment.mean,
                "p adjusted": segment.adjusted_p_value,
                "rows": segment.rows,
            }
            for segment in report.segments
        ),
        as_written=True,
    )


def _note(report: DriftReport, name: str, rule: DriftRule, undefined: Mapping[str, str]) -> str | None:
    if report.metrics.get(name) is None:
        return undefined.get(name, "not measured in this window")
    if name in rule.limits and not judged(report, name, rule):
        return f"no verdict: fewer rows than min_rows {rule.min_rows:,}"
    if name == "feature_psi" and report.worst_column:
        return f"worst: {report.worst_column}"
    if name == "segment_loss" and report.worst_segment:
        return f"worst: {report.worst_segment.name}"
    if name in report.tests:
        test = report.tests[name]
        return f"{test.reference:.4g} in training, {test.current:.4g} here" + ("" if test.drifted else ", within chance")
    return None


def _above(report: DriftReport, name: str, rule: DriftRule) -> bool | None:
    value, limit = report.metrics.get(name), rule.limits.get(name)
    return None if value is None or limit is None or not judged(report, name, rule) else value > limit


def _column(name: str, kind: str, drift: ColumnDrift) -> dict[str, str | float | bool | None]:
    return {
        "column": name,
        "drifted": drift.drifted,
        "PSI that counts": drift.weighted_psi,
        "PSI": drift.psi,
        "importance": drift.importance,
        "p adjusted": drift.adjusted_p_value,
        "mean before": drift.mean_before,
        "mean now": drift.mean_after,
        "no value before": drift.missing_before,
        "no value now": drift.missing_after,
        "KS": drift.kolmogorov_smirnov,
        "KS error": drift.kolmogorov_smirnov_error,
        "JS": drift.jensen_shannon,
        "Wasserstein, std": drift.wasserstein_stds,
        "kind": kind,
    }
