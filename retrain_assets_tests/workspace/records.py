"""What a run is while it goes on and after: its tasks' attempts and repairs, and how the Jobs API tells them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from databricks.sdk.service.jobs import (
    BaseRun,
    ClusterInstance,
    JobCluster,
    JobParameter,
    JobSettings,
    QueueDetails,
    QueueDetailsCodeCode,
    RepairHistoryItem,
    RepairHistoryItemType,
    Run,
    RunLifeCycleState,
    RunLifecycleStateV2State,
    RunResultState,
    RunState,
    RunStatus,
    RunTask,
    RunType,
    Task,
    TerminationCodeCode,
    TerminationDetails,
    TerminationTypeType,
    TriggerType,
)

from .machines import Cluster, now

Life = RunLifeCycleState
ENDED = (Life.TERMINATED, Life.SKIPPED, Life.INTERNAL_ERROR)
V2 = {
    **dict.fromkeys(ENDED, RunLifecycleStateV2State.TERMINATED),
    Life.WAITING_FOR_RETRY: RunLifecycleStateV2State.WAITING,
    **{
        life: RunLifecycleStateV2State(life.value)
        for life in (Life.BLOCKED, Life.PENDING, Life.QUEUED, Life.RUNNING, Life.TERMINATING)
    },
}


@dataclass(frozen=True)
class Outcome:
    """How a run or one of its tasks ended."""

    life: RunLifeCycleState
    result: RunResultState
    code: TerminationCodeCode
    kind: TerminationTypeType
    message: str = ""

    @property
    def stopped(self) -> bool:
        """Whether somebody or a time limit stopped it."""
        return self.result in (RunResultState.CANCELED, RunResultState.TIMEDOUT)


SUCCEEDED = Outcome(Life.TERMINATED, RunResultState.SUCCESS, TerminationCodeCode.SUCCESS, TerminationTypeType.SUCCESS)


@dataclass
class Told:
    """State of a run or of one attempt at a task."""

    life: RunLifeCycleState = Life.PENDING
    message: str = ""
    outcome: Outcome | None = None
    started_at: int = field(default_factory=now)
    running_at: int | None = None
    ended_at: int | None = None

    def end(self, outcome: Outcome) -> None:
        """Note the end."""
        self.outcome, self.life, self.message, self.ended_at = outcome, outcome.life, outcome.message, now()

    def state(self) -> RunState:
        """The state as API 2.1 tells it."""
        outcome = self.outcome
        stopped = outcome is not None and outcome.stopped
        result = None if outcome is None else outcome.result
        queued = "Queued due to reaching maximum concurrent runs." if self.life is Life.QUEUED else None
        return RunState(self.life, queued, result, self.message, stopped)

    def status(self) -> RunStatus:
        """The state as API 2.2 tells it."""
        ended = self.outcome
        details = None if ended is None else TerminationDetails(code=ended.code, type=ended.kind, message=ended.message or None)
        queue = None
        if self.life is Life.QUEUED:
            queue = QueueDetails(QueueDetailsCodeCode.MAX_CONCURRENT_RUNS_REACHED, "Reached the maximum of concurrent runs.")
        return RunStatus(queue_details=queue, state=V2[self.life], termination_details=details)

    def times(self) -> dict[str, Any]:
        """Start, end and durations in milliseconds; 0 for what has not come."""
        end = self.ended_at or 0
        running = self.running_at
        return {
            "start_time": self.started_at,
            "end_time": end,
            "setup_duration": (running - self.started_at) if running is not None else 0,
            "execution_duration": (end - running) if end and running is not None else 0,
            "cleanup_duration": 0,
        }


@dataclass
class Attempt:
    """One try at one task of a run; ``stop`` asks its thread to end with ``stopping``."""

    run_id: int
    task: Task
    number: int
    told: Told = field(default_factory=lambda: Told(Life.BLOCKED))
    cluster: Cluster | None = None
    disabled: bool = False
    under_way: bool = False
    logs: str = ""
    error: str | None = None
    trace: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    stopping: Outcome | None = None

    @property
    def key(self) -> str:
        """Key of the task."""
        return self.task.task_key

    def shown(self, url: str) -> RunTask:
        """The attempt as a task of runs/get."""
        shown = RunTask.from_dict(self.task.as_dict())
        shown.run_id, shown.attempt_number, shown.run_page_url = self.run_id, self.number, url
        shown.state, shown.status, shown.disabled = self.told.state(), self.told.status(), self.disabled or None
        for name, value in self.told.times().items():
            setattr(shown, name, value)
        shown.cluster_instance = self.cluster_instance()
        return shown

    def cluster_instance(self) -> ClusterInstance | None:
        """Which cluster it runs on; None on serverless compute, or before there is one."""
        if self.cluster is None:
            return None
        context = str(self.cluster.spark_context) if self.told.running_at is not None else None
        return ClusterInstance(self.cluster.cluster_id, context)


@dataclass
class Repair:
    """One repair of a run, or (``repair_id`` None) the original try."""

    repair_id: int | None
    run_ids: list[int]
    told: Told


@dataclass
class RunRecord:
    """One run: what it runs, with which parameters, how far it is. ``changed`` guards it and tells of changes."""

    run_id: int
    job_id: int
    name: str
    kind: RunType
    settings: JobSettings
    parameters: dict[str, JobParameter]
    creator: str
    number_in_job: int
    told: Told = field(default_factory=Told)
    attempts: list[Attempt] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    stopping: Outcome | None = None
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))

    @property
    def ended(self) -> bool:
        """Whether the run is over (a repair takes it up again)."""
        return self.told.life in ENDED

    def latest(self) -> dict[str, Attempt]:
        """The last attempt of each task."""
        return {attempt.key: attempt for attempt in self.attempts}

    def shown(self, base: str, *, history: bool) -> Run:
        """The run as runs/get gives it."""
        given = Run.from_dict(self.listed(base, tasks=True).as_dict())
        if history:
            given.repair_history = [_shown(repair) for repair in self.repairs]
        return given

    def listed(self, base: str, *, tasks: bool) -> BaseRun:
        """The run as runs/list gives it."""
        times = self.told.times()
        if len(self.attempts) > 1:
            times |= {"setup_duration": 0, "execution_duration": 0}
        given = BaseRun(
            job_id=self.job_id,
            run_id=self.run_id,
            run_name=self.name,
            run_type=self.kind,
            run_page_url=f"{base}#job/{self.job_id}/run/{self.run_id}",
            creator_user_name=self.creator,
            number_in_job=self.number_in_job,
            original_attempt_run_id=self.run_id,
            trigger=TriggerType.ONE_TIME,
            state=self.told.state(),
            status=self.told.status(),
            job_parameters=list(self.parameters.values()) or None,
            run_duration=(self.told.ended_at - self.told.started_at) if self.told.ended_at else None,
            **times,
        )
        if tasks:
            given.tasks = [one.shown(f"{base}#job/{self.job_id}/run/{one.run_id}") for one in self.attempts]
            given.job_clusters = [JobCluster.from_dict(one.as_dict()) for one in self.settings.job_clusters or []] or None
        return given

    def shown_task(self, base: str, attempt: Attempt) -> Run:
        """One attempt as runs/get gives it when it is asked for by its own id."""
        task = attempt.shown(f"{base}#job/{self.job_id}/run/{attempt.run_id}")
        return Run(
            job_id=self.job_id,
            run_id=attempt.run_id,
            job_run_id=self.run_id,
            run_name=attempt.key,
            run_type=self.kind,
            run_page_url=task.run_page_url,
            creator_user_name=self.creator,
            attempt_number=attempt.number,
            original_attempt_run_id=next(one.run_id for one in self.attempts if one.key == attempt.key),
            cluster_instance=attempt.cluster_instance(),
            tasks=[task],
            state=attempt.told.state(),
            status=attempt.told.status(),
            **attempt.told.times(),
        )


def _shown(repair: Repair) -> RepairHistoryItem:
    return RepairHistoryItem(
        id=repair.repair_id,
        type=RepairHistoryItemType.ORIGINAL if repair.repair_id is None else RepairHistoryItemType.REPAIR,
        start_time=repair.told.started_at,
        end_time=repair.told.ended_at or 0,
        state=repair.told.state(),
        status=repair.told.status(),
        task_run_ids=list(repair.run_ids),
    )
