"""One run of a model's job: begun, watched until a stage's task ends, tried again, stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING

from retrain_assets.compute.databricks.outcomes import (
    NOT_REACHED,
    has_ended,
    is_fault_of_the_platform,
    latest,
    message_of,
    refusal,
    result_of,
    state_of,
    succeeded,
)
from retrain_assets.compute.databricks.workspace import TRIES, TRIES_OF_A_LOOK, asking, patiently
from retrain_assets.contract import StageError
from retrain_assets.contract.compute import DatabricksCompute

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service import jobs

LONGEST_CANCEL_SECONDS = 120
VISIBLE_WITHIN_SECONDS = 60
"""How long an answer may lag behind what was done: the platform is eventually consistent."""

LOOKS_FOR_A_RUN = 5
"""How often a run that is said not to exist is looked for, a second apart; it may have been begun a moment ago."""


class JobGone(StageError):
    """The job that a run is to be begun of is not there."""


def begin(client: WorkspaceClient, job_id: int, stages: Sequence[str], order: str, token: str) -> int:
    """Begin a run for some stages; with the same token it is the same run.

    Raises:
        JobGone: when the job is not there.
        StageError: when it may not be run.
    """
    from databricks.sdk.errors import InvalidParameterValue, NotFound

    with asking("job", f"job {job_id}"):
        try:
            begun = patiently(
                lambda: client.jobs.run_now(job_id, only=list(stages), job_parameters={"order": order}, idempotency_token=token)
            )
        except (NotFound, InvalidParameterValue) as error:
            if "does not exist" not in str(error):
                raise
            raise JobGone(
                "the job does not exist",
                where=f"job {job_id}",
                remedy="correct compute.databricks.job, or remove it and the job is made",
            ) from error
    return int(begun.bind()["run_id"])


@dataclass
class Watch:
    """One run, watched for one stage.

    Args:
        client: of the workspace.
        run_id: the run.
        stage: the stage, whose name is its task's key.
        stages: all stages the run was begun for.
        order: folder of the order, for tries again.
        settings: the contract's ``compute.databricks``.
        look: called between two looks at the run.
        own_error: what the stage itself says about its end; raises that.
    """

    client: WorkspaceClient
    run_id: int
    stage: str
    stages: Sequence[str]
    order: str
    settings: DatabricksCompute
    look: Callable[[], None]
    own_error: Callable[[], None]
    run: jobs.Run | None = None
    tries: int = 0
    _gone: set[int] = field(default_factory=set)

    def until_done(self) -> jobs.RunTask:
        """Wait for the stage's task; gives it as it ended, with success.

        Raises:
            StageError: when it ended otherwise, was cancelled or did not begin in time; the stage's own error first.
        """
        waits_since = repaired_at = monotonic()
        poll = self.settings.poll.total_seconds()
        while True:
            run = self.seen()
            task = latest(run, self.stage)
            self.look()
            if task is not None and has_ended(task) and task.run_id not in self._gone:
                if succeeded(task):
                    return task
                self._try_again_or_refuse(run, task)
                waits_since = repaired_at = monotonic()
            elif (task is None or has_ended(task)) and monotonic() - repaired_at > VISIBLE_WITHIN_SECONDS + 2 * poll:
                raise StageError(
                    f"the run has no task {self.stage} that is under way", where=self.page, remedy="launch the stage again"
                )
            if any(state_of(one) in ("RUNNING", "TERMINATING") for one in run.tasks or []):
                waits_since = monotonic()
            elif monotonic() - waits_since > self.settings.start_timeout.total_seconds():
                raise self._never_started(run, task)
            sleep(poll)

    def seen(self) -> jobs.Run:
        """The run as it is now."""
        with asking("job", f"run {self.run_id}"):
            self.run = _shown(self.client, self.run_id, TRIES_OF_A_LOOK)
        return self.run

    @property
    def page(self) -> str:
        """Address of the run's page, or its id."""
        return (self.run.run_page_url if self.run is not None else None) or f"run {self.run_id}"

    def stop(self) -> None:
        """Cancel the run and wait until it has ended; a run that has ended stays as it is."""
        cancel(self.client, self.run_id)

    def _try_again_or_refuse(self, run: jobs.Run, task: jobs.RunTask) -> None:
        self.own_error()
        asked = self._asked(run)
        faults = [one for one in asked if has_ended(one) and is_fault_of_the_platform(one)]
        spent = max([self.tries, *(_losses(run, one.task_key) - 1 for one in faults)])
        if faults and not any(_is_final(one) for one in asked) and spent < self.settings.retries:
            self.tries += 1
            self._repair()
            return
        raise refusal(faults[0] if faults else task, self.settings, self.page, self._last_words(task))

    def _repair(self) -> None:
        """Run again what did not succeed, in the same run, once it has ended as a whole."""
        from databricks.sdk.errors import BadRequest, ResourceConflict
        from databricks.sdk.errors.base import DatabricksError
        from requests import RequestException

        run = self.seen()
        while not has_ended(run):
            sleep(self.settings.poll.total_seconds())
            run = self.seen()
        again = [one for one in self._asked(run) if not succeeded(one)]
        with asking("job", self.page):
            try:
                self.client.jobs.repair_run(
                    self.run_id,
                    rerun_tasks=[one.task_key for one in again],
                    latest_repair_id=self._repaired_last(),
                    job_parameters={"order": self.order},
                )
            except (BadRequest, ResourceConflict, RequestException, TimeoutError, DatabricksError):
                if has_ended(self.seen()):
                    raise
        self._gone |= {one.run_id for one in again if one.run_id is not None}

    def _repaired_last(self) -> int | None:
        """Id of the last repair of the run, whoever asked for it and whether or not its answer was heard."""
        run = patiently(lambda: self.client.jobs.get_run(self.run_id, include_history=True))
        history = [item.id for item in run.repair_history or [] if item.type is not None and item.type.value == "REPAIR"]
        return history[-1] if history else None

    def _asked(self, run: jobs.Run) -> list[jobs.RunTask]:
        """The last attempt of each task that the run was asked for."""
        return [task for task in (latest(run, stage) for stage in self.stages) if task is not None]

    def _never_started(self, run: jobs.Run, task: jobs.RunTask | None) -> StageError:
        minutes = self.settings.start_timeout.total_seconds() / 60
        said = message_of(task) if task is not None else message_of(run)
        self.stop()
        return StageError(
            f"no cluster within start_timeout ({minutes:g} min){f' ({said})' if said else ''}; the run is cancelled",
            where=self.page,
            remedy="look at the cluster's events; correct compute.databricks.cluster, use a pool, or raise start_timeout",
        )

    def _last_words(self, task: jobs.RunTask) -> str:
        """What the task's process said at its end, in one line; empty where it said nothing that is kept."""
        from databricks.sdk.errors.base import DatabricksError

        if task.run_id is None:
            return ""
        task_run = task.run_id
        try:
            output = patiently(lambda: self.client.jobs.get_run_output(task_run))
        except DatabricksError:
            return ""
        return " ".join(str(output.error or "").split())[:300]


