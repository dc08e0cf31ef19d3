"""What the drift stage says of champions that tell several classes or a number."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from sklearn.metrics import log_loss

from retrain_assets.bundle import load_bundle
from retrain_assets_tests.compute.conftest import Road, run_road
from retrain_assets_tests.compute.parcels import CUTOFF, contract_values, parcels, write_source
from retrain_assets_tests.compute.served_parcels import bundle_of, facts_of, holdout, older, reported, served, unlabelled

DAY = timedelta(days=1)
OWN = "retrain_assets_tests.compute.test_drift_other_tasks"


class SizedParcels(pa.DataFrameModel):
    """Parcels with a size as label."""

    parcel_id: str
    sent_at: Annotated[pl.Datetime, "us", "UTC"]
    depot: str
    weight: float
    rain: float
    size: str = pa.Field(nullable=True)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Road:
    """A model of three classes."""
    folder = tmp_path_factory.mktemp("sizes")
    weight = pl.col("weight")
    size = pl.when(weight < 3).then(pl.lit("s")).when(weight < 6).then(pl.lit("m")).otherwise(pl.lit("l"))
    noisy = pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("m")).otherwise(size)
    rows = parcels().select("parcel_id", "sent_at", "depot", "weight", "rain", size=noisy)
    values = contract_values(write_source(folder / "source", rows))
    values |= {"model": "parcel_size", "task": "multiclass", "decision": None}
    values["source"] |= {"label": "size", "schema": f"{OWN}.SizedParcels", "known_after_prediction": []}
    metrics = {"accuracy": {"min": 0.5}, "log_loss": {"max": 2}, "f1_macro": {"min": 0.1}}
    slices = {"columns": ["depot"], "metric": "accuracy", "max_regression": 0.3}
    values["gates"]["offline"] = {"metrics": metrics, "slices": slices}
    values["cadence"] = {"min_interval": "7d", "on_drift": {"window": "8d"}}
    return run_road(folder / "road", values)


def test_several_classes_are_compared_class_by_class(sizes: Road, tmp_path: Path) -> None:
    """Only the likeliest class's probability is logged, so the served rows are scored again."""
    inputs = served(sizes, bundle_of(sizes), tmp_path / "t")
    found = reported(sizes, inputs, tmp_path / "o", ("prediction_psi", "segment_loss", "estimated_accuracy"))
    report = found["report"]
    assert report["predictions"].keys() == {"score_s", "score_m", "score_l"}
    assert report["metrics"]["prediction_psi"] == 0
    assert report["metric_rows"]["prediction_psi"] == holdout(sizes)[0].height
    assert report["metrics"]["segment_loss"] == 0
    assert "label_share" not in report["metrics"]


def test_the_loss_of_several_classes_is_their_log_loss(sizes: Road) -> None:
    rows, labels, scores = holdout(sizes)
    classes = list(load_bundle(bundle_of(sizes)).manifest.classes)
    assert facts_of(bundle_of(sizes))["label"]["counts"] == {name: int((labels == name).sum()) for name in classes}
    for depot, kept in facts_of(bundle_of(sizes))["segments"]["depot"].items():
        mine = (rows["depot"] == depot).to_numpy()
        assert kept["mean"] == pytest.approx(log_loss(labels[mine], scores[mine], labels=classes))


def test_several_classes_are_estimated_where_labels_are_missing(sizes: Road, tmp_path: Path) -> None:
    found = reported(sizes, served(sizes, bundle_of(sizes), tmp_path / "t"), tmp_path / "o", **unlabelled(sizes))
    _, labels, scores = holdout(sizes)
    classes = np.array(load_bundle(bundle_of(sizes)).manifest.classes)
    right = float((classes[scores.argmax(axis=1)] == labels).mean())
    assert found["report"]["tests"]["estimated_accuracy"]["current"] == pytest.approx(right, abs=0.06)


