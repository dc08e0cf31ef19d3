from __future__ import annotations

import shutil
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from retrain_assets.compute import LocalCompute
from retrain_assets.compute.databricks import DatabricksCompute
from retrain_assets.compute.databricks.job import job_of
from retrain_assets.compute.databricks.under_way import UnderWay
from retrain_assets.compute.request import StageResult
from retrain_assets.contract import Contract, StageError
from retrain_assets.home import Home
from retrain_assets_tests.compute.databricks.world import VOLUME, World, contract_there, run_ids
from retrain_assets_tests.workspace import Workspace

WHEELS = [f"{VOLUME}/code/retrain_assets-0.whl"]
STAGES = f"{VOLUME}/stages/parcel_delay/2024-03-01"


def test_a_retrain_is_one_run_with_one_start_and_gives_what_this_machine_gives(
    world: World, workspace: Workspace, tmp_path: Path
) -> None:
    first, *ahead = world.road()
    there = [world.compute.run(first, run_id="r", ahead=ahead)]
    there += [world.compute.run(request, run_id="r") for request in ahead]
    assert len(run_ids(workspace)) == 1
    assert [start.key for start in workspace.cluster_starts] == ["stages"]
    again = len(workspace.requests)
    assert [world.compute.run(request, run_id="s") for request in world.road()] == there
    assert len(workspace.requests) == again
    shutil.move(world.home / "stages", tmp_path / "there")
    here = [LocalCompute().run(replace(request, unit_key=b"")) for request in world.road()]
    for one, other in zip(there, here, strict=True):
        assert one.request_digest == other.request_digest
        assert {name: output["uri"] for name, output in one.outputs.items()} == {
            name: output["uri"] for name, output in other.outputs.items()
        }
    assert there[:2] == here[:2]
    assert there[2].outputs == here[2].outputs


def test_the_facts_of_a_run_are_told_and_an_answer_that_was_lost_here_is_fetched_again(
    world: World, workspace: Workspace
) -> None:
    first = world.compute.run(world.request("dataset"))
    facts = first.run["databricks"]
    assert facts["run_page_url"].startswith(workspace.url)
    assert facts["cluster_events"]["counts"]["RUNNING"] == 1
    assert facts["cluster_id"] == workspace.cluster_starts[0].cluster_id
    assert facts["cost"]["nodes"] == 1
    spent = facts["setup_seconds"] + facts["execution_seconds"]
    assert facts["cost"]["amount"] == pytest.approx(0.5 * spent / 3600)
    assert facts["there"] == {name: f"{STAGES}/dataset/{name}" for name in ("dataset", "left_out")}
    assert facts["after_end_seconds"] >= 0
    (world.home / "stages/parcel_delay/2024-03-01/dataset/result.json").unlink()
    assert world.compute.run(world.request("dataset"), run_id="another") == first
    assert len(run_ids(workspace)) == 1
    calls = len([one for one in workspace.requests if "runs/get" not in one[1]])
    assert calls < 30, "few calls: an order, its run, its answer"


def test_large_outputs_stay_on_the_volume_and_the_next_stage_reads_them_there(world: World, workspace: Workspace) -> None:
    small = World(world.home, contract_there(fetch_up_to_mb=0.01))
    data = small.compute.run(small.request("dataset"))
    assert data.outputs["dataset"]["uri"] == f"{STAGES}/dataset/dataset"
    assert Path(data.outputs["left_out"]["uri"]).is_dir()
    assert not (world.home / "stages/parcel_delay/2024-03-01/dataset/dataset").exists()
    request = small.request("features", inputs={"dataset": data.outputs["dataset"]["uri"]})
    features = small.compute.run(request)
    assert features.run["databricks"]["inputs"] == {"dataset": data.outputs["dataset"]["digest"]}
    assert small.compute.kept(request) == features
    shutil.rmtree(workspace.path(f"{STAGES}/features/features"))
    assert small.compute.kept(request) is None


def test_what_was_made_here_is_uploaded_once_and_what_came_from_there_never(world: World, workspace: Workspace) -> None:
    LocalCompute().run(world.request("dataset", unit_key=b""))
    world.compute.run(world.request("features"))
    uploads = [path for method, path in workspace.requests if method == "PUT" and "/inputs/" in path and "/files/" in path]
    assert sorted(path.rpartition("/")[2].partition(".")[2] for path in uploads) == ["complete.json", "parquet", "parquet"]
    other = world.request("features", retrain="2024-03-01.2", inputs=world.request("features").inputs)
    world.compute.run(other)
    assert sum("/inputs/" in path for method, path in workspace.requests if method == "PUT" and "/files/" in path) == len(uploads)
    world.compute.run(world.request("training"))
    assert not [path for method, path in workspace.requests if method == "PUT" and "features/" in path]


