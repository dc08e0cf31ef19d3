"""Runs of jobs and runs that are submitted by themselves: started once a token, listed, cancelled, repaired, and their output."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.jobs import (
    JobParameter,
    JobsAPI,
    JobSettings,
    ListRunsResponse,
    RepairRunResponse,
    Run,
    RunNowResponse,
    RunOutput,
    RunType,
    SubmitRunResponse,
    Task,
)

from .engine import Engine
from .faults import TruncatedOutput
from .jobs import Jobs, check, completed, page_of
from .outcomes import AS_GOOD_AS_DONE, cancelled, disabled, over_the_limit
from .records import ENDED, Attempt, Life, Repair, RunRecord, Told
from .routes import ApiError, Request

if TYPE_CHECKING:
    from .workspace import Workspace

LOGS = 5 * 1024 * 1024
LONGEST_TOKEN = 64


def register(workspace: Workspace) -> None:
    runs = Runs(workspace)
    workspace.parts["runs"] = runs
    api = JobsAPI
    for version in ("2.1", "2.2"):
        base, add = f"/api/{version}/jobs", workspace.routes.add
        add("POST", f"{base}/run-now", runs.run_now, accepts=api.run_now)
        add("POST", f"{base}/runs/submit", runs.submit, accepts=api.submit)
        add("GET", f"{base}/runs/get", runs.get, accepts=api.get_run, absent=_absent)
        add("GET", f"{base}/runs/list", runs.list_runs, accepts=api.list_runs)
        add("POST", f"{base}/runs/cancel", runs.cancel, accepts=api.cancel_run)
        add("POST", f"{base}/runs/cancel-all", runs.cancel_all, accepts=api.cancel_all_runs)
        add("POST", f"{base}/runs/repair", runs.repair, accepts=api.repair_run)
        add("GET", f"{base}/runs/get-output", runs.get_output, accepts=api.get_run_output, absent=_absent)
        add("POST", f"{base}/runs/delete", runs.delete, accepts=api.delete_run)


class Runs:
    """All runs by id."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._numbers = itertools.count(301_000_000_000_001)
        self._repairs = itertools.count(401_000_000_000_001)
        self._lock = threading.RLock()
        self._tokens: dict[str, int] = {}
        self._engine = Engine(workspace, self._next_in_queue, self._numbers)
        self.all: dict[int, RunRecord] = {}

    def close(self) -> None:
        """Stop every run and wait for its processes."""
        for run in list(self.all.values()):
            self._engine.stop(run, cancelled("the end of the workspace"))
        for run in list(self.all.values()):
            with run.changed:
                run.changed.wait_for(lambda run=run: run.ended, timeout=20)  # type: ignore[misc]

    def run_now(self, request: Request) -> RunNowResponse:
        """Start a run of a job, or give the one that was started with the same token."""
        body = request.body
        with self._lock:
            job = self._jobs.found(body.get("job_id"))
            known = self._known(body)
            if known is None:
                settings = JobSettings.from_dict(job.settings.as_dict())
                if "queue" in body:
                    settings.queue = JobSettings.from_dict({"queue": body["queue"]}).queue
                run = self._record(
                    request, settings, job.job_id, RunType.JOB_RUN, body.get("job_parameters") or {}, body.get("only")
                )
                self._place_in_queue(run, body)
                known = run
            return RunNowResponse(number_in_job=known.number_in_job, run_id=known.run_id)

    def submit(self, request: Request) -> SubmitRunResponse:
        """Start a run without a job, or give the one that was started with the same token."""
        body = request.body
        with self._lock:
            known = self._known(body)
            if known is None:
                if not body.get("tasks"):
                    raise _invalid("At least one task must be given in field 'tasks'.")
                named = {"name": body.get("run_name", "Untitled")}
                settings = JobSettings.from_dict(
                    {**body, **named, "tasks": [Task.from_dict(one).as_dict() for one in body["tasks"]]}
                )
                check(settings, self._workspace)
                known = self._record(request, completed(settings), self._jobs.number(), RunType.SUBMIT_RUN, {}, None)
                self._place_in_queue(known, body)
            return SubmitRunResponse(run_id=known.run_id)

    def get(self, request: Request) -> Run:
        """A run, or one attempt at a task by its own id."""
        run, attempt = self._found(request.query.get("run_id"))
        with run.changed:
            if attempt is not None:
                return run.shown_task(self._base, attempt)
            return run.shown(self._base, history=request.query.get("include_history") == "true")

    def list_runs(self, request: Request) -> ListRunsResponse:
        """One page of runs, newest first."""
        limit, offset = page_of(request, largest=26)
        query = request.query
        active, completed = query.get("active_only") == "true", query.get("completed_only") == "true"
        if active and completed:
            raise _invalid("active_only and completed_only cannot both be true.")
        found = [
            run
            for run in reversed(list(self.all.values()))
            if (not active or not run.ended)
            and (not completed or run.ended)
            and ("job_id" not in query or run.job_id == int(query["job_id"]))
            and ("run_type" not in query or run.kind.value == query["run_type"])
            and run.told.started_at >= int(query.get("start_time_from", 0))
            and ("start_time_to" not in query or run.told.started_at <= int(query["start_time_to"]))
        ]
        page = [run.listed(self._base, tasks=query.get("expand_tasks") == "true") for run in found[offset : offset + limit]]
        more = len(found) > offset + limit
        return ListRunsResponse(runs=page or None, has_more=more, next_page_token=str(offset + limit) if more else None)

    def cancel(self, request: Request) -> None:
        """Ask for the end of a run; it comes a little later."""
        run, _ = self._found(request.body.get("run_id"))
        self._engine.stop(run, cancelled(request.user))

    def cancel_all(self, request: Request) -> None:
        """Ask for the end of all runs of a job."""
        for run in list(self.all.values()):
            if run.job_id == request.body.get("job_id"):
                self._engine.stop(run, cancelled(request.user))

    def repair(self, request: Request) -> RepairRunResponse:
        """Run some tasks of an ended run again, with the settings the job has now.

        Parameters that are not given again are those of the job, not those of the run.
        """
        body = request.body
        run, attempt = self._found(body.get("run_id"))
        if attempt is not None:
            raise _invalid(f"Run {attempt.run_id} is a run of a task; only job runs can be repaired.")
        with self._lock, run.changed:
            if not run.ended:
                raise ApiError(400, "INVALID_STATE", f"Run {run.run_id} is still active; it can be repaired when it has ended.")
            latest = run.repairs[-1].repair_id
            if latest is not None and body.get("latest_repair_id") != latest:
                raise _invalid("The latest repair ID needs to be provided in order to create a new repair")
            if latest is None and body.get("latest_repair_id") is not None:
                raise _invalid("The latest repair ID is not one of this run")
            wanted = self._to_repair(run, body)
            if run.job_id in self._jobs.all:
                run.settings = JobSettings.from_dict(self._jobs.all[run.job_id].settings.as_dict())
            run.parameters = _parameters(run.settings, body.get("job_parameters") or {})
            self._again(run, wanted)
            self._place_in_queue(run, {})
            return RepairRunResponse(repair_id=run.repairs[-1].repair_id)

    def get_output(self, request: Request) -> RunOutput:
        """What one attempt at a task printed (the last 5 MB) and the error it told."""
        run, attempt = self._found(request.query.get("run_id"))
        if attempt is None and len(run.attempts) > 1:
            raise _invalid(
                "Retrieving the output of runs with multiple tasks is not supported. "
                "Please retrieve the output of each individual task run instead."
            )
        with run.changed:
            attempt = attempt or run.attempts[0]
            cut = self._workspace.faults.take(TruncatedOutput, attempt.key)
            keep = LOGS if cut is None else cut.keep
            logs = attempt.logs[len(attempt.logs) - keep :] if len(attempt.logs) > keep else attempt.logs
            return RunOutput(
                metadata=run.shown_task(self._base, attempt),
                logs=logs,
                logs_truncated=len(logs) < len(attempt.logs),
                error=attempt.error or (attempt.told.message if attempt.told.life is Life.INTERNAL_ERROR else None),
                error_trace=attempt.trace,
            )

    def delete(self, request: Request) -> None:
        """Forget a run that has ended."""
        run, _ = self._found(request.body.get("run_id"))
        if not run.ended:
            raise ApiError(400, "INVALID_STATE", f"Run {run.run_id} is still active; cancel it first.")
        del self.all[run.run_id]

    @property
    def _jobs(self) -> Jobs:
        jobs: Jobs = self._workspace.parts["jobs"]
        return jobs

    @property
    def _base(self) -> str:
        return f"{self._workspace.url}/?o={self._workspace.workspace_id}"

    def _known(self, body: dict[str, Any]) -> RunRecord | None:
        token = body.get("idempotency_token")
        if token is None:
            return None
        if len(token) > LONGEST_TOKEN:
            raise _invalid(f"The idempotency token must be at most {LONGEST_TOKEN} characters long.")
        run_id = self._tokens.get(token)
        if run_id is not None and run_id not in self.all:
            raise ApiError(400, "INVALID_STATE", f"The run with idempotency token {token} was deleted.")
        return None if run_id is None else self.all[run_id]

    def _record(
        self, request: Request, settings: JobSettings, job_id: int, kind: RunType, given: dict[str, str], only: list[str] | None
    ) -> RunRecord:
        tasks = settings.tasks or []
        unknown = set(only or ()) - {task.task_key for task in tasks}
        if unknown:
            raise _invalid(f"Field 'only' names tasks that the job does not have: {', '.join(sorted(unknown))}.")
        number = sum(1 for run in self.all.values() if run.job_id == job_id) + 1
        run = RunRecord(
            run_id=next(self._numbers),
            job_id=job_id,
            name=settings.name or "Untitled",
            kind=kind,
            settings=settings,
            parameters=_parameters(settings, given),
            creator=request.user,
            number_in_job=number,
            attempts=[Attempt(next(self._numbers), task, 0) for task in tasks],
        )
        for attempt in run.attempts:
            if only and attempt.key not in only:
                attempt.disabled = True
                attempt.told.end(disabled())
        run.repairs.append(Repair(None, [attempt.run_id for attempt in run.attempts], Told(Life.RUNNING)))
        self.all[run.run_id] = run
        if request.body.get("idempotency_token") is not None:
            self._tokens[request.body["idempotency_token"]] = run.run_id
        return run

    def _place_in_queue(self, run: RunRecord, body: dict[str, Any]) -> None:
        """Begin a run, let it wait for others of its job, or skip it."""
        others = [one for one in list(self.all.values()) if one is not run and one.job_id == run.job_id and not one.ended]
        limit = run.settings.max_concurrent_runs
        if limit is None or sum(1 for one in others if one.told.life is not Life.QUEUED) < limit:
            self._engine.begin(run)
        elif run.settings.queue is not None and run.settings.queue.enabled:
            run.told.life = Life.QUEUED
        else:
            for attempt in run.attempts:
                attempt.told.end(over_the_limit())
            run.told.end(over_the_limit())

    def _next_in_queue(self, ended: RunRecord) -> None:
        with self._lock:
            waiting = [run for run in list(self.all.values()) if run.job_id == ended.job_id and run.told.life is Life.QUEUED]
            if waiting and not self._workspace.closing.is_set():
                self._engine.begin(waiting[0])

    def _to_repair(self, run: RunRecord, body: dict[str, Any]) -> set[str]:
        """Keys of the tasks that a repair runs again."""
        latest = run.latest()
        named = body.get("rerun_tasks") or []
        if bool(named) == bool(body.get("rerun_all_failed_tasks")):
            raise _invalid("Exactly one of rerun_tasks and rerun_all_failed_tasks must be given.")
        if len(set(named)) < len(named):
            raise _invalid("rerun_tasks cannot contain duplicate task keys.")
        unknown = set(named) - latest.keys()
        if unknown:
            raise _invalid(f"Field 'rerun_tasks' names tasks that the run does not have: {', '.join(sorted(unknown))}.")
        wanted = set(named) or {key for key, one in latest.items() if _failed(one)}
        if body.get("rerun_dependent_tasks"):
            more = set(wanted)
            while more:
                more = {
                    key
                    for key, one in latest.items()
                    if key not in wanted and any(needed.task_key in wanted for needed in one.task.depends_on or [])
                }
                wanted |= more
        if not wanted:
            raise _invalid(f"Run {run.run_id} has no failed tasks.")
        return wanted

    def _again(self, run: RunRecord, wanted: set[str]) -> None:
        """New attempts at these tasks; the run is under way again."""
        tasks = {task.task_key: task for task in run.settings.tasks or []}
        latest = run.latest()
        added = [
            Attempt(next(self._numbers), tasks.get(key, one.task), one.number + 1) for key, one in latest.items() if key in wanted
        ]
        run.attempts.extend(added)
        run.repairs.append(Repair(next(self._repairs), [one.run_id for one in added], Told(Life.RUNNING)))
        run.told.outcome, run.told.ended_at, run.told.message, run.stopping = None, None, "", None
        run.told.life = Life.PENDING

    def _found(self, run_id: Any) -> tuple[RunRecord, Attempt | None]:
        try:
            number = int(run_id)
        except (TypeError, ValueError) as error:
            raise _invalid(f"Invalid run_id: {run_id}") from error
        if number in self.all:
            return self.all[number], None
        for run in list(self.all.values()):
            for attempt in list(run.attempts):
                if attempt.run_id == number:
                    return run, attempt
        raise _invalid(f"Run {number} does not exist.")


def _parameters(settings: JobSettings, given: dict[str, str]) -> dict[str, JobParameter]:
    defaults = {one.name: one.default for one in settings.parameters or []}
    return {
        name: JobParameter(name=name, default=defaults.get(name), value=given.get(name, defaults.get(name)))
        for name in [*defaults, *(name for name in given if name not in defaults)]
    }


def _failed(attempt: Attempt) -> bool:
    outcome = attempt.told.outcome
    return attempt.told.life in ENDED and outcome is not None and outcome.result not in AS_GOOD_AS_DONE


def _absent(request: Request) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", f"Run {request.query.get('run_id')} does not exist.")


def _invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)
