from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from retrain_assets.compute import LocalCompute, StageRequest, StageResult, run_stage
from retrain_assets.compute.delta import PINNED, open_table
from retrain_assets.compute.stages.source import read_source, rows_without_time, source_fingerprint
from retrain_assets.contract import Gate, Source, SourceError
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF, Parcels, contract_values, parcels, source_values
from retrain_assets_tests.compute.test_drift_stage import reported, traffic

START, END = CUTOFF - timedelta(days=10), CUTOFF - timedelta(days=3)
ROWS = parcels()


def table_of(folder: Path, *versions: pl.DataFrame) -> Path:
    """A Delta table whose versions hold these rows, the first one in two files."""
    first, *later = versions or (ROWS,)
    half = first.height // 2
    first.head(half).write_delta(folder)
    first.tail(first.height - half).write_delta(folder, mode="append")
    for rows in later:
        rows.write_delta(folder, mode="overwrite", delta_write_options={"schema_mode": "overwrite"})
    return folder


def delta_values(folder: Path, **changes: Any) -> dict[str, Any]:
    return {**source_values(folder), "uri": str(folder), "format": "delta", **changes}


def request(folder: Path, table: Path, *, stage: str = "dataset", **parameters: Any) -> StageRequest:
    contract = contract_values(table, source=delta_values(table))
    inputs = {} if stage == "dataset" else {"dataset": str(folder / "dataset" / "dataset")}
    asked = {"cutoff": CUTOFF.isoformat(), **parameters} if stage == "dataset" else parameters
    return StageRequest(stage, "parcel_delay", "r", contract, inputs, str(folder / stage), asked)


def snapshot(folder: Path, table: Path, **parameters: Any) -> StageResult:
    return run_stage(request(folder, table, **parameters))


def test_a_delta_table_gives_the_same_snapshot_as_files_and_names_its_version(tmp_path: Path, road: Road) -> None:
    table = table_of(tmp_path / "t")
    result = snapshot(tmp_path, table)
    assert {name: output["digest"] for name, output in result.outputs.items()} == {
        name: output["digest"] for name, output in road.dataset.outputs.items()
    }
    assert result.verdicts == road.dataset.verdicts
    source, log = result.metadata["source"], DeltaTable(table)
    assert source == {
        "place": str(table),
        "version": 1,
        "table_id": str(log.metadata().id),
        "committed_at": source["committed_at"],
        "operation": "WRITE",
    }
    assert source["committed_at"].endswith("+00:00")
    assert result.record["metadata"]["source"] == source, "the version is evidence"
    assert "source" not in road.dataset.metadata


