"""What the emulated workspace does wrong on request, as the real client and a run's state show it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import (
    InternalError,
    NotFound,
    PermissionDenied,
    ResourceDoesNotExist,
    TemporarilyUnavailable,
    Unauthenticated,
)
from databricks.sdk.errors import (
    TooManyRequests as Throttled,
)
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.jobs import RunLifeCycleState
from requests.exceptions import RequestException

from retrain_assets_tests.workspace import (
    Cancelled,
    ConnectionDropped,
    DriverLost,
    Fault,
    Killed,
    NeverStarts,
    NotYetVisible,
    Refused,
    ServerError,
    SlowAnswer,
    SlowStart,
    SpotLoss,
    TokenExpired,
    TooManyRequests,
    TruncatedDownload,
    TruncatedOutput,
    Workspace,
)
from retrain_assets_tests.workspace.sample_jobs import (
    STATE,
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
)

RUN_NOW = "POST /api/2.2/jobs/run-now"
GET_RUN = "GET /api/2.2/jobs/runs/get"
DOWNLOAD = "GET /api/2.0/fs/files/*"


class Hurried:
    """A clock that does not sleep, so that the client's own retries cost nothing; it notes what it was told to wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture(autouse=True)
def wheel(workspace: Workspace) -> None:
    put_sample_wheel(workspace)


def test_a_throttled_request_comes_through_after_the_time_it_was_told_to_wait(workspace: Workspace) -> None:
    clock = Hurried()
    client = workspace.client(clock=clock)
    asked = workspace.misbehave(TooManyRequests(retry_after=7), on="GET /api/2.2/jobs/list", times=2)
    assert list(client.jobs.list()) == []
    assert asked.happened == 2
    assert [int(seconds) for seconds in clock.slept] == [7, 7]
    assert workspace.count("GET", "/api/2.2/jobs/list") == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (ServerError(500), InternalError),
        (ServerError(503), TemporarilyUnavailable),
        (TooManyRequests(retry_after=None), Throttled),
        (TokenExpired(403), PermissionDenied),
        (TokenExpired(401), Unauthenticated),
        (Refused(message="does not have Manage Run permission on job 7"), PermissionDenied),
    ],
    ids=["500", "503", "429", "403", "401", "refused"],
)
def test_a_fault_of_an_answer_is_the_clients_error_and_only_as_often_as_asked(
    workspace: Workspace, fault: Fault, error: type[DatabricksError]
) -> None:
    client = workspace.client()
    workspace.misbehave(fault, on="GET /api/2.0/secrets/*", after=1)
    assert list(client.secrets.list_scopes()) == []
    with pytest.raises(error):
        client.api_client._api_client._perform("GET", f"{workspace.url}/api/2.0/secrets/scopes/list")
    assert list(client.secrets.list_scopes()) == []


@pytest.mark.parametrize("fault", [ConnectionDropped(done=True), ServerError(500, done=True)], ids=["dropped", "500"])
def test_a_run_whose_answer_was_lost_is_found_again_by_its_token(workspace: Workspace, fault: Fault) -> None:
    client = workspace.client(clock=Hurried())
    job_id = make_job(client, task("a"))
    workspace.misbehave(fault, on=RUN_NOW)
    with pytest.raises((InternalError, RequestException)):
        client.api_client._api_client._perform(
            "POST", f"{workspace.url}/api/2.2/jobs/run-now", body={"job_id": job_id, "idempotency_token": "one"}
        )
    assert len(list(client.jobs.list_runs(job_id=job_id))) == 1
    run_id = begun_with(client, job_id)
    assert [one.run_id for one in client.jobs.list_runs(job_id=job_id)] == [run_id]
    ended(workspace, run_id)


def test_a_client_that_waits_less_than_a_slow_answer_takes_asks_again(workspace: Workspace) -> None:
    client = workspace.client(clock=Hurried(), http_timeout_seconds=0.3)
    job_id = make_job(client, task("a"))
    workspace.misbehave(SlowAnswer(seconds=5), on=RUN_NOW)
    run_id = begun_with(client, job_id)
    assert workspace.count("POST", "/api/2.2/jobs/run-now") == 2
    assert [one.run_id for one in client.jobs.list_runs(job_id=job_id)] == [run_id]
    ended(workspace, run_id)


