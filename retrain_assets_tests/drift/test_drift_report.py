"""Drift counts by what the model uses; labels, calibration and success measures by what happened."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from retrain_assets.drift import DriftReport, LiveLabels, MeasureChange, drift_report, sketch_frame

START, END = datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 7, 1, tzinfo=UTC)
TRAINED = pl.DataFrame({"hour": list(range(24)) * 50, "row_number": range(1200)})
LIVE = pl.DataFrame({"hour": list(range(24)) * 50, "row_number": range(5000, 6200)})
SCORES = pl.DataFrame({"score": [0.1, 0.2, 0.3, 0.4] * 300})


def report(importance: dict[str, float], live: pl.DataFrame = LIVE, **changes) -> DriftReport:
    features = sketch_frame(TRAINED, columns=TRAINED.columns)
    scores = sketch_frame(SCORES, columns=["score"])
    values = {
        "start": START,
        "end": END,
        "features": (features, sketch_frame(live, columns=TRAINED.columns, edges=features)),
        "predictions": (scores, scores),
        "importance": importance,
    }
    return drift_report(**(values | changes))


def test_drift_in_a_feature_the_model_does_not_use_is_shown_but_does_not_count() -> None:
    unused = report({"hour": 10.0, "row_number": 0.0})
    assert unused.per_column["row_number"] > 1
    assert unused.metrics["feature_psi"] == pytest.approx(0)


def test_drift_counts_in_proportion_to_importance_and_names_the_feature() -> None:
    top, half = report({"hour": 1.0, "row_number": 2.0}), report({"hour": 2.0, "row_number": 1.0})
    assert top.worst_column == "row_number"
    assert top.metrics["feature_psi"] == top.columns["row_number"].corrected_psi == pytest.approx(2 * half.metrics["feature_psi"])
    assert 0 < top.per_column["row_number"] - top.columns["row_number"].corrected_psi < 0.05


def test_labels_calibration_and_measures_are_compared_with_the_reference() -> None:
    found = report(
        {"hour": 1.0},
        labels=LiveLabels(rows=800, label_mean=0.31, prediction_mean=0.25, reference_label_mean=0.2),
        measures={
            "cost_per_flight": MeasureChange(rows=800, reference=8.0, current=10.0, direction="decrease"),
            "revenue": MeasureChange(rows=700, reference=8.0, current=10.0, direction="increase"),
            "undefined": MeasureChange(rows=0, reference=0.0, current=None, direction="increase"),
        },
    )
    assert found.metrics["label_share"] == pytest.approx(0.11)
    assert found.metrics["calibration_bias"] == pytest.approx(0.06)
    assert found.metrics["cost_per_flight"] == pytest.approx(0.25)
    assert found.metrics["revenue"] == pytest.approx(-0.25)
    assert found.metrics["undefined"] is None
    assert (found.rows, found.metric_rows["label_share"], found.metric_rows["revenue"]) == (1200, 800, 700)


def test_an_empty_window_has_no_numbers() -> None:
    empty = report({"hour": 1.0}, live=LIVE.clear())
    assert (empty.metrics["feature_psi"], empty.per_column["hour"], empty.worst_column) == (None, None, None)


def test_json_keeps_the_report() -> None:
    found = report({"hour": 1.0}, labels=LiveLabels(0, None, None, None))
    assert DriftReport.from_json(json.loads(json.dumps(found.to_json()))) == found
