"""Why a drift metric has no value in a window, in words, so that a gap in a table is never a riddle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.compute.stages.live_rows import LiveRows
from retrain_assets.compute.stages.segment_losses import segment_columns
from retrain_assets.contract import Contract
from retrain_assets.contract.contract import ESTIMATED, LABEL_METRICS
from retrain_assets.drift import DriftReport
from retrain_assets.drift.segments import LEAST_ROWS

OLD_BUNDLE = "the champion was trained before its reference was kept; the next retrain keeps it"


def undefined_metrics(report: DriftReport, contract: Contract, live: LiveRows, facts: Mapping[str, Any]) -> dict[str, str]:
    """The reason for every metric without a value: those of the report, and those with a limit that the report does not have.

    Args:
        report: the window's.
        contract: names the limits.
        live: the window's rows.
        facts: ``reference`` of the champion's training sketch.
    """
    rule = contract.cadence.on_drift
    names = dict.fromkeys([*report.metrics, *(rule.limits if rule else ())])
    missing = [name for name in names if report.metrics.get(name) is None]
    return {name: _reason(name, report, contract, live, facts) for name in missing}


def _reason(name: str, report: DriftReport, contract: Contract, live: LiveRows, facts: Mapping[str, Any]) -> str:
    if name == "feature_psi":
        return _none_of(report.metric_rows[name], "row of the window is in the source yet", "feature has rows on both sides")
    if name == "prediction_psi":
        return _none_of(report.metric_rows[name], "row was served by the champion in the window", "score is comparable")
    if name in contract.experiment.success:
        return _of_measure(report.metric_rows.get(name, 0))
    if not len(live.scores):
        return "no scored row of the window"
    if name in LABEL_METRICS:
        return _of_labels(live, facts)
    if name.startswith(ESTIMATED):
        return _of_estimate(name.removeprefix(ESTIMATED), live, facts)
    return _of_segments(contract, live, facts)


def _none_of(rows: int, without_rows: str, otherwise: str) -> str:
    return f"no {without_rows if rows == 0 else otherwise}"


def _of_measure(rows: int) -> str:
    if rows == 0:
        return "no outcome of the window is known yet"
    return "the champion's first window of service has not passed, has no outcomes, or its mean is 0"


def _of_labels(live: LiveRows, facts: Mapping[str, Any]) -> str:
    if not live.known.any():
        return "no label of a scored row is known yet"
    return OLD_BUNDLE if facts.get("label_mean") is None else "the labels have no mean"


def _of_estimate(metric: str, live: LiveRows, facts: Mapping[str, Any]) -> str:
    if "estimates" not in facts:
        return OLD_BUNDLE
    if live.known.all():
        return "every label is known: nothing to estimate"
    if metric not in facts["estimates"]:
        return f"{metric} could not be estimated on the champion's hold-out"
    waiting = live.scores[~live.known]
    if waiting.min() < 0 or waiting.max() > 1:
        return "scores are outside 0..1, so they are no probabilities"
    return f"{metric} is undefined on the scores of the rows without a label"


def _of_segments(contract: Contract, live: LiveRows, facts: Mapping[str, Any]) -> str:
    columns = segment_columns(contract)
    if not columns:
        return "the contract declares no segments and no slices"
    if "segments" not in facts:
        return OLD_BUNDLE
    if not any(facts["segments"].get(name) for name in columns):
        return f"{', '.join(columns)}: neither in the source nor among the features when the champion was trained"
    if not live.known.any():
        return "no label of a scored row is known yet"
    return f"no segment has {LEAST_ROWS} rows with a label in the window and in the champion's hold-out"