def test_a_dropped_connection_did_nothing_unless_asked_otherwise(workspace: Workspace) -> None:
    client = workspace.client(clock=Hurried())
    job_id = make_job(client, task("a"))
    workspace.misbehave(ConnectionDropped(), on=RUN_NOW)
    ended(workspace, begun_with(client, job_id))
    assert len(list(client.jobs.list_runs(job_id=job_id))) == 1


def test_what_was_just_made_is_not_seen_at_once(workspace: Workspace) -> None:
    client = workspace.client()
    run_id = begun(workspace, make_job(client, task("a")))
    workspace.misbehave(NotYetVisible(), on=GET_RUN, times=2)
    for _ in range(2):
        with pytest.raises(ResourceDoesNotExist, match=f"Run {run_id} does not exist"):
            client.jobs.get_run(run_id)
    assert client.jobs.get_run(run_id).run_id == run_id
    client.files.upload(f"{STATE}/x", io.BytesIO(b"x"))
    workspace.misbehave(NotYetVisible(), on=DOWNLOAD)
    with pytest.raises(NotFound, match="not found"):
        client.files.download(f"{STATE}/x")
    ended(workspace, run_id)


def test_a_truncated_download_ends_early_with_or_without_the_whole_length_in_its_header(workspace: Workspace) -> None:
    client = workspace.client()
    client.files.upload(f"{STATE}/result.json", io.BytesIO(json.dumps({"a": list(range(1000))}).encode()))
    workspace.misbehave(TruncatedDownload(share=0.25, announced=False), on=DOWNLOAD)
    got = client.files.download(f"{STATE}/result.json").contents
    assert got is not None
    with pytest.raises(json.JSONDecodeError):
        json.loads(got.read())
    workspace.misbehave(TruncatedDownload(share=0.25), on=DOWNLOAD)
    cut = client.files.download(f"{STATE}/result.json").contents
    assert cut is not None
    with pytest.raises(RequestException):
        cut.read()


