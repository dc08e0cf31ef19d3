"""What the states of a run and its tasks mean: still going, done, worth another try, or an error in one line. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrain_assets.contract import StageError

if TYPE_CHECKING:
    from databricks.sdk.service import jobs

ENDED = frozenset({"TERMINATED", "SKIPPED", "INTERNAL_ERROR"})
FAULTS_OF_THE_PLATFORM = frozenset(
    {"CLUSTER_ERROR", "CLOUD_FAILURE", "INTERNAL_ERROR", "DRIVER_ERROR", "CLUSTER_REQUEST_LIMIT_EXCEEDED", "STORAGE_ACCESS_ERROR"}
)
"""Codes of an end that the same task may not have at its next try."""

NOT_REACHED = frozenset({"UPSTREAM_FAILED", "UPSTREAM_CANCELED", "EXCLUDED", "DISABLED"})

_REMEDIES = {
    "INVALID_CLUSTER_REQUEST": "correct compute.databricks.cluster",
    "INVALID_RUN_CONFIGURATION": "correct compute.databricks",
    "LIBRARY_INSTALLATION_ERROR": "correct compute.databricks.libraries, and let the cluster reach a package index",
    "UNAUTHORIZED_ERROR": "give the job's identity what it asks for",
    "RESOURCE_NOT_FOUND": "correct compute.databricks",
    "FEATURE_DISABLED": "enable it in the workspace, or use another kind of compute",
    "MAX_SPARK_CONTEXTS_EXCEEDED": "use a cluster of the run's own",
    "BUDGET_POLICY_LIMIT_EXCEEDED": "ask for a higher budget policy",
    "CLUSTER_ERROR": "look at the cluster's events; then launch the stage again",
}


def state_of(one: jobs.Run | jobs.RunTask) -> str:
    """The life-cycle state of a run or task; the older field where the newer is not there."""
    if one.state is not None and one.state.life_cycle_state is not None:
        return one.state.life_cycle_state.value
    if one.status is not None and one.status.state is not None:
        return one.status.state.value
    return "PENDING"


def has_ended(one: jobs.Run | jobs.RunTask) -> bool:
    """Whether nothing more happens to it."""
    return state_of(one) in ENDED


def result_of(one: jobs.Run | jobs.RunTask) -> str:
    """How it ended: the result state, or what comes nearest."""
    if one.state is not None and one.state.result_state is not None:
        return one.state.result_state.value
    return code_of(one) or state_of(one)


def code_of(one: jobs.Run | jobs.RunTask) -> str:
    """The termination code; empty where there is none."""
    details = one.status.termination_details if one.status is not None else None
    return details.code.value if details is not None and details.code is not None else ""


def message_of(one: jobs.Run | jobs.RunTask) -> str:
    """What the platform says about it, in one line."""
    details = one.status.termination_details if one.status is not None else None
    said = (details.message if details is not None else None) or (one.state.state_message if one.state is not None else None)
    return " ".join(str(said or "").split())[:300]


def succeeded(one: jobs.Run | jobs.RunTask) -> bool:
    """Whether it did what it was asked."""
    return result_of(one) == "SUCCESS"


def is_cancelled(one: jobs.Run | jobs.RunTask) -> bool:
    """Whether somebody stopped it."""
    return result_of(one) == "CANCELED" or (code_of(one) == "USER_CANCELED" and result_of(one) != "TIMEDOUT")


def is_fault_of_the_platform(one: jobs.Run | jobs.RunTask) -> bool:
    """Whether another try may end better: lost spot capacity, a lost driver, a fault inside."""
    if is_cancelled(one):
        return False
    return code_of(one) in FAULTS_OF_THE_PLATFORM or (not code_of(one) and state_of(one) == "INTERNAL_ERROR")


def latest(run: jobs.Run, stage: str) -> jobs.RunTask | None:
    """The last attempt of a stage's task; None where the run has no such task (yet)."""
    found = [task for task in run.tasks or [] if task.task_key == stage]
    return max(found, key=lambda task: (task.attempt_number or 0, task.start_time or 0), default=None)


def refusal(task: jobs.RunTask, settings: Any, page: str, said: str) -> StageError:
    """The error of a task that ended without its result.

    Args:
        task: as it ended.
        settings: the contract's ``compute.databricks``.
        page: of the run.
        said: the task's own last words; empty where there are none.
    """
    code, result, message = code_of(task), result_of(task), message_of(task)
    if is_cancelled(task):
        return StageError(f"the run was cancelled there ({message or result})", where=page, remedy="launch the stage again")
    if result == "TIMEDOUT":
        hours = settings.run_timeout.total_seconds() / 3600
        remedy = "raise compute.databricks.run_timeout, or give the stage a larger cluster"
        return StageError(f"the stage ran longer than run_timeout ({hours:g} h)", where=page, remedy=remedy)
    if result in NOT_REACHED:
        return StageError(
            f"an earlier stage of the run did not succeed ({result})", where=page, remedy="launch that stage again first"
        )
    if is_fault_of_the_platform(task):
        tries = f"after {settings.retries} further tries " if settings.retries else ""
        remedy = _REMEDIES.get(code, "look at the workspace's status page, then launch the stage again")
        return StageError(f"{tries}the platform still failed ({code or result}: {message})", where=page, remedy=remedy)
    if code in _REMEDIES:
        return StageError(f"the stage was not begun ({code}: {message})", where=page, remedy=_REMEDIES[code])
    return StageError(
        f"the stage's process ended without a result ({said or message or code or result})",
        where=page,
        remedy="where it was killed, give the driver more memory or write engine: spark; its log is on that page",
    )