def test_a_later_try_of_the_same_retrain_reads_the_version_of_the_first(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t")
    first = snapshot(tmp_path, table)
    parcels(seed=9).write_delta(table, mode="overwrite")
    again, other = snapshot(tmp_path, table), snapshot(tmp_path / "other", table)
    assert (again.outputs, again.metadata) == (first.outputs, first.metadata)
    assert json.loads((tmp_path / "dataset" / PINNED).read_text()) == first.metadata["source"]
    assert other.metadata["source"]["version"] == 2
    assert other.outputs["dataset"]["digest"] != first.outputs["dataset"]["digest"]
    assert (
        snapshot(tmp_path / "named", table, source_version=1).outputs["dataset"]["digest"] == first.outputs["dataset"]["digest"]
    )


def test_a_stored_data_set_stays_when_the_table_moves_on_or_is_gone(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t")
    asked = request(tmp_path, table)
    first = LocalCompute().run(asked)
    ROWS.write_delta(table, mode="append")
    assert LocalCompute().run(asked).run == first.run, "the stored result, with the facts of its run"
    table.rename(tmp_path / "elsewhere")
    assert LocalCompute().run(asked).run == first.run


def test_the_contract_s_version_is_read_and_is_part_of_what_a_result_rests_on(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t", ROWS, ROWS.head(100))
    newest, older = (Source.model_validate(delta_values(table, **pin)) for pin in ({}, {"version": 1}))
    assert (open_table(newest).at.version, open_table(older).at.version) == (2, 1)
    assert read_source(newest, Parcels, START, END).is_empty()
    assert read_source(older, Parcels, START, END).height == 7 * 60
    assert source_fingerprint(newest) != source_fingerprint(older)


def test_rows_without_an_event_time_are_counted_in_the_version_that_is_read(tmp_path: Path) -> None:
    without = ROWS.with_columns(pl.when(pl.col("parcel_id") > "p00002").then("sent_at"))
    table = table_of(tmp_path / "t", without, ROWS)
    source = Source.model_validate(delta_values(table))
    assert rows_without_time(source, table=open_table(source, 1)) == 3
    assert rows_without_time(source) == 0


def test_a_change_of_the_table_s_schema_does_not_touch_the_retrain_under_way(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t")
    taken = snapshot(tmp_path, table)
    ROWS.rename({"rain": "rainfall"}).write_delta(table, mode="overwrite", delta_write_options={"schema_mode": "overwrite"})
    assert snapshot(tmp_path, table).outputs == taken.outputs
    assert run_stage(request(tmp_path, table, stage="features")).verdicts_of(Gate.DATA)
    with pytest.raises(SourceError, match=r"t version 2: column 'rain' is missing \(there is 'rainfall'; was it renamed\?\)"):
        snapshot(tmp_path / "next", table)
    assert not (tmp_path / "next" / "dataset" / PINNED).exists(), "a version that cannot be used is not pinned"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop("weight"), r"column 'weight' is missing; the schema expects weight: Float64"),
        (lambda rows: rows.cast({"weight": pl.Int64}), r"column 'weight' is Int64; the schema expects weight: Float64"),
        (lambda rows: rows.clear(), r"version 1: has no rows; write the source again"),
    ],
    ids=["dropped", "type", "no rows"],
)
def test_a_table_that_is_not_as_the_schema_says_is_named_with_version_and_column(
    tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        snapshot(tmp_path, table_of(tmp_path / "t", change(ROWS)))


def test_what_is_no_delta_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    ROWS.write_parquet(tmp_path / "files" / "a.parquet")
    with pytest.raises(SourceError, match=r"files: is not a Delta table: .* write format: parquet for plain files"):
        snapshot(tmp_path, tmp_path / "files")
    with pytest.raises(SourceError, match=r"nothing: no such folder; correct source\.uri"):
        snapshot(tmp_path, tmp_path / "nothing")


def test_a_path_that_would_be_escaped_is_refused_as_that(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"its path '.*/a table' has blanks or other characters .* move the table"):
        snapshot(tmp_path, table_of(tmp_path / "a table"))


def test_a_version_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t", ROWS, ROWS, ROWS)
    with pytest.raises(SourceError, match=r"t: version 9 does not exist; versions 0 to 3 can be read; correct source\.version"):
        snapshot(tmp_path, table, source_version=9)
    DeltaTable(table).create_checkpoint()
    for version in range(3):
        (table / "_delta_log" / f"{version:020}.json").unlink()
    with pytest.raises(SourceError, match=r"version 1 cannot be read any more: .* only version 3 can be read"):
        snapshot(tmp_path, table, source_version=1)


def test_a_version_whose_files_were_vacuumed_is_refused_in_one_line(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t")
    snapshot(tmp_path, table)
    ROWS.write_delta(table, mode="overwrite")
    DeltaTable(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(SourceError, match=r"t version 1: a data file is gone \(.*\), most likely removed by VACUUM; .* retrain"):
        snapshot(tmp_path, table)


def test_another_table_at_the_same_place_is_not_taken_for_the_pinned_one(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t")
    snapshot(tmp_path, table)
    table.rename(tmp_path / "old")
    table_of(table)
    with pytest.raises(SourceError, match=r"is another table now .* launch a new retrain"):
        snapshot(tmp_path, table)


def test_a_table_whose_columns_have_other_names_in_its_files_is_refused(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t")
    log = table / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
        if "metaData" in action:
            action["metaData"]["configuration"] = {"delta.columnMapping.mode": "name"}
            schema = json.loads(action["metaData"]["schemaString"])
            for at, field in enumerate(schema["fields"]):
                field["metadata"] = {"delta.columnMapping.id": at + 1, "delta.columnMapping.physicalName": field["name"]}
            action["metaData"]["schemaString"] = json.dumps(schema)
    log.write_text("\n".join(json.dumps(action) for action in actions))
    with pytest.raises(SourceError, match=r"version 1: cannot be read without Spark \(.*column mapping.*\); run the stage on"):
        snapshot(tmp_path, table)


def test_a_table_of_unity_catalog_outside_any_workspace_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    values = {name: value for name, value in delta_values(tmp_path).items() if name not in ("uri", "format")}
    with pytest.raises(SourceError, match=r"source\.table main\.sales\.parcels: is a table of Unity Catalog, and no"):
        open_table(Source.model_validate({**values, "table": "main.sales.parcels"}))


def test_object_storage_without_credentials_is_told_in_one_line_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    values = delta_values(Path("x"), uri="s3://nowhere/table")
    with pytest.raises(SourceError, match=r"s3://nowhere/table: cannot be read .* set credentials for the storage") as caught:
        open_table(Source.model_validate(values))
    assert "\n" not in str(caught.value)


def test_a_table_on_a_volume_is_found_where_volumes_are_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table_of(tmp_path / "mount" / "main" / "s" / "v" / "t")
    monkeypatch.setenv("RETRAIN_VOLUMES", str(tmp_path / "mount"))
    source = Source.model_validate(delta_values(Path("x"), uri="/Volumes/main/s/v/t"))
    assert open_table(source).at.place == "/Volumes/main/s/v/t"
    assert read_source(source, Parcels, START, END).height == 7 * 60


def test_a_drift_report_reads_the_newest_version_and_says_which(tmp_path: Path, road: Road) -> None:
    table = table_of(tmp_path / "t", ROWS.head(10), ROWS)
    inputs = traffic(road, tmp_path / "traffic")
    plain = reported(road, tmp_path / "files", inputs)
    delta = reported(road, tmp_path / "delta", inputs, source=delta_values(table))
    assert delta.metadata["source"]["version"] == 2
    assert delta.metadata["report"] == plain.metadata["report"]
    assert "source" not in plain.metadata