def test_truncated_logs_say_that_they_are(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a", "sample-say", "a long line")))
    workspace.misbehave(TruncatedOutput(keep=5), on="a")
    cut = output(workspace, done, "a")
    assert (cut.logs, cut.logs_truncated) == ("line\n", True)


def test_a_token_that_is_taken_back_is_refused_and_a_new_one_of_a_service_principal_works(workspace: Workspace) -> None:
    identity = workspace.parts["identity"]
    client_id, secret = identity.add_principal()
    client = workspace.client(client_id=client_id, client_secret=secret)
    assert client.current_user.me().user_name == client_id
    assert client.get_workspace_id() == workspace.workspace_id
    identity.revoke()
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        client.current_user.me()
    assert workspace.client(client_id=client_id, client_secret=secret).current_user.me().user_name == client_id
    with pytest.raises(ValueError, match="invalid_client"):
        workspace.client(client_id=client_id, client_secret="wrong").current_user.me()
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        workspace.client(token="dapi-wrong").current_user.me()


def test_lost_spot_capacity_ends_the_cluster_and_the_task_and_a_repair_starts_another(workspace: Workspace) -> None:
    client = workspace.client()
    job_id = make_job(client, task("a", "sample-wait"), task("b", after=("a",)))
    workspace.misbehave(SpotLoss(printed="waiting"), on="a")
    done = run(workspace, job_id)
    assert results(done) == {"a": "FAILED", "b": "UPSTREAM_FAILED"}
    lost = latest(done)["a"]
    assert lost.state is not None
    assert lost.state.life_cycle_state is RunLifeCycleState.INTERNAL_ERROR
    code, kind, message = termination(lost)
    assert (code, kind) == ("CLUSTER_ERROR", "CLOUD_FAILURE")
    assert "SPOT_INSTANCE_TERMINATION" in message
    cluster_id = workspace.cluster_starts[0].cluster_id
    events = [one.type.value for one in client.clusters.events(cluster_id) if one.type is not None]
    assert events == ["TERMINATING", "NODES_LOST", "DRIVER_HEALTHY", "RUNNING", "CREATING"]
    workspace.misbehave(Cancelled(printed="waiting"), on="a")
    client.jobs.repair_run(done.run_id or 0, rerun_all_failed_tasks=True)
    assert result(ended(workspace, done.run_id or 0)) == "CANCELED"
    assert [one.key for one in workspace.cluster_starts] == ["stages", "stages"]


@pytest.mark.parametrize(
    ("fault", "expected", "told"),
    [
        (Killed(printed="waiting"), ("RUN_EXECUTION_ERROR", "CLIENT_ERROR"), "exit code 137 (SIGKILL: Killed)"),
        (DriverLost(printed="waiting"), ("DRIVER_ERROR", "INTERNAL_ERROR"), "The spark driver has stopped unexpectedly"),
        (
            Cancelled(printed="waiting", by="ann@example.com"),
            ("USER_CANCELED", "CLIENT_ERROR"),
            "Run cancelled by ann@example.com",
        ),
    ],
    ids=["killed", "driver lost", "cancelled"],
)
def test_a_task_that_ends_half_way_tells_why(workspace: Workspace, fault: Fault, expected: tuple[str, ...], told: str) -> None:
    workspace.misbehave(fault, on="a")
    done = run(workspace, make_job(workspace.client(), task("a", "sample-wait")))
    assert termination(latest(done)["a"])[:2] == expected
    assert told in (output(workspace, done, "a").error or "")


def test_a_fault_can_wait_for_a_file_on_a_volume(workspace: Workspace) -> None:
    workspace.misbehave(Killed(written=f"{STATE}/told.json"), on="*")
    done = run(workspace, make_job(workspace.client(), task("a", "tell_and_wait")))
    assert results(done) == {"a": "FAILED"}
    assert workspace.path(f"{STATE}/told.json").is_file()


def test_a_cluster_that_never_starts_keeps_its_run_pending_until_it_is_cancelled(workspace: Workspace) -> None:
    client = workspace.client()
    workspace.misbehave(NeverStarts(), on="stages")
    run_id = begun(workspace, make_job(client, task("a")))
    _until(lambda: len(workspace.cluster_starts) == 1)
    pending = latest(client.jobs.get_run(run_id))["a"]
    assert pending.state is not None
    assert pending.state.life_cycle_state is RunLifeCycleState.PENDING
    client.jobs.cancel_run(run_id)
    assert result(ended(workspace, run_id)) == "CANCELED"


def test_a_cluster_that_the_cloud_refuses_fails_the_task_with_the_clouds_reason(workspace: Workspace) -> None:
    workspace.misbehave(NeverStarts(refused=True), on="stages")
    done = run(workspace, make_job(workspace.client(), task("a")))
    code, kind, message = termination(latest(done)["a"])
    assert (code, kind) == ("CLOUD_FAILURE", "CLOUD_FAILURE")
    assert "AWS_INSUFFICIENT_INSTANCE_CAPACITY_FAILURE" in message


def test_a_slow_cluster_shows_its_task_pending_and_runs_it_then(workspace: Workspace) -> None:
    workspace.misbehave(SlowStart(seconds=0.5), on="stages")
    run_id = begun(workspace, make_job(workspace.client(), task("a")))
    shown = latest(workspace.client().jobs.get_run(run_id))["a"].state
    assert shown is not None
    assert shown.life_cycle_state in (RunLifeCycleState.BLOCKED, RunLifeCycleState.PENDING)
    done = ended(workspace, run_id)
    assert result(done) == "SUCCESS"
    assert (latest(done)["a"].setup_duration or 0) >= 500


def test_a_mistake_of_the_workspace_itself_is_an_answer_and_is_raised_when_it_closes(tmp_path: Path) -> None:
    def mistaken(request: Any) -> None:
        raise LookupError("not thought of")

    workspace = Workspace(tmp_path / "mistaken")
    workspace.routes.add("GET", "/api/2.0/mistaken", mistaken)
    with pytest.raises(LookupError, match="not thought of"), workspace, pytest.raises(InternalError, match=r"Workspace\.errors"):
        workspace.client().api_client.do("GET", "/api/2.0/mistaken")


def test_a_fault_of_another_copy_of_the_module_is_refused(workspace: Workspace) -> None:
    with pytest.raises(TypeError, match="is no Fault of this workspace"):
        workspace.misbehave(object())  # type: ignore[arg-type]


def begun_with(client: Any, job_id: int) -> int:
    run_id = client.jobs.run_now(job_id, idempotency_token="one").bind()["run_id"]
    assert isinstance(run_id, int)
    return run_id


def _until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
