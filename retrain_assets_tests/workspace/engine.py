"""Carries runs out: one thread a run walks the graph of tasks, one thread a task waits for its cluster and its process."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from databricks.sdk.service.compute import (
    ClusterSource,
    ClusterSpec,
    EventType,
    TerminationReasonCode,
    TerminationReasonType,
)
from databricks.sdk.service.jobs import RunResultState, Task, TerminationCodeCode, TerminationTypeType

from .clusters import Clusters
from .faults import Cancelled, DriverLost, DuringTask, Killed, SpotLoss
from .libraries import LibraryFailure, installed, provides
from .machines import Cluster, now
from .outcomes import broken, cancelled, failed, lost, next_of, not_started, of_run, timed_out
from .processes import TaskProcess, command_of, environment_of
from .records import ENDED, SUCCEEDED, Attempt, Life, Outcome, RunRecord, Told
from .references import UnknownReference, resolved
from .routes import ApiError
from .spark_settings import write_spark_settings

if TYPE_CHECKING:
    from .workspace import Workspace

TICK = 0.02
Code, Kind = TerminationCodeCode, TerminationTypeType


class Engine:
    """Starts and stops runs; ``ended`` is called with each run that is over."""

    def __init__(self, workspace: Workspace, ended: Callable[[RunRecord], None], numbers: Iterator[int]) -> None:
        self._workspace = workspace
        self._ended = ended
        self._numbers = numbers
        self._task_token = f"dapi{secrets.token_hex(16)}"
        workspace.tokens[self._task_token] = workspace.user

    def begin(self, run: RunRecord) -> None:
        """Carry a run out; gives at once."""
        with run.changed:
            run.told.life, run.told.running_at = Life.RUNNING, now()
            run.stopping = None
        threading.Thread(target=self._drive, args=(run,), daemon=True).start()

    def stop(self, run: RunRecord, outcome: Outcome) -> None:
        """Stop a run that is under way; gives at once. One that is over stays as it is."""
        with run.changed:
            if run.ended or run.stopping is not None:
                return
            run.stopping = outcome
            if run.told.life is Life.QUEUED:
                for attempt in run.attempts:
                    attempt.told.end(outcome)
                run.told.end(outcome)
            else:
                run.told.life = Life.TERMINATING
                for attempt in run.attempts:
                    attempt.stop.set()
            run.changed.notify_all()

    def _drive(self, run: RunRecord) -> None:
        limit = run.settings.timeout_seconds or 0
        deadline = time.monotonic() + limit if limit else None
        with run.changed:
            while True:
                while any(self._advance(run, attempt) for attempt in run.latest().values()):
                    continue
                if all(attempt.told.life in ENDED for attempt in run.attempts):
                    break
                run.changed.wait(None if deadline is None else max(deadline - time.monotonic(), TICK))
                if deadline is not None and time.monotonic() >= deadline:
                    self.stop(run, timed_out(limit))
            for cluster in run.clusters.values():
                cluster.end(TerminationReasonCode.JOB_FINISHED, TerminationReasonType.SUCCESS)
            outcome = run.stopping or of_run(run.latest())
            run.repairs[-1].told.end(outcome)
            run.told.end(outcome)
            run.changed.notify_all()
        self._ended(run)

    def _advance(self, run: RunRecord, attempt: Attempt) -> bool:
        """Take a waiting task one step on; False where there is none to take."""
        if attempt.under_way or attempt.told.life in ENDED:
            return False
        if run.stopping is not None:
            attempt.told.end(run.stopping)
            return True
        may = next_of(attempt.task, run.latest())
        if may is False:
            return False
        if isinstance(may, Outcome):
            attempt.told.end(may)
            return True
        attempt.under_way = True
        attempt.told.life, attempt.told.started_at = Life.PENDING, now()
        threading.Thread(target=self._perform, args=(run, attempt), daemon=True).start()
        return True

    def _perform(self, run: RunRecord, attempt: Attempt) -> None:
        outcome = broken(Code.INTERNAL_ERROR, Kind.INTERNAL_ERROR, "An unexpected error occurred.")
        try:
            outcome = self._carried_out(run, attempt)
        finally:
            with run.changed:
                attempt.told.end(outcome)
                if attempt.task.new_cluster is not None and attempt.cluster is not None:
                    attempt.cluster.end(TerminationReasonCode.JOB_FINISHED, TerminationReasonType.SUCCESS)
                self._retry(run, attempt, outcome)
                run.changed.notify_all()

    def _retry(self, run: RunRecord, attempt: Attempt, outcome: Outcome) -> None:
        """Another attempt, where the task is to be retried after such an end."""
        allowed = attempt.task.max_retries or 0
        tried = sum(1 for one in run.attempts if one.key == attempt.key and one.run_id in run.repairs[-1].run_ids)
        timed = outcome.result is RunResultState.TIMEDOUT
        wanted = outcome.result is RunResultState.FAILED or (timed and bool(attempt.task.retry_on_timeout))
        if run.stopping is not None or not wanted or (allowed >= 0 and tried > allowed):
            return
        again = Attempt(next(self._numbers), attempt.task, attempt.number + 1)
        again.told = Told(Life.WAITING_FOR_RETRY)
        again.under_way = True
        run.attempts.append(again)
        run.repairs[-1].run_ids.append(again.run_id)
        wait = (attempt.task.min_retry_interval_millis or 0) / 1000

        def later() -> None:
            again.stop.wait(wait)
            with run.changed:
                again.under_way = False
                run.changed.notify_all()

        threading.Thread(target=later, daemon=True).start()

    def _carried_out(self, run: RunRecord, attempt: Attempt) -> Outcome:
        clusters: Clusters = self._workspace.parts["clusters"]
        try:
            attempt.cluster = self._cluster(run, attempt, clusters)
        except ApiError as error:
            return broken(
                Code.INVALID_CLUSTER_REQUEST, Kind.CLIENT_ERROR, f"Unexpected failure while creating the cluster: {error.message}"
            )
        if attempt.cluster is not None and not self._wait(attempt, attempt.cluster, clusters):
            return self._stopped(run, attempt) or not_started(attempt.cluster)
        try:
            task = Task.from_dict(resolved(attempt.task.as_dict(), self._values(run, attempt)))
            wheels = installed(self._workspace, task.libraries or [], self._dependencies(run, task))
            self._check(task, wheels)
        except UnknownReference as error:
            return broken(Code.INVALID_RUN_CONFIGURATION, Kind.CLIENT_ERROR, str(error))
        except LibraryFailure as error:
            return broken(Code.LIBRARY_INSTALLATION_ERROR, Kind.CLIENT_ERROR, str(error))
        return self._stopped(run, attempt) or self._process(run, attempt, task, wheels)

    def _process(self, run: RunRecord, attempt: Attempt, task: Task, wheels: list[Path]) -> Outcome:
        scratch = self._workspace.folder / "scratch" / str(attempt.run_id)
        cluster = attempt.cluster
        given: Mapping[str, str] = {} if cluster is None else cluster.environment
        environment = environment_of(
            self._workspace, given, wheels, scratch, write_spark_settings(scratch, cluster), self._task_token
        )
        fault = self._workspace.faults.take(DuringTask, attempt.key)
        limit = task.timeout_seconds or 0
        with run.changed:
            attempt.told.life, attempt.told.running_at = Life.RUNNING, now()
        process = TaskProcess(self._workspace, command_of(self._workspace, task), environment, scratch, self._delivered(cluster))
        stopped: Outcome | None = None
        began = time.monotonic()
        try:
            while stopped is None and not process.poll(TICK):
                if fault is not None and process.is_time_for(fault):
                    self._strike(run, attempt, fault, process)
                    fault = None
                if limit and time.monotonic() - began >= limit:
                    stopped = timed_out(limit)
                stopped = stopped or self._stopped(run, attempt)
        finally:
            if stopped is not None:
                with run.changed:
                    attempt.told.life = Life.TERMINATING
            process.kill()
            ended = process.ended()
            attempt.logs, attempt.error, attempt.trace = ended.logs, ended.error, ended.trace
        stopped = stopped or self._stopped(run, attempt)
        if stopped is not None:
            attempt.error, attempt.trace = stopped.message, None
            return stopped
        return SUCCEEDED if ended.code == 0 else failed()

    def _strike(self, run: RunRecord, attempt: Attempt, fault: DuringTask, process: TaskProcess) -> None:
        """What was asked to go wrong in the middle of a task."""
        cluster = attempt.cluster
        match fault:
            case Cancelled(by=by):
                self.stop(run, cancelled(by))
            case SpotLoss() if cluster is not None:
                parameters = {
                    "instance_id": "i-0driver",
                    "aws_instance_state_reason": "Server.SpotInstanceTermination",
                    "aws_spot_request_status": "instance-terminated-no-capacity",
                }
                code, kind = TerminationReasonCode.SPOT_INSTANCE_TERMINATION, TerminationReasonType.CLOUD_FAILURE
                cluster.end(code, kind, parameters, before=EventType.NODES_LOST)
            case DriverLost() if cluster is not None:
                code, kind = TerminationReasonCode.DRIVER_UNREACHABLE, TerminationReasonType.SERVICE_FAULT
                cluster.end(code, kind, before=EventType.DRIVER_NOT_RESPONDING)
            case Killed() | SpotLoss() | DriverLost():
                process.kill()

    def _stopped(self, run: RunRecord, attempt: Attempt) -> Outcome | None:
        """Why an attempt must end now, or None."""
        if run.stopping is not None or attempt.stopping is not None:
            return run.stopping or attempt.stopping
        if attempt.cluster is not None and attempt.cluster.ended and attempt.told.life is not Life.PENDING:
            return lost(attempt.cluster)
        return None

    def _cluster(self, run: RunRecord, attempt: Attempt, clusters: Clusters) -> Cluster | None:
        """The cluster of a task: of its key (started once a run), its own, an existing one, or None on serverless compute."""
        task = attempt.task
        if task.existing_cluster_id is not None:
            cluster = clusters.found(task.existing_cluster_id)
            if cluster.ended:
                clusters.bring_up(cluster, run_id=run.run_id)
            return cluster
        key = task.job_cluster_key or (task.task_key if task.new_cluster is not None else None)
        if key is None:
            return None
        with run.changed:
            shared = run.clusters.get(key)
            if shared is None or shared.ended:
                spec = task.new_cluster or next(
                    one.new_cluster for one in run.settings.job_clusters or [] if one.job_cluster_key == key
                )
                named = ClusterSpec.from_dict({**spec.as_dict(), "cluster_name": f"job-{run.job_id}-run-{run.run_id}-{key}"})
                run.clusters[key] = clusters.make(named, run.creator, source=ClusterSource.JOB, run_id=run.run_id, key=key)
            return run.clusters[key]

    def _wait(self, attempt: Attempt, cluster: Cluster, clusters: Clusters) -> bool:
        """Wait for the cluster, as long as the task may take."""
        limit = attempt.task.timeout_seconds
        if limit:

            def give_up() -> None:
                attempt.stopping = timed_out(limit)
                attempt.stop.set()

            timer = threading.Timer(limit, give_up)
            timer.daemon = True
            timer.start()
            try:
                return clusters.wait_until_running(cluster, attempt.stop)
            finally:
                timer.cancel()
        return clusters.wait_until_running(cluster, attempt.stop)

    def _dependencies(self, run: RunRecord, task: Task) -> list[str]:
        if task.environment_key is None:
            return []
        environment = next(one for one in run.settings.environments or [] if one.environment_key == task.environment_key)
        return list((environment.spec.dependencies if environment.spec is not None else None) or [])

    def _check(self, task: Task, wheels: list[Path]) -> None:
        wheel = task.python_wheel_task
        if wheel is not None and not provides(wheels, wheel.package_name, wheel.entry_point):
            raise LibraryFailure(
                f"run failed with error message\n Python wheel with name {wheel.package_name} could not be found. "
                "Please check the driver logs for more details"
            )

    def _delivered(self, cluster: Cluster | None) -> Path | None:
        """Where the cluster's logs go, if anywhere."""
        settings = None if cluster is None else cluster.spec.cluster_log_conf
        place = None if settings is None else settings.dbfs or settings.volumes
        if cluster is None or place is None or place.destination is None:
            return None
        return self._workspace.path(place.destination) / cluster.cluster_id / "driver"

    def _values(self, run: RunRecord, attempt: Attempt) -> dict[str, str]:
        """What dynamic value references stand for."""
        parameters = {f"job.parameters.{name}": one.value or one.default or "" for name, one in run.parameters.items()}
        return {
            **parameters,
            "job.id": str(run.job_id),
            "job.run_id": str(run.run_id),
            "job.name": run.name,
            "job.repair_count": str(len(run.repairs) - 1),
            "job_id": str(run.job_id),
            "run_id": str(attempt.run_id),
            "task.name": attempt.key,
            "task.run_id": str(attempt.run_id),
            "task.execution_count": str(attempt.number + 1),
            "workspace.id": str(self._workspace.workspace_id),
            "workspace.url": self._workspace.url,
        }
