"""Drift counts by what the model uses; labels, calibration and success measures by what happened."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from scipy.stats import ttest_ind_from_stats

from retrain_assets.contract import canonical_json
from retrain_assets.drift import DriftReport, Estimate, LiveLabels, MeasureChange, SegmentLoss, drift_report, sketch_frame

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


def test_every_distance_of_a_column_is_in_the_report() -> None:
    live = LIVE.with_columns(row_number=pl.when(pl.col("hour") == 3).then(None).otherwise(pl.col("row_number")))
    found = report({"hour": 4.0, "row_number": 1.0, "unknown": 8.0}, live=live, false_alarms=0.05)
    moved, still = found.columns["row_number"], found.columns["hour"]
    assert (moved.importance, moved.weight, still.weight) == (1.0, 0.25, 1.0)
    assert (moved.drifted, still.drifted) == (True, False)
    assert (still.psi, still.corrected_psi, still.p_value) == pytest.approx((0, 0, 1))
    assert (still.jensen_shannon, still.kolmogorov_smirnov) == pytest.approx((0, 0))
    assert 0 < still.kolmogorov_smirnov_error < 0.1
    assert abs(moved.wasserstein - 5000) <= moved.wasserstein_error
    assert moved.wasserstein_stds == pytest.approx(moved.wasserstein / TRAINED["row_number"].std(ddof=0))
    assert (moved.missing_before, moved.missing_after) == pytest.approx((0, 1 / 24))
    assert (moved.mean_before, moved.mean_after) == pytest.approx((599.5, live["row_number"].mean()))
    assert found.metrics["feature_psi"] == moved.weighted_psi == pytest.approx(moved.corrected_psi / 4)
    assert found.predictions["score"].adjusted_p_value == 1
    assert found.false_alarms == 0.05


def test_a_difference_within_chance_does_not_count() -> None:
    calm = LIVE.with_columns(row_number=pl.Series(range(1200)).sample(1200, with_replacement=True, seed=1))
    found = report({"hour": 1.0, "row_number": 1.0}, live=calm)
    assert found.per_column["row_number"] > 0
    assert (found.metrics["feature_psi"], found.metrics["prediction_psi"], found.worst_column) == (0, 0, None)


@pytest.mark.parametrize(
    ("labels", "share"),
    [
        pytest.param(LiveLabels(800, 0.31, 0.25, 0.2, reference_rows=5000), 0.11, id="a share beyond chance"),
        pytest.param(LiveLabels(40, 0.25, 0.25, 0.2, reference_rows=5000), 0.0, id="a share within chance"),
        pytest.param(LiveLabels(800, 12.0, 9.0, 10.0, 5000, 9.0, 9.0), 2.0, id="a mean beyond chance"),
        pytest.param(LiveLabels(800, 10.1, 9.0, 10.0, 5000, 9.0, 9.0), 0.0, id="a mean within chance"),
        pytest.param(LiveLabels(40, 0.25, 0.25, 0.2), 0.05, id="a share that cannot be tested"),
        pytest.param(LiveLabels(800, 10.1, 9.0, 10.0, 5000), 0.1, id="a mean without its spread"),
        pytest.param(LiveLabels(0, None, None, 0.2, 5000), None, id="no labels"),
    ],
)
def test_label_share_counts_beyond_chance_and_calibration_bias_as_it_is(labels, share) -> None:
    found = report({"hour": 1.0}, labels=labels)
    assert found.metrics["label_share"] == (None if share is None else pytest.approx(share))
    bias = None if labels.label_mean is None else pytest.approx(abs(labels.prediction_mean - labels.label_mean))
    assert found.metrics["calibration_bias"] == bias


def test_a_mean_label_may_change_in_either_direction() -> None:
    for mean in (10.3, 9.7):
        found = report({"hour": 1.0}, labels=LiveLabels(800, mean, 9.0, 10.0, 5000, 9.0, 8.0)).tests["label_share"]
        assert found.p_value == pytest.approx(ttest_ind_from_stats(mean, 3, 800, 10, 8**0.5, 5000, equal_var=False).pvalue)


def test_an_estimated_metric_counts_where_it_is_worse_beyond_chance() -> None:
    def at(value: float) -> Estimate:
        return Estimate(value, standard_error=0.004, label_error=0.01, rows=900)

    found = report(
        {"hour": 1.0},
        estimates={
            "roc_auc": (at(0.75), at(0.65)),
            "accuracy": (at(0.75), at(0.85)),
            "log_loss": (at(0.5), at(0.6)),
            "brier_score": (at(0.1), at(0.105)),
            "f1": (at(0.5), None),
        },
    )
    metrics = {name: value for name, value in found.metrics.items() if name.startswith("estimated_")}
    assert metrics == {
        "estimated_roc_auc": pytest.approx(0.1),
        "estimated_accuracy": 0,
        "estimated_log_loss": pytest.approx(0.1),
        "estimated_brier_score": 0,
        "estimated_f1": None,
    }
    assert (found.tests["estimated_roc_auc"].reference, found.tests["estimated_roc_auc"].current) == (0.75, 0.65)
    assert (found.metric_rows["estimated_roc_auc"], found.metric_rows["estimated_f1"]) == (900, 0)


def segment(value: str, mean: float, rows: int = 400) -> SegmentLoss:
    return SegmentLoss("origin", value, rows, mean, 0.04, 2000, 0.15, 0.04)


def test_segment_loss_is_the_largest_increase_beyond_chance() -> None:
    found = report({"hour": 1.0}, segments=[segment("JFK", 0.16), segment("LGA", 0.25), segment("EWR", 0.4, rows=5)])
    assert found.metrics["segment_loss"] == pytest.approx(0.1)
    assert found.worst_segment.name == "origin = LGA"
    assert (found.segments_tested, found.metric_rows["segment_loss"]) == (2, 805)
    calm = report({"hour": 1.0}, segments=[segment("JFK", 0.16)])
    assert (calm.metrics["segment_loss"], calm.worst_segment) == (0, None)
    assert report({"hour": 1.0}, segments=[]).metrics["segment_loss"] is None
    assert "segment_loss" not in report({"hour": 1.0}).metrics


def test_looking_at_more_makes_each_look_stricter() -> None:
    alone = report({"hour": 1.0}, segments=[segment("JFK", 0.18)])
    among_many = report({"hour": 1.0}, segments=[segment("JFK", 0.18), *(segment(f"N{place}", 0.15) for place in range(300))])
    assert (alone.metrics["segment_loss"], among_many.metrics["segment_loss"]) == (pytest.approx(0.03), 0)
    assert (among_many.segments_tested, len(among_many.segments)) == (301, 50)


def test_json_keeps_the_report() -> None:
    found = report(
        {"hour": 1.0, "row_number": 1.0},
        labels=LiveLabels(800, 0.31, 0.25, 0.2, 5000),
        segments=[segment("LGA", 0.25)],
        estimates={"roc_auc": (Estimate(0.7, 0.01, 0.01, 500), Estimate(0.6, 0.01, 0.01, 500))},
    )
    assert DriftReport.from_json(json.loads(canonical_json(found.to_json()))) == found


def test_a_report_made_before_chance_was_tested_is_read() -> None:
    old = {
        "start": START.isoformat(),
        "end": END.isoformat(),
        "rows": 1200,
        "metrics": {"feature_psi": 0.3},
        "metric_rows": {"feature_psi": 1200},
        "per_column": {"hour": 0.3},
        "worst_column": "hour",
    }
    read = DriftReport.from_json(old)
    assert (read.metrics, read.worst_column, read.columns, read.false_alarms) == ({"feature_psi": 0.3}, "hour", {}, None)
    assert (read.worst_prediction, read.worst_segment) == (None, None)
