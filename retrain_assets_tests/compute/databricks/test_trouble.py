"""What can go wrong on the way, and that it ends in a result or in one line; a stage is computed once in every case."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from dagster import DagsterExecutionInterruptedError

from retrain_assets.compute.databricks import run as runs
from retrain_assets.compute.databricks.under_way import UnderWay
from retrain_assets.compute.local import LocalCompute
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.contract import SourceError, StageError
from retrain_assets_tests.compute.databricks.world import VOLUME, World, contract_there, run_ids
from retrain_assets_tests.workspace import (
    Cancelled,
    ConnectionDropped,
    DriverLost,
    Killed,
    NeverStarts,
    NotYetVisible,
    ServerError,
    SpotLoss,
    TokenExpired,
    TooManyRequests,
    TruncatedDownload,
    Workspace,
)

GET_RUN = "GET /api/2.2/jobs/runs/get"
RUN_NOW = "POST /api/2.2/jobs/run-now"
REPAIR = "POST /api/2.2/jobs/runs/repair"


def attempts(workspace: Workspace) -> list[str]:
    """Results of every attempt at every task of the only run."""
    (run_id,) = run_ids(workspace)
    run = workspace.client().jobs.get_run(run_id)
    found = [task.state.result_state.value for task in run.tasks or [] if task.state and task.state.result_state]
    return [one for one in found if one != "DISABLED"]


def test_an_api_that_throttles_fails_and_drops_is_asked_again(world: World, workspace: Workspace) -> None:
    workspace.misbehave(TooManyRequests(retry_after=1), on=GET_RUN)
    workspace.misbehave(ServerError(500), on=GET_RUN, times=2, after=1)
    workspace.misbehave(ConnectionDropped(), on=GET_RUN, after=3)
    workspace.misbehave(ServerError(503), on="PUT *")
    asked = [workspace.misbehave(fault, on=RUN_NOW) for fault in (ServerError(500, done=True), ConnectionDropped(done=True))]
    assert world.compute.run(world.request("dataset")).outputs
    assert [one.happened for one in asked] == [1, 1]
    assert len(run_ids(workspace)) == 1


def test_lost_machines_are_tried_again_in_the_same_run(world: World, workspace: Workspace) -> None:
    for fault in (SpotLoss(), DriverLost()):
        workspace.misbehave(fault, on="dataset")
    unheard = workspace.misbehave(ServerError(500, done=True), on=REPAIR)
    result = world.compute.run(world.request("dataset"))
    assert result.run["databricks"]["attempt"] >= 2
    assert attempts(workspace)[-1] == "SUCCESS"
    assert workspace.count("POST", "/api/2.2/jobs/runs/repair") == 2
    assert unheard.happened == 1


def test_a_later_stage_that_lost_its_cluster_does_not_repeat_the_earlier_one(world: World, workspace: Workspace) -> None:
    workspace.misbehave(SpotLoss(), on="features")
    first, ahead = world.road()[:2]
    world.compute.run(first, run_id="r", ahead=[ahead])
    world.compute.run(ahead, run_id="r")
    (run_id,) = run_ids(workspace)
    tasks = workspace.client().jobs.get_run(run_id).tasks or []
    assert sum(task.task_key == "dataset" for task in tasks) == 1


def test_spot_capacity_that_is_always_lost_ends_in_one_line_after_the_retries(world: World, workspace: Workspace) -> None:
    workspace.misbehave(SpotLoss(), on="dataset", times=9)
    patient = World(world.home, contract_there(retries=1))
    for _ in range(2):
        with pytest.raises(
            StageError, match=r"after 1 further tries the platform still failed \(CLUSTER_ERROR: .*SPOT_INSTANCE"
        ) as told:
            patient.compute.run(patient.request("dataset"), run_id="one")
        assert told.value.line.startswith(workspace.url)
    assert workspace.count("POST", "/api/2.2/jobs/runs/repair") == 1


def test_a_cluster_that_never_starts_is_given_up_and_its_run_cancelled(world: World, workspace: Workspace) -> None:
    workspace.misbehave(NeverStarts(), on="stages")
    hasty = World(world.home, contract_there(start_timeout="1s"))
    with pytest.raises(StageError, match=r"no cluster within start_timeout \(0.0166667 min\).*the run is cancelled"):
        hasty.compute.run(hasty.request("dataset"))
    assert attempts(workspace) == ["CANCELED"]


def test_a_run_that_somebody_cancels_is_told_and_a_new_launch_begins_another(world: World, workspace: Workspace) -> None:
    workspace.misbehave(Cancelled(by="somebody@example.com"), on="dataset")
    with pytest.raises(StageError, match=r"the run was cancelled there \(Run cancelled by somebody@example.com.\)"):
        world.compute.run(world.request("dataset"), run_id="one")
    assert world.compute.run(world.request("dataset"), run_id="two").outputs
    assert len(run_ids(workspace)) == 2


def test_an_interruption_cancels_the_run_waits_for_its_end_and_goes_on(world: World, workspace: Workspace) -> None:
    def interrupt() -> None:
        raise DagsterExecutionInterruptedError

    with pytest.raises(DagsterExecutionInterruptedError):
        _run_with(world, world.request("dataset"), interrupt)
    (run_id,) = run_ids(workspace)
    run = workspace.client().jobs.get_run(run_id)
    assert run.state is not None
    assert run.state.result_state is not None
    assert run.state.result_state.value == "CANCELED"


def test_an_orchestrator_that_was_killed_finds_its_run_again(world: World, workspace: Workspace) -> None:
    class Dead(BaseException):
        """Nothing here answers it, as nothing answers a kill."""

    def die() -> None:
        raise Dead

    with pytest.raises(Dead):
        _run_with(world, world.request("dataset"), die)
    workspace.misbehave(NotYetVisible(), on=GET_RUN, times=3)
    assert world.compute.run(world.request("dataset"), run_id="after").outputs
    assert len(run_ids(workspace)) == 1
    assert workspace.count("POST", "/api/2.2/jobs/run-now") == 1


def test_one_that_did_not_hear_that_its_run_was_begun_begins_no_second(world: World, workspace: Workspace) -> None:
    workspace.misbehave(ServerError(501, done=True), on=RUN_NOW)
    with pytest.raises(StageError, match="Databricks does not answer as it should"):
        world.compute.run(world.request("dataset"))
    assert world.compute.run(world.request("dataset")).outputs
    assert len(run_ids(workspace)) == 1
    assert workspace.count("POST", "/api/2.2/jobs/run-now") == 2


def test_a_job_that_is_deleted_before_its_run_was_begun_is_made_again(world: World, workspace: Workspace) -> None:
    workspace.misbehave(ServerError(501), on=RUN_NOW)
    with pytest.raises(StageError, match="Databricks does not answer as it should"):
        world.compute.run(world.request("dataset"))
    (job,) = workspace.client().jobs.list()
    workspace.client().jobs.delete(job.job_id or 0)
    assert world.compute.run(world.request("dataset")).outputs


def test_two_launches_of_one_retrain_at_once_are_one_run(world: World, workspace: Workspace) -> None:
    first, ahead = world.road()[:2]
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(world.compute.run, first, run_id="a"),
            pool.submit(world.compute.run, first, run_id="b", ahead=[ahead]),
        ]
    assert asked[0].result() == asked[1].result()
    assert len(run_ids(workspace)) == 1


def test_a_home_that_forgot_a_run_that_failed_begins_another(world: World, workspace: Workspace) -> None:
    workspace.misbehave(Cancelled(), on="dataset")
    with pytest.raises(StageError, match="was cancelled there"):
        world.compute.run(world.request("dataset"))
    shutil.rmtree(world.home / "stages")
    assert world.compute.run(world.request("dataset")).outputs
    shutil.rmtree(world.home / "stages")
    assert world.compute.run(world.request("dataset")).outputs
    assert len(run_ids(workspace)) == 2


def test_a_job_that_was_killed_half_way_is_completed_by_the_next_try(world: World, workspace: Workspace) -> None:
    workspace.misbehave(Killed(written=f"{VOLUME}/stages/*/*/dataset/dataset/*"), on="dataset")
    with pytest.raises(StageError, match=r"the stage's process ended without a result \(.*137.*\)") as told:
        world.compute.run(world.request("dataset"), run_id="one")
    assert "give the driver more memory" in told.value.remedy
    result = world.compute.run(world.request("dataset"), run_id="two")
    assert result == LocalCompute().run(world.request("dataset", unit_key=b""))


def test_a_token_that_expires_while_it_waits_is_one_line_and_the_run_is_found_again(world: World, workspace: Workspace) -> None:
    fault = workspace.misbehave(TokenExpired(), on=GET_RUN, times=99)
    with pytest.raises(StageError, match="does not accept the credentials") as told:
        world.compute.run(world.request("dataset"), run_id="one")
    assert "DATABRICKS_TOKEN" in told.value.where
    fault.times = 0
    assert world.compute.run(world.request("dataset"), run_id="two").outputs
    assert len(run_ids(workspace)) == 1


@pytest.mark.parametrize("missing", ["READ_VOLUME", "WRITE_VOLUME"])
def test_a_volume_that_may_not_be_used_is_named_with_the_grant(world: World, workspace: Workspace, missing: str) -> None:
    workspace.add_volume("main.retrain.state", permissions={workspace.user: {"READ_VOLUME", "WRITE_VOLUME"} - {missing}})
    with pytest.raises(StageError, match="grant it READ VOLUME and WRITE VOLUME there") as told:
        world.compute.run(world.request("dataset"))
    assert told.value.where.startswith(VOLUME)
    assert run_ids(workspace) == []


def test_a_volume_that_does_not_exist_is_named(world: World) -> None:
    other = World(world.home, contract_there(volume="/Volumes/main/retrain/nowhere"))
    with pytest.raises(StageError, match=r"create the volume or correct compute\.databricks\.volume"):
        other.compute.run(other.request("dataset"))


def test_a_job_that_the_contract_names_and_nobody_made_is_named(world: World) -> None:
    other = World(world.home, contract_there(job=77))
    with pytest.raises(StageError, match=r"correct compute\.databricks\.job"):
        other.compute.run(other.request("dataset"))


def test_the_stages_own_error_comes_back_as_it_is(world: World, workspace: Workspace) -> None:
    for file in workspace.path(f"{VOLUME}/source").iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(SourceError, match="not a readable Parquet file") as told:
        world.compute.run(world.request("dataset"))
    assert told.value.where.endswith("a.parquet")
    assert workspace.count("POST", "/api/2.2/jobs/runs/repair") == 0


def test_a_stage_that_runs_too_long_is_ended_with_the_setting_named(world: World, workspace: Workspace) -> None:
    short = World(world.home, contract_there(run_timeout="1s"))
    workspace.task_environment["PYTHONDONTWRITEBYTECODE"] = "1"
    with pytest.raises(StageError, match=r"the stage ran longer than run_timeout .*raise compute.databricks.run_timeout"):
        short.compute.run(short.request("training", inputs={"features": _slow_input(short)}))


def test_a_library_that_is_not_there_is_told(world: World) -> None:
    other = World(world.home, contract_there(libraries=["no-such-library==9"]))
    with pytest.raises(StageError, match=r"the stage was not begun \(LIBRARY_INSTALLATION_ERROR: .*correct compute.databricks"):
        other.compute.run(other.request("dataset"))


def test_a_result_that_is_missing_or_cut_off_is_told_and_the_next_launch_gives_it_without_computing(
    world: World, workspace: Workspace
) -> None:
    first = world.compute.run(world.request("dataset"), run_id="one")
    (world.home / "stages/parcel_delay/2024-03-01/dataset/result.json").unlink()
    made = workspace.path(f"{VOLUME}/stages/parcel_delay/2024-03-01/dataset/dataset/train.parquet")
    stamp = made.stat().st_mtime_ns
    (answer,) = workspace.root.rglob("orders/*/*/*/dataset/result.json")
    for text in (answer.read_text()[:200], json.dumps({"result": {}}), "[]"):
        answer.write_text(text)
        with pytest.raises(StageError, match="the result is cut off or damaged"):
            world.compute.run(world.request("dataset"), run_id="one")
    answer.unlink()
    with pytest.raises(StageError, match="left no result"):
        world.compute.run(world.request("dataset"), run_id="one")
    assert world.compute.run(world.request("dataset"), run_id="two") == first
    assert made.stat().st_mtime_ns == stamp


def test_a_download_that_is_cut_off_is_told_and_nothing_half_stays(world: World, workspace: Workspace) -> None:
    workspace.misbehave(TruncatedDownload(announced=False), on="GET *train.parquet", times=99)
    with pytest.raises(StageError, match="the file is not as the stage wrote it"):
        world.compute.run(world.request("dataset"))
    assert not (world.home / "stages/parcel_delay/2024-03-01/dataset/dataset").exists()
    assert not (world.home / "stages/parcel_delay/2024-03-01/dataset/result.json").exists()


def test_what_becomes_visible_late_is_waited_for(world: World, workspace: Workspace) -> None:
    workspace.misbehave(NotYetVisible(), on="GET *dataset/result.json", times=2)
    assert world.compute.run(world.request("dataset")).outputs


def test_a_closed_gate_stops_the_rest_of_the_run(world: World, workspace: Workspace) -> None:
    strict = json.loads(json.dumps(contract_there()))
    strict["gates"]["data"]["min_rows"] = 1_000_000
    closed = World(world.home, strict)
    first, *ahead = closed.road()
    result = closed.compute.run(first, run_id="r", ahead=ahead)
    assert any(verdict["outcome"] != "pass" for verdict in result.verdicts["data"])
    with pytest.raises(StageError, match="gate data is not open after dataset"):
        closed.compute.run(ahead[0], run_id="r")
    assert attempts(workspace) == ["SUCCESS", "FAILED", "UPSTREAM_FAILED", "UPSTREAM_FAILED"]


def test_cancelling_a_retrain_ends_its_runs(world: World, workspace: Workspace) -> None:
    workspace.misbehave(NeverStarts(), on="stages")
    failed: list[StageError] = []

    def ask() -> None:
        try:
            world.compute.run(world.request("dataset"))
        except StageError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    retrain = world.home / "stages" / "parcel_delay" / "2024-03-01"
    while (noted := UnderWay.read(retrain, "dataset")) is None or noted.run_id is None:
        time.sleep(0.05)
    assert world.compute.cancel("parcel_delay", "2024-03-01") == [noted.run_id]
    thread.join()
    assert "the run was cancelled there" in failed[0].line
    assert world.compute.cancel("parcel_delay", "2024-03-01") == []


def _run_with(world: World, request: StageRequest, at_second_look: Callable[[], None]) -> StageResult:
    """Run a stage, doing something at the second look at its run."""
    looks = iter([lambda: None, at_second_look])
    seen = runs.Watch.seen

    def look(watch: runs.Watch) -> object:
        found = seen(watch)
        next(looks, lambda: None)()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.Watch, "seen", look)
        return world.compute.run(request)


def _slow_input(world: World) -> str:
    LocalCompute().run(world.request("dataset", unit_key=b""))
    return LocalCompute().run(world.request("features", unit_key=b"")).outputs["features"]["uri"]