def test_a_request_that_was_not_sent_ahead_cancels_the_rest_and_begins_a_new_run(world: World, workspace: Workspace) -> None:
    first, ahead = world.request("dataset"), world.request("features", parameters={"asked": "ahead"})
    world.compute.run(first, run_id="r", ahead=[ahead])
    result = world.compute.run(world.request("features"), run_id="r")
    assert result.request_digest == world.request("features").digest
    assert len(run_ids(workspace)) == 2


def test_a_data_set_that_changed_in_between_is_not_answered_by_the_run_ahead(world: World, workspace: Workspace) -> None:
    first, ahead = world.road()[:2]
    world.compute.run(first, run_id="r", ahead=[ahead])
    LocalCompute().run(
        replace(world.request("dataset", retrain="x", unit_key=b""), parameters={"cutoff": "2024-02-28T00:00:00+00:00"})
    )
    other = replace(ahead, inputs={"dataset": str(world.home / "stages/parcel_delay/x/dataset/dataset")})
    result = world.compute.run(other, run_id="r")
    assert result.run["databricks"]["inputs"]["dataset"] != (world.compute.kept(first) or result).outputs["dataset"]["digest"]
    assert len(run_ids(workspace)) == 2


def test_the_key_of_unit_names_comes_from_the_secret_scope_and_stands_in_no_file(world: World, workspace: Workspace) -> None:
    workspace.parts["secrets"].put("retrain", "unit_key", b64encode(b"k" * 32))
    scoped = World(world.home, contract_there(secret_scope="retrain"))
    scoped.compute.run(scoped.request("dataset"))
    scoped.compute.run(scoped.request("features"))
    for file in (path for path in workspace.root.rglob("*") if path.is_file()):
        assert b"k" * 32 not in file.read_bytes()
        assert b64encode(b"k" * 32) not in file.read_bytes()
    here = LocalCompute().run(world.request("features"))
    there = StageResult.read(world.home / "stages/parcel_delay/2024-03-01/features/result.json")
    assert here.verdicts == there.verdicts


def test_a_secret_that_is_missing_is_one_line(world: World) -> None:
    scoped = World(world.home, contract_there(secret_scope="nowhere"))
    with pytest.raises(StageError, match=r"secret scope nowhere, key unit_key: cannot be read \(Scope nowhere does not exist!\)"):
        scoped.compute.run(scoped.request("dataset"))


def test_a_run_that_is_refused_beforehand_asks_for_nothing(world: World, workspace: Workspace) -> None:
    asked: list[str] = []

    def refuse(requests: object) -> None:
        asked.extend(one.stage for one in requests)  # type: ignore[attr-defined]
        raise StageError("costs 12 EUR, the budget is 10 EUR", where="economics", remedy="raise it")

    settings = Contract.recorded(world.contract).databricks
    assert settings is not None
    compute = DatabricksCompute(settings, Home(world.home), before_submit=refuse)
    with pytest.raises(StageError, match="the budget is 10 EUR"):
        compute.run(world.request("dataset"), ahead=[world.request("features")])
    assert asked == ["dataset", "features"]
    assert workspace.requests == []


def test_serverless_compute_gives_the_same(world: World, workspace: Workspace) -> None:
    serverless = World(world.home, contract_there(cluster=None, serverless={"price_per_hour": 3600}))
    result = serverless.compute.run(serverless.request("dataset"))
    facts = result.run["databricks"]
    assert workspace.cluster_starts == []
    assert facts["cluster_id"] is None
    assert facts["cost"]["amount"] == pytest.approx(facts["setup_seconds"] + facts["execution_seconds"])
    assert result == LocalCompute().run(world.request("dataset", unit_key=b""))


def test_changed_settings_bring_the_job_up_to_date_and_nothing_else_does(workspace: Workspace, environment: None) -> None:
    first = job_of(workspace.client(), Contract.recorded(contract_there()), WHEELS)
    assert job_of(workspace.client(), Contract.recorded(contract_there(poll="9s")), WHEELS) == first
    assert job_of(workspace.client(), Contract.recorded(contract_there(run_timeout="2h")), WHEELS) == first
    assert [workspace.count("POST", f"/api/2.2/jobs/{what}") for what in ("create", "reset")] == [1, 1]


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    noted = UnderWay("f", "t", 1, ["dataset", "features"], ["a", "b"], "c", 7, None, "r").begun(3)
    noted.write(tmp_path)
    read = UnderWay.read(tmp_path, "features")
    assert read is not None
    assert (read.run_id, read.asks("features", "b", "c"), read.asks("features", "a", "c")) == (3, True, False)
    assert [one.token for one in UnderWay.all(tmp_path)] == ["t"]
    assert UnderWay.read(tmp_path, "training") is None
