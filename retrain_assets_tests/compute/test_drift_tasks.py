"""What the drift stage says of every task, with and without labels, segments, traffic and an older bundle."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from retrain_assets.compute import StageRequest, run_stage
from retrain_assets.drift import estimate
from retrain_assets_tests.compute.conftest import Road, run_road
from retrain_assets_tests.compute.parcels import CUTOFF, HERE, contract_values, parcels, write_source
from retrain_assets_tests.compute.served_parcels import bundle_of, facts_of, holdout, older, reported, served, unlabelled

DAY = timedelta(days=1)
OWN = "retrain_assets_tests.compute.test_drift_tasks"


def test_the_bundle_keeps_what_its_holdout_lets_expect(road: Road) -> None:
    """Estimates from the scores alone, loss per depot, spread of the label: no row is read again for any of them."""
    rows, labels, scores = holdout(road)
    facts = facts_of(bundle_of(road))
    assert facts["estimates"].keys() == {"roc_auc", "brier_score"}
    assert facts["estimates"]["roc_auc"]["value"] == pytest.approx(roc_auc_score(labels, scores), abs=0.06)
    assert facts["label"] == {"rows": len(labels), "mean": pytest.approx(labels.mean()), "std": pytest.approx(labels.std())}
    assert facts["segments"].keys() == {"depot"}
    for depot, kept in facts["segments"]["depot"].items():
        mine = (rows["depot"] == depot).to_numpy()
        assert kept["rows"] == mine.sum()
        assert kept["mean"] == pytest.approx(brier_score_loss(labels[mine], scores[mine]))
        assert kept["variance"] == pytest.approx(((scores - labels) ** 2)[mine].var(ddof=1))


def test_rows_without_a_label_are_estimated_and_only_those(road: Road, tmp_path: Path) -> None:
    """Half-way through, the labels of the last day are missing: the estimate rests on that day's scores."""
    now = CUTOFF - 4 * DAY
    found = reported(road, served(road, bundle_of(road), tmp_path / "t"), tmp_path / "o", ("estimated_roc_auc",), now)["report"]
    rows, _, scores = holdout(road)
    waiting = ((rows["sent_at"] > now - DAY) & (rows["sent_at"] < now)).to_numpy()
    assert found["metric_rows"]["estimated_roc_auc"] == waiting.sum() == 59
    expected = estimate(scores[waiting], ["roc_auc"])["roc_auc"]
    assert expected is not None
    assert found["tests"]["estimated_roc_auc"]["current"] == pytest.approx(expected.value)


def test_an_estimate_says_what_labels_would_have_said(road: Road, tmp_path: Path) -> None:
    """CBPE against the truth: the labels of the window are hidden for a month, and the estimate is near what they give."""
    found = reported(road, served(road, bundle_of(road), tmp_path / "t"), tmp_path / "o", **unlabelled(road))
    _, labels, scores = holdout(road)
    tests = found["report"]["tests"]
    assert found["report"]["metric_rows"]["estimated_roc_auc"] == len(labels)
    assert tests["estimated_roc_auc"]["current"] == pytest.approx(roc_auc_score(labels, scores), abs=0.06)
    assert tests["estimated_brier_score"]["current"] == pytest.approx(brier_score_loss(labels, scores), abs=0.03)
    assert found["report"]["metrics"]["estimated_roc_auc"] == 0, "the hold-out is its own reference"
    assert found["undefined"]["label_share"] == "no label of a scored row is known yet"