def test_a_class_that_the_champion_never_saw_breaks_nothing(sizes: Road, tmp_path: Path) -> None:
    frames = [pl.read_parquet(path) for path in sorted(Path(sizes.contract["source"]["uri"]).parent.glob("*.parquet"))]
    strange = pl.concat(frames).with_columns(
        size=pl.when(pl.col("sent_at") > CUTOFF - 3 * DAY).then(pl.lit("xxl")).otherwise("size")
    )
    source = {**sizes.contract["source"], "uri": str(write_source(tmp_path / "source", strange) / "*.parquet")}
    found = reported(sizes, served(sizes, bundle_of(sizes), tmp_path / "t"), tmp_path / "o", source=source)
    assert 0 < found["report"]["metric_rows"]["segment_loss"] < holdout(sizes)[0].height


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Road:
    """A regression, of transit in hundreds of hours: means between 0 and 1 that are no shares."""
    folder = tmp_path_factory.mktemp("hours")
    values = contract_values(write_source(folder / "source", slower_by(0.0)))
    values |= {"model": "parcel_hours", "task": "regression", "decision": None}
    values["source"] |= {"label": "transit_hours", "known_after_prediction": ["late"]}
    values["trainer"] = {"estimator": "sklearn.linear_model.Ridge", "params": {}, "seed": 7}
    values["experiment"]["segments"] = ["depot"]
    values["gates"]["offline"] = {"metrics": {"r2": {"min": -1}}}
    values["gates"]["data"] = {"min_rows": 1000, "min_holdout_rows": 100, "max_age": "3d"}
    values["cadence"] = {"min_interval": "7d", "on_drift": {"window": "8d"}}
    return run_road(folder / "road", values)


def slower_by(hundreds: float) -> pl.DataFrame:
    """Parcels that took longer in the window."""
    late = pl.when(pl.col("sent_at") >= CUTOFF - 8 * DAY).then(hundreds).otherwise(0.0)
    return parcels().with_columns(transit_hours=pl.col("transit_hours") / 100 + late)


def source_of(road: Road, folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    return {**road.contract["source"], "uri": str(write_source(folder, rows) / "*.parquet")}


def test_a_regression_has_labels_and_biases_in_their_own_unit(hours: Road, tmp_path: Path) -> None:
    """Five hours more for every parcel: the mean label moves by five, beyond chance, and so does the bias."""
    inputs, limits = served(hours, bundle_of(hours), tmp_path / "t"), ("label_share", "calibration_bias")
    now = reported(hours, inputs, tmp_path / "o", limits)["report"]
    source = source_of(hours, tmp_path / "source", slower_by(0.05))
    then = reported(hours, inputs, tmp_path / "p", limits, source=source)["report"]
    assert now["metrics"]["label_share"] == 0
    assert then["metrics"]["label_share"] == pytest.approx(0.05)
    assert then["tests"]["label_share"]["drifted"]
    assert then["metrics"]["calibration_bias"] == pytest.approx(0.05, abs=0.02)
    assert not [name for name in then["metrics"] if name.startswith("estimated")]


def test_a_regressions_loss_is_measured_in_variances_of_its_label(hours: Road) -> None:
    rows, labels, scores = holdout(hours)
    for depot, kept in facts_of(bundle_of(hours))["segments"]["depot"].items():
        mine = (rows["depot"] == depot).to_numpy()
        assert kept["mean"] == pytest.approx(((scores - labels) ** 2)[mine].mean() / labels.var())


def test_the_spread_of_a_regressions_label_tells_a_change_from_chance(hours: Road, tmp_path: Path) -> None:
    """Half an hour of fifteen is chance for 421 parcels; an older bundle does not know the spread and shows the gap as it is."""
    source = source_of(hours, tmp_path / "source", slower_by(0.005))
    inputs = served(hours, bundle_of(hours), tmp_path / "t")
    assert reported(hours, inputs, tmp_path / "o", source=source)["report"]["metrics"]["label_share"] == 0
    inputs = served(hours, older(bundle_of(hours), tmp_path / "older"), tmp_path / "u")
    assert reported(hours, inputs, tmp_path / "p", source=source)["report"]["metrics"]["label_share"] == pytest.approx(0.005)
