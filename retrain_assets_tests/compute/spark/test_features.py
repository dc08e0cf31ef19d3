from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import polars as pl
import pytest
import yaml

from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import Contract, Gate, StageError
from retrain_assets.contract.compute import Engine
from retrain_assets.replay.flights import flights_of_2013
from retrain_assets_tests.compute.parcels import CUTOFF, contract_values, parcels, write_source
from retrain_assets_tests.compute.spark.equality import assert_close
from retrain_assets_tests.compute.spark.schemas import SEEDS, generated

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    Rows = nw.DataFrame[Any]

UNIT_KEY = b"k" * 32


def run(
    stage: str, folder: Path, contract: dict[str, Any], engine: Engine, inputs: dict[str, str] | None = None, **parameters: Any
) -> StageResult:
    output = str(folder / engine / stage)
    return run_stage(StageRequest(stage, "m", "r", contract, inputs or {}, output, parameters, engine=engine, unit_key=UNIT_KEY))


def built_by_both(folder: Path, contract: dict[str, Any], cutoff: datetime = CUTOFF) -> tuple[StageResult, StageResult]:
    """Data set and features on either engine; the Spark features are of the Spark data set."""
    results = []
    for engine in ("single_node", "spark"):
        data = run("dataset", folder, contract, engine, cutoff=cutoff.isoformat())
        inputs = {"dataset": data.outputs["dataset"]["uri"]}
        results.append((data, run("features", folder, contract, engine, inputs)))
    (single_data, single), (spark_data, spark) = results
    assert single_data.outputs["dataset"]["digest"] == spark_data.outputs["dataset"]["digest"]
    assert_close(spark_data.verdicts, single_data.verdicts)
    return single, spark


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A parcels data set that was taken without Spark."""
    folder = tmp_path_factory.mktemp("parcels")
    contract = contract_values(write_source(folder / "source"))
    result = run("dataset", folder, contract, "single_node", cutoff=CUTOFF.isoformat())
    return {"dataset": result.outputs["dataset"]["uri"]}


def of_parcels(folder: Path, data: dict[str, str], function: str, engine: Engine = "spark") -> StageResult:
    contract = contract_values(Path("unread"), features=f"{__name__}.{function}")
    return run("features", folder, contract, engine, data)


@pytest.mark.parametrize("seed", SEEDS[::5])
def test_features_by_spark_are_those_by_polars(seed: int, tmp_path: Path, spark: SparkSession) -> None:
    made = generated(seed)
    single, other = built_by_both(tmp_path, made.contract(made.write(tmp_path / "source")))
    assert other.outputs["features"]["digest"] == single.outputs["features"]["digest"]
    assert other.metadata == single.metadata
    assert_close(other.verdicts, single.verdicts)


def test_a_slice_of_the_flights_goes_through_both_engines_with_the_same_digests(tmp_path: Path, spark: SparkSession) -> None:
    flights = flights_of_2013().filter(pl.col("scheduled_at") < datetime(2013, 1, 20, tzinfo=UTC))
    flights.write_parquet(tmp_path / "flights.parquet")
    defs = Path(__file__).parents[3] / "retrain_assets" / "defs" / "flight_delay" / "defs.yaml"
    values = yaml.safe_load(defs.read_text())["attributes"]
    values["source"] |= {"uri": str(tmp_path / "flights.parquet"), "schema": "retrain_assets.defs.flight_delay.schema.Flights"}
    values |= {
        "features": "retrain_assets.defs.flight_delay.features.build",
        "window": {"train": "12d", "holdout": "3d", "backtests": 2},
    }
    contract = Contract.model_validate(values).model_dump(mode="json", by_alias=True)
    single, other = built_by_both(tmp_path, contract, datetime(2013, 1, 19, 10, tzinfo=UTC))
    assert other.outputs["features"]["digest"] == single.outputs["features"]["digest"]
    assert_close(other.verdicts, single.verdicts)
    assert other.metadata["rows"]["train"] > 9000


def build_over_rows(rows: Rows) -> Rows:
    return rows.select(
        "parcel_id",
        "sent_at",
        heavy_for_depot=nw.col("weight") - nw.col("weight").mean().over("depot"),
        before=nw.col("rain").shift(1).over("depot", order_by=["sent_at", "parcel_id"]),
        hour=nw.col("sent_at").dt.hour(),
        nothing=nw.lit(None),
    )


def test_sums_over_rows_agree_to_1e_9_and_types_are_those_without_spark(
    tmp_path: Path, data: dict[str, str], spark: SparkSession
) -> None:
    single, other = (of_parcels(tmp_path, data, "build_over_rows", engine) for engine in ("single_node", "spark"))
    for window in ("train", "holdout"):
        one, two = (getattr(read_tables(Path(result.outputs["features"]["uri"])), window) for result in (single, other))
        assert two.schema == one.schema
        assert two.select("parcel_id", "sent_at", "before", "hour").equals(one.select("parcel_id", "sent_at", "before", "hour"))
        assert (two["heavy_for_depot"] - one["heavy_for_depot"]).abs().max() < 1e-9
    assert other.metadata["feature_dtypes"]["hour"] == "numeric"


def build_eager(rows: Rows) -> Rows:
    return rows.select("parcel_id", "rain").with_columns(rows.get_column("weight"))


def build_in_row_order(rows: Rows) -> Rows:
    return rows.select("parcel_id", "rain", before=nw.col("rain").shift(1))


def build_by_join(rows: Rows) -> Rows:
    means = rows.group_by("depot").agg(usual=nw.col("weight").mean())
    return rows.select("parcel_id", "depot").join(means, on="depot", how="left")


def build_fewer_later(rows: Rows) -> Rows:
    return rows.select("parcel_id", "rain").filter(~nw.col("parcel_id").is_in(["p01501"]))


def build_other_key_later(rows: Rows) -> Rows:
    last = nw.col("parcel_id") == "p01501"
    return rows.select("rain", parcel_id=nw.when(last).then(nw.lit("x")).otherwise(nw.col("parcel_id")))


def build_other_columns(rows: Any) -> Any:
    return rows.select("parcel_id", "rain") if isinstance(rows, nw.DataFrame) else rows.select("parcel_id", "weight")


def build_weekday(rows: Rows) -> Rows:
    return rows.select("parcel_id", "rain", weekday=nw.col("sent_at").dt.weekday())


def build_cast(rows: Rows) -> Rows:
    late = nw.col("parcel_id") == "p01501"
    return rows.select("parcel_id", number=nw.when(late).then(nw.col("parcel_id")).otherwise(nw.lit("1")).cast(nw.Int64))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "build_eager",
            r"cannot be run by Spark \(AttributeError: 'LazyFrame' object has no .* single_node",
        ),
        ("build_in_row_order", r"cannot be run by Spark \(InvalidOperationError: Order-dependent expressions are not supported"),
        ("build_by_join", r"loses which row is which \(a join, an aggregate or a union\); write it with .* engine: single_node"),
        ("build_fewer_later", r"returned 2399 rows for 2400 on Spark, or some twice; return exactly one feature row per row"),
        (
            "build_other_key_later",
            r"returned other values of 'parcel_id' or 'sent_at' for 1 rows on Spark; return the key",
        ),
        ("build_other_columns", r"returns other columns on Spark than without it: rain, weight"),
        ("build_weekday", r"gives other values on Spark than without it, in so many of 200 sampled rows: weekday \(\d+\); write"),
        ("build_cast", r"the executors fail \(CAST_INVALID_INPUT\); write it with narwhals expressions"),
    ],
)
def test_a_function_that_spark_cannot_run_as_asked_is_refused_in_one_line(
    function: str, message: str, tmp_path: Path, data: dict[str, str], spark: SparkSession
) -> None:
    with pytest.raises(StageError, match=message) as refused:
        of_parcels(tmp_path, data, function)
    assert "p01501" not in str(refused.value), "no value of a row is told"
    assert "\n" not in str(refused.value)


def test_an_empty_window_has_the_types_of_the_other(tmp_path: Path, spark: SparkSession) -> None:
    rows = parcels().filter(pl.col("sent_at") < CUTOFF - timedelta(days=8))
    contract = contract_values(write_source(tmp_path / "source", rows))
    single, other = built_by_both(tmp_path, contract)
    assert other.outputs["features"]["digest"] == single.outputs["features"]["digest"]
    assert other.metadata["rows"]["holdout"] == 0
    assert {found.check for found in other.verdicts_of(Gate.DATA)} == {found.check for found in single.verdicts_of(Gate.DATA)}
