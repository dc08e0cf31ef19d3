from __future__ import annotations

from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest

from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import Gate, Outcome, StageError
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import HERE

MINE = "retrain_assets_tests.compute.test_features"


def build_target_encoding(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", "rain", depot_rate=nw.col("late").cast(nw.Float64).mean().over("depot"))


def build_window_mean(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", "rain", relative=nw.col("weight") - nw.col("weight").mean())


def build_without_outcome_fails(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    if rows.get_column("transit_hours").null_count():
        raise ValueError("transit_hours has gaps")
    return rows.select("parcel_id", "rain")


def build_constant(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", "rain", country=nw.lit("nz"))


def built(road: Road, folder: Path, function: str, module: str = HERE) -> StageResult:
    contract = {**road.contract, "features": f"{module}.{function}"}
    inputs = {"dataset": road.inputs()["dataset"]}
    return run_stage(StageRequest("features", "parcel_delay", "r", contract, inputs, str(folder / function)))


def test_the_snapshot_holds_key_label_and_features_of_every_row(road: Road) -> None:
    rows = read_tables(Path(road.inputs()["dataset"]))
    features = read_tables(Path(road.inputs()["features"]))
    assert features.train.columns == ["parcel_id", "sent_at", "late", "depot", "weight", "rain", "heavy"]
    assert features.train["parcel_id"].equals(rows.train["parcel_id"])
    assert features.holdout["late"].equals(rows.holdout["late"])
    assert features.about["dataset"] == rows.digest
    assert features.about["feature_dtypes"] == {
        "depot": "categorical",
        "weight": "numeric",
        "rain": "numeric",
        "heavy": "boolean",
    }


def test_the_pipeline_version_is_of_function_and_source(road: Road, tmp_path: Path) -> None:
    version = road.features.metadata["feature_pipeline"]
    assert built(road, tmp_path, "build").metadata["feature_pipeline"] == version
    assert built(road, tmp_path, "build_without_weight").metadata["feature_pipeline"] != version


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("build_fewer_rows", r"returned \d+ rows for 2400; return exactly one feature row per row"),
        ("build_other_order", r"returned other values of 'parcel_id', or the rows in another order"),
        ("build_without_unit", r"does not return the unit column 'parcel_id'"),
        ("build_with_label", r"returns the label 'late' as a feature"),
        ("build_nothing", r"returns no feature besides 'parcel_id'"),
        ("build_twice", r"raised .*rain"),
        ("build_native", r"returned DataFrame; return a narwhals DataFrame"),
        ("build_raises", r"raised ZeroDivisionError: no depot today"),
        ("build_nowhere", r"has no build_nowhere; did you mean retrain_assets_tests\.compute\.parcels\.build_"),
    ],
)
def test_a_function_that_does_not_keep_to_the_rows_is_refused(road: Road, tmp_path: Path, function: str, message: str) -> None:
    with pytest.raises(StageError, match=message) as refusal:
        built(road, tmp_path, function)
    assert "\n" not in refusal.value.line


def test_a_feature_known_only_later_fails_the_data_gate(road: Road, tmp_path: Path) -> None:
    failed = {verdict.check: verdict for verdict in built(road, tmp_path, "build_leaky").verdicts_of(Gate.DATA)}
    assert failed["features_are_known_in_time"].outcome is Outcome.FAIL
    assert "transit_hours" in failed["features_are_known_in_time"].message
    assert failed["no_single_feature_separates_label"].outcome is Outcome.FAIL


def test_honest_features_pass(road: Road) -> None:
    assert {verdict.outcome for verdict in road.features.verdicts_of(Gate.DATA)} == {Outcome.PASS}


def test_a_column_that_is_empty_in_one_window_has_one_type(road: Road, tmp_path: Path) -> None:
    assert (
        read_tables(Path(built(road, tmp_path, "build_empty_column").outputs["features"]["uri"])).train["empty"].dtype
        == pl.Float64
    )


@pytest.mark.parametrize(
    ("function", "failing", "words"),
    [
        (
            "build_target_encoding",
            {"features_are_known_in_time", "features_match_serving"},
            "depot_rate (80 rows; outcomes of other rows, not known yet)",
        ),
        ("build_window_mean", {"features_match_serving"}, "relative (32 of 32; other rows of its batch)"),
        (
            "build_without_outcome_fails",
            {"features_are_known_in_time", "features_match_serving"},
            "the function fails without transit_hours",
        ),
        ("build_constant", {"features_vary"}, "country is constant (nz)"),
    ],
)
def test_each_way_to_build_features_wrongly_is_stopped_by_the_check_that_is_about_it(
    road: Road, tmp_path: Path, function: str, failing: set[str], words: str
) -> None:
    verdicts = built(road, tmp_path, function, MINE).verdicts_of(Gate.DATA)
    failed = {verdict.check: verdict for verdict in verdicts if not verdict.passed}
    assert failing <= set(failed)
    assert set(failed) <= {*failing, "no_value_determines_label", "holdout_resembles_training"}
    assert any(words in verdict.message for verdict in failed.values()), [verdict.message for verdict in failed.values()]
