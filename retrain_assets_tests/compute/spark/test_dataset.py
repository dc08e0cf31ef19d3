from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import pytest
from deltalake import DeltaTable

from retrain_assets.compute import LocalCompute, StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import frame_digest, pieces_digest, read_tables, stored_digest
from retrain_assets.compute.parts import StoredTable
from retrain_assets.compute.spark import dataset_memory
from retrain_assets.compute.spark.dataset_parts import in_order, read_parts, write_parts
from retrain_assets.compute.spark.session import between, steady
from retrain_assets.compute.stages.source import sort_columns
from retrain_assets.contract import Source, SourceError, StageError
from retrain_assets.contract.compute import Engine
from retrain_assets_tests.compute.parcels import CUTOFF, Parcels, contract_values, parcels, source_values, write_source
from retrain_assets_tests.compute.spark.equality import assert_close
from retrain_assets_tests.compute.spark.schemas import SEEDS, generated

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Nanoseconds(Parcels):
    sent_at: Annotated[pl.Datetime, "ns", "UTC"]


UNIT_KEY = b"k" * 32
ENGINES: tuple[Engine, ...] = ("single_node", "spark")


def asked(folder: Path, contract: dict[str, Any], engine: Engine) -> StageRequest:
    parameters = {"cutoff": CUTOFF.isoformat()}
    return StageRequest("dataset", "m", "r", contract, {}, str(folder / engine), parameters, engine=engine, unit_key=UNIT_KEY)


def taken_by_both(folder: Path, contract: dict[str, Any]) -> StageResult:
    """The stage on either engine gives the same; the one of Spark is returned."""
    single, spark = (run_stage(asked(folder, contract, engine)) for engine in ENGINES)
    assert {name: output["digest"] for name, output in spark.outputs.items()} == {
        name: output["digest"] for name, output in single.outputs.items()
    }
    assert_close(spark.metadata, single.metadata)
    assert_close(spark.verdicts, single.verdicts)
    assert spark.request_digest == single.request_digest
    return spark


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_a_snapshot_by_spark_is_the_one_by_polars(seed: int, tmp_path: Path, spark: SparkSession) -> None:
    made = generated(seed)
    result = taken_by_both(tmp_path, made.contract(made.write(tmp_path / "source")))
    folder = Path(result.outputs["dataset"]["uri"])
    assert (folder / "train.parquet").is_dir()
    assert stored_digest(folder) == read_tables(folder).digest == result.outputs["dataset"]["digest"]
    zone = spark.conf.get("spark.sql.session.timeZone")
    assert zone == "America/New_York", "the session's own setting is as it was"


@pytest.mark.parametrize("seed", SEEDS[4:])
def test_rows_of_any_schema_have_one_order_and_digest_on_both_engines(seed: int, tmp_path: Path, spark: SparkSession) -> None:
    made = generated(seed)
    source = Source.model_validate(made.contract(tmp_path)["source"])
    columns = sort_columns(source, made.rows.schema)
    paths = [str(path) for path in sorted(made.write(tmp_path / "source").iterdir())]
    with steady(spark):
        frame = in_order(spark.read.parquet(*paths), columns, made.rows.schema)
        stored = write_parts(frame, tmp_path / "train.parquet", made.rows.schema, {})
    expected = made.rows.sort(columns, nulls_last=True)
    assert stored.read().equals(expected)
    assert pieces_digest(stored.schema, stored.rows, stored.pieces) == frame_digest(expected)