def run_of(client: WorkspaceClient, run_id: int) -> jobs.Run | None:
    """A run as it is now; None when the workspace knows it no more."""
    from databricks.sdk.errors import InvalidParameterValue, NotFound

    with asking("job", f"run {run_id}"):
        try:
            return _shown(client, run_id)
        except (NotFound, InvalidParameterValue):
            return None


def _shown(client: WorkspaceClient, run_id: int, tries: int = TRIES) -> jobs.Run:
    """A run as it is now, looked for again where the workspace does not know it yet."""
    from databricks.sdk.errors import InvalidParameterValue, NotFound

    for _ in range(LOOKS_FOR_A_RUN - 1):
        try:
            return patiently(lambda: client.jobs.get_run(run_id), tries)
        except (NotFound, InvalidParameterValue):
            sleep(1)
    return patiently(lambda: client.jobs.get_run(run_id), tries)


def cancel(client: WorkspaceClient, run_id: int) -> None:
    """Cancel a run and wait until it has ended.

    Raises:
        StageError: when it may not be cancelled, or does not end.
    """
    with asking("job", f"run {run_id}"):
        run = _shown(client, run_id)
        if has_ended(run):
            return
        patiently(lambda: client.jobs.cancel_run(run_id))
        since = monotonic()
        while not has_ended(run):
            if monotonic() - since > LONGEST_CANCEL_SECONDS:
                raise StageError("the run does not end", where=f"run {run_id}", remedy="cancel it on its page")
            sleep(0.5)
            run = patiently(lambda: client.jobs.get_run(run_id))


def _losses(run: jobs.Run, stage: str) -> int:
    """How many attempts at a stage's task the platform has spoiled in this run, whoever was watching."""
    return sum(one.task_key == stage and has_ended(one) and is_fault_of_the_platform(one) for one in run.tasks or [])


def _is_final(task: jobs.RunTask) -> bool:
    """Whether a task ended by itself or by a person, so that running it again would change nothing."""
    if not has_ended(task) or succeeded(task) or is_fault_of_the_platform(task):
        return False
    return result_of(task) not in NOT_REACHED
