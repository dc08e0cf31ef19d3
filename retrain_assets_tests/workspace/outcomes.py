"""What the end of some tasks means for those that wait and for the whole run; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from databricks.sdk.service.compute import TerminationReasonCode, TerminationReasonType
from databricks.sdk.service.jobs import (
    RunIf,
    RunResultState,
    Task,
    TerminationCodeCode,
    TerminationTypeType,
)

from .machines import Cluster
from .records import SUCCEEDED, Attempt, Life, Outcome

Result, Code, Kind = RunResultState, TerminationCodeCode, TerminationTypeType
AS_GOOD_AS_DONE = (Result.SUCCESS, Result.DISABLED, Result.EXCLUDED)
FAILED_RUN = "Workload failed, see run output for details"


def failed(message: str = FAILED_RUN) -> Outcome:
    """The code of a task failed."""
    return Outcome(Life.TERMINATED, Result.FAILED, Code.RUN_EXECUTION_ERROR, Kind.CLIENT_ERROR, message)


def broken(code: TerminationCodeCode, kind: TerminationTypeType, message: str) -> Outcome:
    """Something else than the code of the task failed."""
    return Outcome(Life.INTERNAL_ERROR, Result.FAILED, code, kind, message)


def cancelled(by: str) -> Outcome:
    """Somebody cancelled it."""
    return Outcome(Life.TERMINATED, Result.CANCELED, Code.USER_CANCELED, Kind.CLIENT_ERROR, f"Run cancelled by {by}.")


def timed_out(seconds: int) -> Outcome:
    """It took longer than it was allowed to."""
    message = f"Run exceeded its maximum duration of {seconds} seconds."
    return Outcome(Life.TERMINATED, Result.TIMEDOUT, Code.CANCELED, Kind.CLIENT_ERROR, message)


def disabled() -> Outcome:
    """It was not among the tasks that were asked for."""
    return Outcome(Life.SKIPPED, Result.DISABLED, Code.DISABLED, Kind.SUCCESS, "The task is disabled for this run.")


def over_the_limit() -> Outcome:
    """Other runs of the job are under way and it does not queue."""
    message = "Run was skipped because the limit of concurrent runs of the job was reached."
    return Outcome(
        Life.SKIPPED, Result.MAXIMUM_CONCURRENT_RUNS_REACHED, Code.MAX_CONCURRENT_RUNS_EXCEEDED, Kind.CLIENT_ERROR, message
    )


def not_started(cluster: Cluster) -> Outcome:
    """The cluster ended before it ran."""
    message = f"Unexpected failure while waiting for the cluster ({cluster.cluster_id}) to be ready: {cluster.told_end()}"
    if cluster.reason is not None and cluster.reason.type is TerminationReasonType.CLOUD_FAILURE:
        return broken(Code.CLOUD_FAILURE, Kind.CLOUD_FAILURE, message)
    return broken(Code.CLUSTER_ERROR, Kind.CLIENT_ERROR, message)


def lost(cluster: Cluster) -> Outcome:
    """The cluster ended under a task."""
    reason = cluster.reason
    if reason is not None and reason.type is TerminationReasonType.CLOUD_FAILURE:
        return broken(Code.CLUSTER_ERROR, Kind.CLOUD_FAILURE, cluster.told_end())
    if reason is not None and reason.code is TerminationReasonCode.DRIVER_UNREACHABLE:
        told = f"The spark driver has stopped unexpectedly. {cluster.told_end()}"
        return broken(Code.DRIVER_ERROR, Kind.INTERNAL_ERROR, told)
    return broken(Code.CLUSTER_ERROR, Kind.CLIENT_ERROR, cluster.told_end())


def next_of(task: Task, latest: Mapping[str, Attempt]) -> Outcome | bool:
    """Whether a task may start; False while it waits, an outcome where it never will."""
    upstream = [latest[needed.task_key].told.outcome for needed in task.depends_on or []]
    if any(one is None for one in upstream):
        return False
    results = [one.result for one in upstream if one is not None]
    good = [result in AS_GOOD_AS_DONE for result in results]
    allowed = {
        RunIf.ALL_SUCCESS: all(good),
        RunIf.ALL_DONE: True,
        RunIf.NONE_FAILED: all(good),
        RunIf.AT_LEAST_ONE_SUCCESS: any(good),
        RunIf.ALL_FAILED: not any(good),
        RunIf.AT_LEAST_ONE_FAILED: not all(good),
    }[task.run_if or RunIf.ALL_SUCCESS]
    if allowed or not results:
        return True
    if task.run_if not in (None, RunIf.ALL_SUCCESS):
        return Outcome(Life.SKIPPED, Result.EXCLUDED, Code.SKIPPED, Kind.SUCCESS, "The condition of the task was not met.")
    stopped = any(result in (Result.CANCELED, Result.UPSTREAM_CANCELED) for result in results)
    result = Result.UPSTREAM_CANCELED if stopped else Result.UPSTREAM_FAILED
    return Outcome(Life.SKIPPED, result, Code.SKIPPED, Kind.CLIENT_ERROR, "An upstream task failed.")


def of_run(latest: Mapping[str, Attempt]) -> Outcome:
    """How a run ended whose tasks have ended: its leaves decide."""
    wanted = [attempt for attempt in latest.values() if not attempt.disabled]
    needed = {one.task_key for attempt in wanted for one in attempt.task.depends_on or []}
    leaves = [attempt for attempt in wanted if attempt.key not in needed]
    bad = [attempt for attempt in wanted if not _is_good(attempt)]
    if all(_is_good(leaf) for leaf in leaves):
        if not bad:
            return SUCCEEDED
        return Outcome(Life.TERMINATED, Result.SUCCESS_WITH_FAILURES, Code.SUCCESS_WITH_FAILURES, Kind.SUCCESS)
    return _worst(bad)


def _worst(bad: Sequence[Attempt]) -> Outcome:
    first = next((one for one in bad if one.told.life is not Life.SKIPPED), bad[0])
    cause = first.told.outcome or failed()
    skipped = " This caused all downstream tasks to get skipped." if any(one.told.life is Life.SKIPPED for one in bad) else ""
    message = f"Task {first.key} failed with message: {cause.message.rstrip('.')}.{skipped}"
    result = cause.result if cause.stopped else Result.FAILED
    return Outcome(cause.life, result, cause.code, cause.kind, message)


def _is_good(attempt: Attempt) -> bool:
    return attempt.told.outcome is not None and attempt.told.outcome.result in AS_GOOD_AS_DONE