NASTY = pl.DataFrame(
    {
        "real": [float("nan"), -0.0, None, 0.0, float("inf"), float("-inf"), 5e-324, -1.5],
        "text": ["", "a\x00b", None, "ä", "a\u0308", "😀", "\uffff", "Z"],
        "raw": [b"", b"\x00", None, b"\x80", b"\x7f", b"\xff\xff", b"\xff", b"a"],
        "day": [date(1, 1, 1), date(1582, 10, 4), None, *(date(year, 10, 15) for year in (1582, 9999, 2024)), None, None],
        "price": [Decimal(text) if text else None for text in ("1.50", "-0.01", "", "0.00", "99999999.99", "", "-5", "7")],
        "moment": [datetime(1900, 1, 1, tzinfo=UTC), None, *[datetime(2024, 11, 3, hour, tzinfo=UTC) for hour in range(4, 10)]],
        "kind": pl.Series(["b", "a", None, "c", "a", "b", "c", "a"], dtype=pl.Enum(["c", "b", "a"])),
        "whole": pl.Series([2**64 - 1, 0, None, 2**63, 1, 2, 3, 4], dtype=pl.UInt64),
        "nothing": pl.Series([None] * 8, dtype=pl.Null),
    }
)


def test_nasty_values_keep_value_type_and_order_over_parts(tmp_path: Path, spark: SparkSession) -> None:
    NASTY.write_parquet(tmp_path / "rows.parquet")
    with steady(spark):
        frame = spark.read.parquet(str(tmp_path / "rows.parquet"))
        for column in [name for name in NASTY.columns if name != "nothing"]:
            order = [column, *(name for name in NASTY.columns if name not in (column, "nothing"))]
            halves = in_order(frame, order, NASTY.schema).repartitionByRange(3, frame["text"]) if column == "text" else frame
            expected = NASTY.sort(order, nulls_last=True)
            path = tmp_path / column / "train.parquet"
            stored = write_parts(in_order(halves, order, NASTY.schema), path, NASTY.schema, {"window": 1})
            assert stored.read().equals(expected), column
            assert pieces_digest(stored.schema, stored.rows, stored.pieces) == frame_digest(expected), column
            assert stored.about == {"window": 1}