def test_scores_that_say_less_are_estimated_to_be_worse(road: Road, tmp_path: Path) -> None:
    def flattened(exposures: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        return exposures.with_columns(score=0.45 + 0.1 * pl.col("score"))

    inputs = served(road, bundle_of(road), tmp_path / "t", flattened)
    metrics = reported(road, inputs, tmp_path / "o", **unlabelled(road))["report"]["metrics"]
    assert metrics["estimated_roc_auc"] > 0.1
    assert metrics["estimated_brier_score"] > 0.03


def test_where_every_label_is_known_nothing_is_estimated(road: Road, tmp_path: Path) -> None:
    found = reported(road, served(road, bundle_of(road), tmp_path / "t"), tmp_path / "o")
    assert found["report"]["metrics"]["estimated_roc_auc"] is None
    assert found["undefined"]["estimated_roc_auc"] == "every label is known: nothing to estimate"


def test_a_segment_that_went_wrong_is_found_by_its_name(road: Road, tmp_path: Path) -> None:
    """Only the harbour's scores are turned round; the loss of the whole hides it, the segment does not."""

    def turned(exposures: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        wrong = pl.when(rows["depot"] == "harbour").then(1 - pl.col("score")).otherwise(pl.col("score"))
        return exposures.with_columns(score=wrong)

    inputs = served(road, bundle_of(road), tmp_path / "t", turned)
    report = reported(road, inputs, tmp_path / "o", ("segment_loss",))["report"]
    rows, labels, scores = holdout(road)
    harbour = (rows["depot"] == "harbour").to_numpy()
    grown = brier_score_loss(labels[harbour], 1 - scores[harbour]) - brier_score_loss(labels[harbour], scores[harbour])
    assert report["metrics"]["segment_loss"] == pytest.approx(grown)
    assert [(one["value"], one["drifted"]) for one in report["segments"]] == [
        ("harbour", True),
        ("north", False),
        ("south", False),
    ]
    assert report["metric_rows"]["segment_loss"] == len(labels)


def test_segments_of_the_same_rows_have_not_drifted(road: Road, tmp_path: Path) -> None:
    report = reported(road, served(road, bundle_of(road), tmp_path / "t"), tmp_path / "o", ("segment_loss",))["report"]
    assert report["metrics"]["segment_loss"] == 0
    assert {one["increase"] for one in report["segments"]} == {0.0}


def test_a_segment_column_may_be_one_that_is_no_feature(tmp_path: Path) -> None:
    """It is read from the data set when the champion is trained, and from the source later."""
    source = write_source(tmp_path / "source")
    slices = {"columns": ["depot"], "metric": "roc_auc", "max_regression": 0.2}
    values = contract_values(source, features=f"{HERE}.build_without_weight")
    values["gates"]["offline"]["slices"] = slices
    values["features"] = f"{OWN}.build_without_depot"
    found = run_road(tmp_path / "road", values)
    request = StageRequest(
        "training",
        "parcel_delay",
        "r",
        values,
        {name: found.inputs()[name] for name in ("features", "dataset")},
        str(tmp_path / "out"),
    )
    assert facts_of(bundle_of(found))["segments"] == {}, "without the data set it is unknown"
    found = Road(found.folder, values, found.dataset, found.features, run_stage(request))
    assert facts_of(bundle_of(found))["segments"]["depot"].keys() == {"north", "south", "harbour"}
    report = reported(found, served(found, bundle_of(found), tmp_path / "t"), tmp_path / "o", ("segment_loss",))["report"]
    assert report["segments_tested"] == 3


def build_without_depot(rows: Any) -> Any:
    return rows.select("parcel_id", "weight", "rain")


def test_a_segment_is_that_of_the_feature_where_the_source_has_a_column_of_its_name(tmp_path: Path) -> None:
    """Reference and window must speak of the same segments, however the feature function rewrites them."""
    values = contract_values(write_source(tmp_path / "source"), features=f"{OWN}.build_with_loud_depot")
    found = run_road(tmp_path / "road", values)
    assert facts_of(bundle_of(found))["segments"]["depot"].keys() == {"NORTH", "SOUTH", "HARBOUR"}
    report = reported(found, served(found, bundle_of(found), tmp_path / "t"), tmp_path / "o", ("segment_loss",))["report"]
    assert report["segments_tested"] == 3


def build_with_loud_depot(rows: Any) -> Any:
    return rows.select("parcel_id", nw.col("depot").str.to_uppercase(), "weight", "rain")


def test_a_champion_without_segments_has_no_segment_loss(road: Road, tmp_path: Path) -> None:
    gates = json.loads(json.dumps(road.contract["gates"]))
    gates["offline"].pop("slices")
    found = reported(road, served(road, bundle_of(road), tmp_path / "t"), tmp_path / "o", gates=gates)
    assert "segment_loss" not in found["report"]["metrics"]
    assert found["report"]["segments"] == []


def test_a_bundle_of_the_earlier_format_is_reported_on_and_says_what_it_lacks(road: Road, tmp_path: Path) -> None:
    bundle = older(bundle_of(road), tmp_path / "older")
    found = reported(
        road, served(road, bundle, tmp_path / "t"), tmp_path / "o", ("segment_loss", "estimated_roc_auc", "feature_psi")
    )
    assert found["report"]["metrics"]["label_share"] == 0
    assert found["report"]["metrics"]["feature_psi"] is not None
    lacking = "the champion was trained before its reference was kept; the next retrain keeps it"
    assert {name: found["undefined"][name] for name in ("segment_loss", "estimated_roc_auc")} == {
        "segment_loss": lacking,
        "estimated_roc_auc": lacking,
    }


def test_without_traffic_and_without_source_rows_every_gap_has_its_reason(road: Road, tmp_path: Path) -> None:
    """A window long after the last row: nothing is served, nothing is in the source, and nothing breaks."""
    inputs = served(road, bundle_of(road), tmp_path / "t")
    found = reported(road, inputs, tmp_path / "o", ("feature_psi", "cost", "segment_loss"), CUTOFF + 100 * DAY)
    assert found["report"]["rows"] == 0
    assert set(found["report"]["metrics"].values()) == {None}
    assert found["undefined"].keys() == {*found["report"]["metrics"], "segment_loss"}
    assert found["undefined"]["feature_psi"] == "no row of the window is in the source yet"
    assert found["undefined"]["prediction_psi"] == "no row was served by the champion in the window"
    assert found["undefined"]["cost"] == "no outcome of the window is known yet"
    assert found["histograms"]["features"] == {}


def test_nothing_served_leaves_the_features_judged(road: Road, tmp_path: Path) -> None:
    inputs = served(road, bundle_of(road), tmp_path / "t", lambda exposures, rows: exposures.clear())
    found = reported(road, inputs, tmp_path / "o")
    assert found["report"]["metrics"]["feature_psi"] is not None
    assert found["undefined"]["label_share"] == "no scored row of the window"


def test_scores_that_are_no_probabilities_are_not_estimated_from(road: Road, tmp_path: Path) -> None:
    inputs = served(road, bundle_of(road), tmp_path / "t", lambda frame, rows: frame.with_columns(pl.col("score") + 0.7))
    found = reported(road, inputs, tmp_path / "o", ("estimated_roc_auc",), **unlabelled(road))
    assert found["undefined"]["estimated_roc_auc"] == "scores are outside 0..1, so they are no probabilities"


def test_the_worst_features_that_count_are_kept_for_pictures(road: Road, tmp_path: Path) -> None:
    """Heavier parcels in the window: weight and what is made of it are pictured, what has not moved is not."""
    heavier = parcels().with_columns(
        weight=pl.when(pl.col("sent_at") >= CUTOFF - 8 * DAY).then(pl.col("weight") * 2).otherwise("weight")
    )
    source = {**road.contract["source"], "uri": str(write_source(tmp_path / "source", heavier) / "*.parquet")}
    found = reported(road, served(road, bundle_of(road), tmp_path / "t"), tmp_path / "o", source=source)
    assert next(iter(found["histograms"]["features"])) == found["report"]["worst_column"] == "weight"
    assert "rain" not in found["histograms"]["features"]
    pair = found["histograms"]["features"]["weight"]
    assert pair["reference"]["edges"] == pair["window"]["edges"]
    assert found["histograms"]["scores"].keys() == {"score"}
