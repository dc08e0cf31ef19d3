"""The same sketches, metrics, intervals and reports on both engines: on real flights and on generated schemas."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import yaml

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.compute.parts import StoredTable
from retrain_assets.compute.spark.file_order import OrderedRows
from retrain_assets.compute.spark.sketches import sketch_files
from retrain_assets.contract import Contract
from retrain_assets.drift import sketch_batches
from retrain_assets.replay.flights import flights_of_2013
from retrain_assets_tests.compute.spark.schemas import CUTOFF, SEEDS, generated
from retrain_assets_tests.compute.spark.test_evaluation_on_spark import assert_same
from retrain_assets_tests.compute.spark.test_sketches_on_spark import assert_equal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Both:
    """One model's stages up to its bundle here, then evaluation and drift on either engine."""

    def __init__(self, contract: dict[str, Any], folder: Path, cutoff: datetime, days: int) -> None:
        rule = {"window": f"{days}d", "limits": {"prediction_psi": 0.2, "feature_psi": 0.2}}
        self.contract = {**contract, "cadence": {"min_interval": "7d", "on_drift": rule}}
        self.folder, self.cutoff, self.since = folder, cutoff, cutoff - timedelta(days=days)
        self.inputs: dict[str, str] = {}
        for stage in ("dataset", "features", "training"):
            made = self.run(stage, self.inputs, **({"cutoff": cutoff.isoformat()} if stage == "dataset" else {}))
            self.inputs |= {name: output["uri"] for name, output in made.outputs.items()}

    def run(self, stage: str, inputs: dict[str, str], engine: Any = "single_node", **parameters: Any) -> StageResult:
        place = str(self.folder / f"{stage} {engine}")
        return run_stage(StageRequest(stage, self.contract["model"], "r", self.contract, inputs, place, parameters, engine))

    def evaluated(self) -> list[Any]:
        bundle = self.inputs["bundle"]
        inputs = {name: self.inputs[name] for name in ("dataset", "features")} | {"candidate": bundle, "champion": bundle}
        results = [self.run("evaluation", inputs, engine) for engine in ("spark", "single_node")]
        return [json.loads(Path(result.outputs["evaluation"]["uri"]).read_text()) for result in results]

    def reported(self) -> list[Any]:
        bundle = load_bundle(Path(self.inputs["bundle"]))
        rows, source = read_tables(Path(self.inputs["features"])).holdout, self.contract["source"]
        scores = bundle.score(rows)
        exposures = rows.select(
            request_id=pl.format("r{}", pl.int_range(pl.len())),
            unit_id=pl.col(source["unit"]).cast(pl.String),
            arm=pl.lit("champion"),
            bundle=pl.lit(bundle.digest),
            exposed_at=source["event_time"],
            score=pl.Series(scores.max(axis=1) if scores.ndim == 2 else scores),
        )
        exposures.write_parquet(self.folder / "exposures.parquet")
        outcomes = exposures.select("request_id", "unit_id", observed_at="exposed_at")
        outcomes.write_parquet(self.folder / "outcomes.parquet")
        inputs = {"bundle": self.inputs["bundle"]}
        inputs |= {name: str(self.folder / f"{name}.parquet") for name in ("exposures", "outcomes")}
        said = {"now": self.cutoff.isoformat(), "since": self.since.isoformat(), "bundle_digest": bundle.digest}
        results = [self.run("drift", inputs, engine, **said) for engine in ("spark", "single_node")]
        windows = [json.loads(Path(result.outputs["window"]["uri"]).read_text()) for result in results]
        return [{**result.metadata, "window": window} for result, window in zip(results, windows, strict=True)]


def test_sketches_of_twenty_generated_schemas_are_the_same(spark: SparkSession, tmp_path: Path) -> None:
    """All schemas side by side in one table: 600 rows, more than the sample that edges are fitted on."""
    wide = pl.concat(
        [
            generated(seed).rows.select(pl.col(name).alias(f"{seed} {name}") for name in generated(seed).features)
            for seed in SEEDS
        ],
        how="horizontal",
    )
    for place, begin in enumerate((0, 130, 410)):
        wide[begin : (130, 410, 600)[place]].write_parquet(tmp_path / f"part-{place}.parquet", row_group_size=100)
    stored = StoredTable(tmp_path, tuple(sorted(tmp_path.glob("*.parquet"))), wide.schema, None)
    found = sketch_files(OrderedRows.stored(spark, stored), wide.columns, sample_rows=400)
    expected = sketch_batches([wide[:77], wide[77:]], columns=wide.columns, sample_rows=400)
    assert {column.fitted_on for column in expected.columns.values()} == {300}
    assert len(expected.columns) > 80
    assert_equal(found, expected)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_generated_regression_and_a_model_of_several_classes_are_judged_alike(
    spark: SparkSession, tmp_path: Path, seed: int
) -> None:
    made = generated(seed)
    contract = made.contract(made.write(tmp_path / "source"))
    contract.pop("decision")
    if made.task == "regression":
        contract["trainer"] |= {"calibration": "none", "estimator": "lightgbm.LGBMRegressor"}
    both = Both(contract, tmp_path, CUTOFF, 6)
    for found, expected in (both.evaluated(), both.reported()):
        assert_same(found, expected)


def test_a_slice_of_the_flights_is_judged_alike(spark: SparkSession, tmp_path: Path) -> None:
    flights = flights_of_2013().filter(pl.col("scheduled_at") < datetime(2013, 1, 20, tzinfo=UTC))
    flights.write_parquet(tmp_path / "flights.parquet")
    defs = Path(__file__).parents[3] / "retrain_assets" / "defs" / "flight_delay" / "defs.yaml"
    values = yaml.safe_load(defs.read_text())["attributes"]
    values["source"] |= {"uri": str(tmp_path / "flights.parquet"), "schema": "retrain_assets.defs.flight_delay.schema.Flights"}
    values |= {
        "features": "retrain_assets.defs.flight_delay.features.build",
        "window": {"train": "12d", "holdout": "3d", "backtests": 2},
    }
    values["trainer"]["params"] |= {"n_estimators": 10}
    contract = Contract.model_validate(values).model_dump(mode="json", by_alias=True)
    both = Both(contract, tmp_path, datetime(2013, 1, 19, 10, tzinfo=UTC), 3)
    evaluated, reported = both.evaluated(), both.reported()
    assert evaluated[1]["evaluation"]["rows"] > 1500
    assert len(evaluated[1]["evaluation"]["slices"]) > 10
    for found, expected in (evaluated, reported):
        assert_same(found, expected)
