"""Runs of jobs in the emulated workspace, through the real client: real processes, the graph of tasks, one cluster a run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from databricks.sdk.errors import InvalidParameterValue, InvalidState, ResourceDoesNotExist
from databricks.sdk.service.compute import Library
from databricks.sdk.service.jobs import (
    PythonWheelTask,
    QueueSettings,
    RunIf,
    RunLifeCycleState,
    RunLifecycleStateV2State,
)

from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.sample_jobs import (
    STATE,
    WAIT,
    begun,
    ended,
    latest,
    make_job,
    output,
    put_sample_wheel,
    result,
    results,
    run,
    task,
    termination,
    until_running,
)
from retrain_assets_tests.workspace.wheels import write_wheel


@pytest.fixture(autouse=True)
def wheel(workspace: Workspace) -> None:
    put_sample_wheel(workspace)


def test_a_wheel_task_runs_the_wheels_entry_point_with_the_jobs_parameters(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    job_id = make_job(
        workspace.client(), task("a", "sample-say", "{{job.parameters.order}}", "x y"), parameters={"order": "none"}
    )
    done = jobs.run_now_and_wait(job_id, job_parameters={"order": f"{STATE}/orders/1"}, timeout=WAIT)
    assert result(done) == "SUCCESS"
    assert done.status is not None
    assert done.status.state is RunLifecycleStateV2State.TERMINATED
    printed = output(workspace, done, "a")
    assert printed.logs == f"{STATE}/orders/1 x y\n"
    assert (printed.error, printed.logs_truncated) == (None, False)


def test_a_task_sees_a_runtime_and_nothing_of_the_orchestrator(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "RETRAIN_LEDGER_URL", "SECRET_OF_THE_ORCHESTRATOR"):
        monkeypatch.setenv(name, "orchestrator")
    run(workspace, make_job(workspace.client(), task("a", "sample-tell")))
    told = json.loads(workspace.path(f"{STATE}/told.json").read_text())
    environment = told["environment"]
    assert environment["DATABRICKS_HOST"] == workspace.url
    assert environment["DATABRICKS_TOKEN"] in workspace.tokens
    assert environment["DATABRICKS_RUNTIME_VERSION"] == "17.3"
    assert environment["RETRAIN_VOLUMES"] == str(workspace.root)
    assert "orchestrator" not in environment.values()
    assert "RETRAIN_HOME" not in environment
    assert Path(told["cwd"]).is_relative_to(workspace.folder)
    assert Path(told["file"]).is_relative_to(workspace.wheels)


def test_the_wheel_stands_before_a_package_of_the_same_name_that_is_installed(workspace: Workspace) -> None:
    write_wheel(
        workspace.path(f"{STATE}/code"),
        "retrain_assets",
        {"elsewhere": "from importlib.metadata import version\ndef main():\n print(version('retrain-assets'))"},
        version="99.1",
        entry_points={"retrain-stage": "retrain_assets.elsewhere:main"},
    )
    one = task("a", libraries=[Library(whl=f"{STATE}/code/retrain_assets-99.1-py3-none-any.whl")])
    one.python_wheel_task = PythonWheelTask("retrain_assets", "retrain-stage")
    done = run(workspace, make_job(workspace.client(), one))
    assert output(workspace, done, "a").logs == "99.1\n"


def test_all_tasks_of_a_run_share_one_start_of_their_job_cluster(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a"), task("b", after=("a",)), task("c", after=("a",))))
    assert results(done) == {"a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}
    assert [start.key for start in workspace.cluster_starts] == ["stages"]
    clusters = {one.cluster_instance.cluster_id for one in done.tasks or [] if one.cluster_instance is not None}
    assert clusters == {workspace.cluster_starts[0].cluster_id}
    gone = workspace.client().clusters.get(workspace.cluster_starts[0].cluster_id)
    assert gone.termination_reason is not None
    assert gone.termination_reason.code is not None
    assert gone.termination_reason.code.value == "JOB_FINISHED"


def test_a_failed_task_tells_its_error_and_skips_what_depends_on_it(workspace: Workspace) -> None:
    always = task("clean", after=("b",), run_if=RunIf.ALL_DONE)
    done = run(workspace, make_job(workspace.client(), task("a", "sample-fail"), task("b", after=("a",)), always))
    assert results(done) == {"a": "FAILED", "b": "UPSTREAM_FAILED", "clean": "SUCCESS"}
    assert result(done) == "SUCCESS_WITH_FAILURES"
    told = output(workspace, done, "a")
    assert told.error == "ValueError: no such column: late"
    assert "in fail" in (told.error_trace or "")
    assert termination(latest(done)["a"])[:2] == ("RUN_EXECUTION_ERROR", "CLIENT_ERROR")


def test_a_failed_leaf_fails_the_run_with_the_first_tasks_message(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a", "stop_with_two"), task("b", after=("a",))))
    assert result(done) == "FAILED"
    assert termination(done)[2] == (
        "Task a failed with message: Workload failed, see run output for details. "
        "This caused all downstream tasks to get skipped."
    )
    assert output(workspace, done, "a").error == "SystemExit: 2"


def test_any_exit_of_a_wheel_fails_its_task_and_what_it_gives_is_not_looked_at(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a", "stop_with_zero"), task("b", "give_three")))
    assert results(done) == {"a": "FAILED", "b": "SUCCESS"}
    assert output(workspace, done, "a").error == "SystemExit: 0"


def test_only_the_named_tasks_run_and_the_others_count_as_disabled(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a", "sample-fail"), task("b", after=("a",))), only=["b"])
    assert results(done) == {"a": "DISABLED", "b": "SUCCESS"}
    assert result(done) == "SUCCESS"
    with pytest.raises(InvalidParameterValue, match="tasks that the job does not have: zzz"):
        workspace.client().jobs.run_now(done.job_id or 0, only=["zzz"])


def test_one_idempotency_token_is_one_run(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    job_id = make_job(workspace.client(), task("a"))
    ids = {begun(workspace, job_id, idempotency_token="retrain-1") for _ in range(3)}
    assert len(ids) == 1
    assert len(list(jobs.list_runs(job_id=job_id))) == 1
    with pytest.raises(InvalidParameterValue, match="at most 64 characters"):
        jobs.run_now(job_id, idempotency_token="x" * 65)
    ended(workspace, ids.pop())


def test_a_retried_task_has_one_entry_for_each_attempt(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a", "fail_first_time", max_retries=2)))
    assert [(one.task_key, one.attempt_number) for one in done.tasks or []] == [("a", 0), ("a", 1)]
    assert result(done) == "SUCCESS"
    assert len(workspace.cluster_starts) == 1


def test_cancelling_ends_the_process_with_all_that_it_started(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    job_id = make_job(workspace.client(), task("a", "sample-wait"), task("b", after=("a",)))
    run_id = begun(workspace, job_id)
    _until(lambda: len(_processes_in(workspace.folder)) == 2)
    jobs.cancel_run(run_id)
    done = ended(workspace, run_id)
    assert results(done) == {"a": "CANCELED", "b": "CANCELED"}
    assert done.state is not None
    assert done.state.user_cancelled_or_timedout is True
    _until(lambda: _processes_in(workspace.folder) == [])


def test_a_repair_runs_the_failed_tasks_again_in_the_same_run(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    say = task("b", "sample-say", "{{job.parameters.order}}", after=("a",))
    done = run(workspace, make_job(workspace.client(), task("a", "fail_first_time"), say, parameters={"order": "default"}))
    assert done.run_id is not None
    jobs.repair_run(done.run_id, rerun_tasks=["a"], rerun_dependent_tasks=True, job_parameters={"order": "mine"})
    again = ended(workspace, done.run_id)
    assert results(again) == {"a": "SUCCESS", "b": "SUCCESS"}
    assert [(one.task_key, one.attempt_number) for one in again.tasks or []] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert output(workspace, again, "b").logs == "mine\n"
    history = jobs.get_run(done.run_id, include_history=True).repair_history or []
    assert [one.id is None for one in history] == [True, False]
    assert [one.state.result_state.value for one in history if one.state and one.state.result_state] == ["FAILED", "SUCCESS"]
    with pytest.raises(InvalidParameterValue, match="latest repair ID needs to be provided"):
        jobs.repair_run(done.run_id, rerun_tasks=["a"])
    with pytest.raises(InvalidParameterValue, match="cannot contain duplicate task keys"):
        jobs.repair_run(done.run_id, rerun_tasks=["a", "a"], latest_repair_id=history[-1].id)
    assert len(workspace.cluster_starts) == 2


def test_a_run_that_is_under_way_cannot_be_repaired_or_deleted(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    run_id = begun(workspace, make_job(workspace.client(), task("a", "sample-wait")))
    with pytest.raises(InvalidState):
        jobs.repair_run(run_id, rerun_tasks=["a"])
    with pytest.raises(InvalidState):
        jobs.delete_run(run_id)
    jobs.cancel_run(run_id)
    ended(workspace, run_id)
    jobs.delete_run(run_id)
    with pytest.raises(ResourceDoesNotExist):
        jobs.get_run(run_id)


def test_a_second_run_waits_where_the_job_queues_and_is_skipped_where_it_does_not(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    job_id = make_job(workspace.client(), task("a", "sample-wait"), queue=QueueSettings(enabled=True))
    first, second = begun(workspace, job_id), begun(workspace, job_id)
    third = begun(workspace, job_id, queue=QueueSettings(enabled=False))
    assert jobs.get_run(second).state.life_cycle_state is RunLifeCycleState.QUEUED  # type: ignore[union-attr]
    skipped = ended(workspace, third)
    assert result(skipped) == "MAXIMUM_CONCURRENT_RUNS_REACHED"
    jobs.cancel_run(first)
    ended(workspace, first)
    until_running(workspace, second, "a")
    jobs.cancel_run(second)
    ended(workspace, second)


def test_time_limits_of_a_task_and_of_a_run_end_them(workspace: Workspace) -> None:
    client = workspace.client()
    of_task = run(workspace, make_job(client, task("a", "sample-wait", timeout_seconds=1), task("b", after=("a",))))
    assert results(of_task) == {"a": "TIMEDOUT", "b": "UPSTREAM_FAILED"}
    of_run = run(workspace, make_job(client, task("a", "sample-wait"), timeout_seconds=1))
    assert result(of_run) == "TIMEDOUT"


@pytest.mark.parametrize(
    ("entry_point", "whl", "told"),
    [
        ("sample-say", f"{STATE}/code/absent.whl", "No such file or directory"),
        ("sample-say", f"{STATE}/code/broken.whl", "is invalid"),
        ("sample-say", None, "Python wheel with name sample could not be found"),
    ],
)
def test_a_wheel_that_is_absent_broken_or_not_named_fails_the_task(
    workspace: Workspace, entry_point: str, whl: str | None, told: str
) -> None:

    workspace.path(f"{STATE}/code/broken.whl").write_bytes(b"not a wheel")
    libraries = [Library(whl=whl)] if whl is not None else []
    done = run(workspace, make_job(workspace.client(), task("a", entry_point, libraries=libraries)))
    failed = latest(done)["a"]
    assert failed.state is not None
    assert failed.state.life_cycle_state is RunLifeCycleState.INTERNAL_ERROR
    assert termination(failed)[0] == "LIBRARY_INSTALLATION_ERROR"
    assert told in termination(failed)[2]


def test_a_wheel_whose_requirement_no_index_gives_fails_the_task(workspace: Workspace) -> None:
    folder = workspace.path(f"{STATE}/code")
    unmet = write_wheel(folder, "unmet", {"__init__": "def main(): pass"}, requires=["polars>=999", "nowhere; extra == 'x'"])
    one = task("a", libraries=[Library(whl=f"{STATE}/code/{unmet.name}")])
    done = run(workspace, make_job(workspace.client(), one))
    assert "No matching distribution found for polars>=999" in termination(latest(done)["a"])[2]


def test_serverless_tasks_need_no_cluster_and_take_wheels_from_their_environment(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a", environment_key="serverless")))
    assert results(done) == {"a": "SUCCESS"}
    assert workspace.cluster_starts == []
    assert latest(done)["a"].cluster_instance is None


def _until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _processes_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve().is_relative_to(folder):
                found.append(process.name)
        except OSError:
            continue
    return found
