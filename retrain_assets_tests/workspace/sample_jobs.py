"""Jobs for tests: a small wheel on the volume, and tasks that run it on a job cluster or on serverless compute."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.compute import ClusterSpec, Environment, Library
from databricks.sdk.service.jobs import (
    JobCluster,
    JobEnvironment,
    JobParameterDefinition,
    PythonWheelTask,
    Run,
    RunLifeCycleState,
    RunOutput,
    RunTask,
    Task,
    TaskDependency,
)

from .wheels import write_wheel
from .workspace import Workspace

STATE = "/Volumes/main/retrain/state"
WHEEL = f"{STATE}/code/sample-1.0-py3-none-any.whl"
SMALL = ClusterSpec(spark_version="17.3.x-scala2.13", node_type_id="i3.xlarge", num_workers=0)
SAMPLE = """
import json, os, pathlib, subprocess, sys, time

def say():
    print(*sys.argv[1:])

def fail():
    raise ValueError("no such column: late")

def stop_with_two():
    sys.exit(2)

def stop_with_zero():
    sys.exit(0)

def give_three():
    return 3

def wait():
    print("waiting", flush=True)
    subprocess.Popen(["sleep", "60"])
    time.sleep(60)

def tell():
    volume = pathlib.Path(os.environ["RETRAIN_VOLUMES"], "main/retrain/state")
    told = {"environment": dict(os.environ), "cwd": os.getcwd(), "arguments": sys.argv[1:], "file": __file__}
    (volume / "told.json").write_text(json.dumps(told))

def tell_and_wait():
    tell()
    time.sleep(60)

def fail_first_time():
    marker = pathlib.Path(os.environ["RETRAIN_VOLUMES"], "main/retrain/state/tried")
    if not marker.exists():
        marker.touch()
        sys.exit(1)
"""
ENTRY_POINTS = {f"sample-{name.replace('_', '-')}": f"sample.work:{name}" for name in ("say", "fail", "wait", "tell")}


def put_sample_wheel(workspace: Workspace) -> None:
    """Put the wheel on the volume."""
    write_wheel(workspace.path(f"{STATE}/code"), "sample", {"work": SAMPLE, "__init__": SAMPLE}, entry_points=ENTRY_POINTS)


def task(key: str, entry_point: str = "sample-say", *parameters: str, after: tuple[str, ...] = (), **settings: Any) -> Task:
    """A wheel task on the job cluster ``stages``."""
    place = {} if {"environment_key", "existing_cluster_id", "new_cluster"} & settings.keys() else {"job_cluster_key": "stages"}
    libraries = None if "environment_key" in settings else [Library(whl=WHEEL)]
    return Task(
        task_key=key,
        python_wheel_task=PythonWheelTask("sample", entry_point, parameters=list(parameters)),
        depends_on=[TaskDependency(one) for one in after] or None,
        **{"libraries": libraries, **place, **settings},
    )


def make_job(client: WorkspaceClient, *tasks: Task, parameters: Mapping[str, str] | None = None, **settings: Any) -> int:
    """A job of these tasks, with the job cluster ``stages`` and the serverless environment ``serverless``; gives its id."""
    job_id = client.jobs.create(
        name=settings.pop("name", "sample"),
        tasks=list(tasks),
        job_clusters=settings.pop("job_clusters", [JobCluster("stages", SMALL)]),
        environments=[JobEnvironment("serverless", Environment(environment_version="4", dependencies=[WHEEL]))],
        parameters=[JobParameterDefinition(name, default) for name, default in (parameters or {}).items()] or None,
        **settings,
    ).job_id
    assert job_id is not None
    return job_id


def ended(workspace: Workspace, run_id: int, seconds: float = 30) -> Run:
    """Wait for the end of a run; gives it as the client sees it."""
    record = workspace.parts["runs"].all[run_id]
    with record.changed:
        assert record.changed.wait_for(lambda: record.ended, timeout=seconds), f"run {run_id} did not end"
    return workspace.client().jobs.get_run(run_id)


def begun(workspace: Workspace, job_id: int, **settings: Any) -> int:
    """Start a run; gives its id."""
    run_id = workspace.client().jobs.run_now(job_id, **settings).bind()["run_id"]
    assert isinstance(run_id, int)
    return run_id


def run(workspace: Workspace, job_id: int, **settings: Any) -> Run:
    """Run a job to its end."""
    return ended(workspace, begun(workspace, job_id, **settings))


def output(workspace: Workspace, run: Run, key: str) -> RunOutput:
    """What the last attempt at a task printed, and its error."""
    run_id = latest(run)[key].run_id
    assert run_id is not None
    return workspace.client().jobs.get_run_output(run_id)


def result(run: Run) -> str:
    """Result of the run."""
    assert run.state is not None
    assert run.state.result_state is not None
    return run.state.result_state.value


def termination(told: Run | RunTask) -> tuple[str, str, str]:
    """Code, type and message of an end."""
    assert told.status is not None
    details = told.status.termination_details
    assert details is not None
    assert details.code is not None
    assert details.type is not None
    return details.code.value, details.type.value, details.message or ""


def latest(run: Run) -> dict[str, RunTask]:
    """The last attempt at each task."""
    return {one.task_key: one for one in sorted(run.tasks or [], key=lambda one: one.attempt_number or 0)}


def results(run: Run) -> dict[str, str]:
    """Result of each task."""
    return {key: one.state.result_state.value for key, one in latest(run).items() if one.state and one.state.result_state}


WAIT = timedelta(seconds=30)


def until_running(workspace: Workspace, run_id: int, key: str, seconds: float = 20) -> None:
    """Wait until the process of a task runs."""
    deadline = time.monotonic() + seconds
    while True:
        shown = latest(workspace.client().jobs.get_run(run_id))[key].state
        if shown is not None and shown.life_cycle_state is RunLifeCycleState.RUNNING:
            return
        assert time.monotonic() < deadline, f"task {key} of run {run_id} does not run: {shown}"
        time.sleep(0.02)
