from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrain_assets.compute import StageRequest, run_stage
from retrain_assets.compute.delta import LoggedTable, open_table
from retrain_assets.compute.delta_catalog import RUNTIME, has_delta, session_table
from retrain_assets.contract import Source, SourceError
from retrain_assets.contract.compute import Engine
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF, contract_values, parcels, source_values
from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.fixtures import workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["workspace"]

TABLE = "main.sales.parcels"


@pytest.fixture
def table(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of two versions that the workspace knows, and the workspace's address in the environment."""
    folder = tmp_path / "table"
    parcels(seed=8).write_delta(folder)
    parcels().write_delta(folder, mode="overwrite")
    workspace.parts["unity_catalog"].add_table(TABLE, folder)
    monkeypatch.setenv("DATABRICKS_HOST", workspace.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    return folder


def source(name: str = TABLE, **changes: Any) -> dict[str, Any]:
    return {**{key: value for key, value in source_values(Path("x")).items() if key != "uri"}, "table": name, **changes}


def taken(folder: Path, engine: Engine) -> Any:
    contract = contract_values(folder, source=source())
    asked = {"cutoff": CUTOFF.isoformat()}
    return run_stage(StageRequest("dataset", "m", "r", contract, {}, str(folder / engine), asked, engine=engine))


def test_a_table_by_name_is_read_where_the_workspace_says_that_it_is(tmp_path: Path, table: Path, road: Road) -> None:
    result = taken(tmp_path, "single_node")
    assert result.outputs["dataset"]["digest"] == road.dataset.outputs["dataset"]["digest"]
    assert (result.metadata["source"]["place"], result.metadata["source"]["version"]) == (TABLE, 1)
    assert open_table(Source.model_validate(source(version=0))).at.version == 0


def test_a_table_that_the_workspace_does_not_give_is_refused_in_one_line(table: Path) -> None:
    with pytest.raises(SourceError, match=r"source\.table main\.sales\.other: the workspace does not give the table .* USE"):
        open_table(Source.model_validate(source("main.sales.other")))


def test_a_spark_session_without_delta_reads_the_files_of_a_table_by_name(
    tmp_path: Path, table: Path, road: Road, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNTIME, "17.3")
    assert not has_delta(spark)
    assert session_table(TABLE, None) is None
    assert isinstance(open_table(Source.model_validate(source())), LoggedTable)
    assert taken(tmp_path, "spark").outputs["dataset"]["digest"] == road.dataset.outputs["dataset"]["digest"]