def test_the_digest_of_parts_is_that_of_the_rows_however_they_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.mkdir()
    rows = NASTY.drop("nothing")
    for at, (start, length) in enumerate(((0, 3), (3, 0), (3, 4), (7, 1))):
        rows.slice(start, length).write_parquet(path / f"part-{at:05}.parquet")
    rows.clear().write_parquet(tmp_path / "train.parquet.types")
    stored = StoredTable.at(path)
    assert [len(piece) for piece in stored.pieces("real")] == [3, 0, 4, 1]
    assert pieces_digest(stored.schema, stored.rows, stored.pieces) == frame_digest(rows)
    assert stored.scan().collect().equals(stored.read())
    (path / "part-00003.parquet").unlink()
    assert pieces_digest(stored.schema, (again := StoredTable.at(path)).rows, again.pieces) != frame_digest(rows)
    (path / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(StageError, match=r"part-00000\.parquet: cannot be read"):
        StoredTable.at(path).read()


def test_both_forms_of_a_table_are_read_by_spark_with_the_place_of_each_row(tmp_path: Path, spark: SparkSession) -> None:
    rows = parcels(days=2)
    rows.write_parquet(tmp_path / "holdout.parquet")
    with steady(spark):
        file = read_parts(spark, tmp_path / "holdout.parquet", position=True)
        write_parts(file.orderBy("__position__").drop("__position__"), tmp_path / "train.parquet", rows.schema, {})
        parts = read_parts(spark, tmp_path / "train.parquet", position=True)
        for frame in (file, parts):
            found = [row["parcel_id"] for row in frame.orderBy("__position__").select("parcel_id").collect()]
            assert found == rows["parcel_id"].to_list()


@pytest.mark.parametrize("dtype", [pl.Datetime("us", "UTC"), pl.Datetime("ms"), pl.Datetime("us", "Europe/Berlin"), pl.Date()])
def test_a_period_is_the_same_in_any_zone_of_session_and_column(dtype: pl.DataType, tmp_path: Path, spark: SparkSession) -> None:
    moments = pl.datetime_range(CUTOFF - timedelta(days=3), CUTOFF, "1h", time_zone="UTC", eager=True).alias("at")
    at = moments.dt.date() if dtype == pl.Date else moments.dt.convert_time_zone(getattr(dtype, "time_zone", None) or "UTC")
    rows = (at.dt.replace_time_zone(None) if dtype == pl.Datetime("ms") else at).cast(dtype).to_frame()
    rows.write_parquet(tmp_path / "rows.parquet")
    low, high = CUTOFF - timedelta(days=2), CUTOFF - timedelta(days=1)
    frame = spark.read.parquet(str(tmp_path / "rows.parquet"))
    assert frame.where(between(frame, "at", low, high)).count() == 24


def test_groups_rows_left_out_and_rows_without_time_are_as_without_spark(tmp_path: Path, spark: SparkSession) -> None:
    gone = pl.col("parcel_id").is_in(["p01000", "p03500"])
    late = pl.col("sent_at") >= CUTOFF - timedelta(days=8)
    rows = parcels().with_columns(
        depot=pl.when(late & (pl.col("depot") == "harbour")).then(pl.lit("new")).when(pl.col("depot") != "south").then("depot"),
        late=pl.when(gone).then(None).otherwise("late"),
        sent_at=pl.when(pl.col("parcel_id") != "p02000").then("sent_at"),
    )
    contract = contract_values(write_source(tmp_path / "source", rows))
    contract["source"] |= {"group": "depot"}
    result = taken_by_both(tmp_path, contract)
    assert result.metadata["left_out"]["no_event_time"] == 1
    assert result.metadata["left_out"]["group_in_training"] > 0
    assert set(read_tables(Path(result.outputs["dataset"]["uri"])).holdout["depot"]) == {"new", None}


def test_a_delta_table_is_read_by_the_list_its_log_gives(tmp_path: Path, spark: SparkSession) -> None:
    parcels().write_delta(tmp_path / "t")
    parcels(seed=5).write_delta(tmp_path / "t", mode="overwrite")
    contract = contract_values(tmp_path, source={**source_values(tmp_path), "uri": str(tmp_path / "t"), "format": "delta"})
    result = taken_by_both(tmp_path, contract)
    assert result.metadata["source"]["version"] == 1
    parcels().clear().write_delta(tmp_path / "t", mode="append")
    partitioned = parcels().write_delta(tmp_path / "p", delta_write_options={"partition_by": "depot"})
    assert partitioned is None
    assert DeltaTable(tmp_path / "p").metadata().partition_columns == ["depot"]
    contract["source"] |= {"uri": str(tmp_path / "p")}
    with pytest.raises(SourceError, match=r"p version 0: has deletion vectors or partition columns .* set engine: single_node"):
        run_stage(asked(tmp_path / "partitioned", contract, "spark"))


def test_a_stored_result_holds_whichever_engine_made_it(tmp_path: Path, spark: SparkSession) -> None:
    contract = contract_values(write_source(tmp_path / "source"))
    request = asked(tmp_path, contract, "spark")
    first = LocalCompute().run(request)
    assert LocalCompute().run(request).run == first.run
    part = next((tmp_path / "spark" / "dataset" / "holdout.parquet").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    assert LocalCompute().run(request).run != first.run, "a damaged part is taken again"
    assert LocalCompute().kept(request) is not None


def test_what_spark_cannot_hold_is_refused_with_a_remedy(tmp_path: Path, spark: SparkSession) -> None:
    contract = contract_values(write_source(tmp_path / "source", parcels().cast({"sent_at": pl.Datetime("ns", "UTC")})))
    contract["source"] |= {"schema": f"{__name__}.Nanoseconds"}
    with pytest.raises(SourceError, match=r"a\.parquet: column 'sent_at' is Datetime.*ns.* Spark cannot hold; .* single_node"):
        run_stage(asked(tmp_path, contract, "spark"))


def test_a_snapshot_that_does_not_fit_the_driver_is_refused_before_it_is_loaded(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:        100 kB\n")
    monkeypatch.setattr(dataset_memory, "_MEMORY", tmp_path / "meminfo")
    contract = contract_values(write_source(tmp_path / "source"))
    with pytest.raises(StageError, match=r"gate data on 2,821 rows needs about \d MB and the driver has 0 MB"):
        run_stage(asked(tmp_path, contract, "spark"))
