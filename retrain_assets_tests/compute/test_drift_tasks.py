"""What the drift stage says of every task, with and without labels, segments, traffic and an older bundle."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import narwhals as nw
import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import canonical_json, sha256_hex
from retrain_assets.drift import estimate
from retrain_assets_tests.compute.conftest import Road, run_road
from retrain_assets_tests.compute.parcels import CUTOFF, HERE, contract_values, parcels, write_source

DAY = timedelta(days=1)
OWN = "retrain_assets_tests.compute.test_drift_tasks"


class SizedParcels(pa.DataFrameModel):
    """Parcels with a size as label."""

    parcel_id: str
    sent_at: Annotated[pl.Datetime, "us", "UTC"]
    depot: str
    weight: float
    rain: float
    size: str = pa.Field(nullable=True)


def bundle_of(road: Road) -> Path:
    return Path(road.training.outputs["bundle"]["uri"])


def served(road: Road, bundle: Path, folder: Path, change: Any = None) -> dict[str, str]:
    """Inputs of the stage: the hold-out as this bundle would have served it; ``change`` alters the exposures."""
    loaded, rows = load_bundle(bundle), read_tables(Path(road.features.outputs["features"]["uri"])).holdout
    scores = loaded.score(rows)
    exposures = rows.select(
        request_id=pl.concat_str(pl.lit("r"), "parcel_id"),
        unit_id="parcel_id",
        arm=pl.lit("champion"),
        bundle=pl.lit(loaded.digest),
        exposed_at="sent_at",
        score=pl.Series(scores.max(axis=1) if scores.ndim == 2 else scores),
    )
    folder.mkdir(parents=True)
    (exposures if change is None else change(exposures, rows)).write_parquet(folder / "exposures.parquet")
    outcomes = exposures.select("request_id", observed_at="exposed_at", cost=pl.lit(1.0))
    outcomes.write_parquet(folder / "outcomes.parquet")
    return {"bundle": str(bundle), **{name: str(folder / f"{name}.parquet") for name in ("exposures", "outcomes")}}


def reported(
    road: Road,
    inputs: dict[str, str],
    folder: Path,
    limits: tuple[str, ...] = ("feature_psi",),
    now: datetime = CUTOFF,
    **changes: Any,
) -> dict[str, Any]:
    """The stage's metadata over a window of eight days."""
    rule = {"window": "8d", "limits": dict.fromkeys(limits, 0.1)}
    contract = {**road.contract, "cadence": {"min_interval": "7d", "on_drift": rule}, **changes}
    parameters = {
        "now": now.isoformat(),
        "since": (CUTOFF - 8 * DAY).isoformat(),
        "bundle_digest": load_bundle(Path(inputs["bundle"])).digest,
    }
    request = StageRequest("drift", contract["model"], "drift", contract, inputs, str(folder), parameters)
    return dict(run_stage(request).metadata)


def unlabelled(road: Road) -> dict[str, Any]:
    """The contract's source, with labels that nobody knows for a month."""
    return {
        "source": {**road.contract["source"], "label_delay": "30d"},
        "window": {"train": "90d", "holdout": "40d", "backtests": 2},
        "gates": {**road.contract["gates"], "data": {**road.contract["gates"]["data"], "max_age": "40d"}},
    }


def holdout(road: Road) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Hold-out rows with their labels and scores."""
    rows = read_tables(Path(road.features.outputs["features"]["uri"])).holdout
    label = rows[road.contract["source"]["label"]]
    return rows, label.to_numpy(), load_bundle(bundle_of(road)).score(rows)


def facts_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_bundle(bundle).document("training_sketch.json")["reference"]
    return found


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


def older(bundle: Path, target: Path) -> Path:
    """The bundle as it was written before estimates, segments and label spread were kept."""
    shutil.copytree(bundle, target)
    sketch = json.loads((target / "training_sketch.json").read_text())
    for name in ("label", "estimates", "segments"):
        sketch["reference"].pop(name)
    for column in (*sketch["features"].values(), *sketch["predictions"].values()):
        for name in ("skewness", "minimum", "maximum", "whole", "fitted_on"):
            column.pop(name)
    data = canonical_json(sketch)
    (target / "training_sketch.json").write_bytes(data)
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["files"]["training_sketch.json"] = sha256_hex(data)
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


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
