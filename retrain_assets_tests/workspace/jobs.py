"""Jobs: their settings, made, changed, listed and forgotten. Their runs are in ``runs``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.jobs import (
    BaseJob,
    CreateResponse,
    Format,
    Job,
    JobEmailNotifications,
    JobsAPI,
    JobSettings,
    ListJobsResponse,
    RunIf,
    Task,
    TaskEmailNotifications,
)

from .clusters import Clusters
from .machines import now
from .routes import ApiError, Request

if TYPE_CHECKING:
    from .workspace import Workspace

KINDS = ("python_wheel_task", "spark_python_task")
OTHER_KINDS = frozenset(name for name in Task.__dataclass_fields__ if name.endswith("_task")) - set(KINDS)
MERGED = {"tasks": "task_key", "job_clusters": "job_cluster_key", "environments": "environment_key", "parameters": "name"}
NOT_SETTINGS = ("access_control_list",)


def register(workspace: Workspace) -> None:
    jobs = Jobs(workspace)
    workspace.parts["jobs"] = jobs
    for version in ("2.1", "2.2"):
        base = f"/api/{version}/jobs"
        workspace.routes.add("POST", f"{base}/create", jobs.create, accepts=JobsAPI.create)
        workspace.routes.add("POST", f"{base}/reset", jobs.reset, accepts=JobsAPI.reset)
        workspace.routes.add("POST", f"{base}/update", jobs.update, accepts=JobsAPI.update)
        workspace.routes.add("POST", f"{base}/delete", jobs.delete, accepts=JobsAPI.delete)
        workspace.routes.add("GET", f"{base}/get", jobs.get, accepts=JobsAPI.get, absent=_absent)
        workspace.routes.add("GET", f"{base}/list", jobs.list_jobs, accepts=JobsAPI.list)


@dataclass
class JobRecord:
    """One job."""

    job_id: int
    settings: JobSettings
    creator: str
    created_at: int = field(default_factory=now)


class Jobs:
    """All jobs by id."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._next = 201_000_000_000_001
        self.all: dict[int, JobRecord] = {}

    def number(self) -> int:
        """An id that no job has."""
        self._next += 1
        return self._next

    def create(self, request: Request) -> CreateResponse:
        """A new job."""
        settings = self._settings({name: value for name, value in request.body.items() if name not in NOT_SETTINGS})
        job = JobRecord(self.number(), settings, request.user)
        self.all[job.job_id] = job
        return CreateResponse(job_id=job.job_id)

    def reset(self, request: Request) -> None:
        """Other settings, all of them."""
        self.found(request.body.get("job_id")).settings = self._settings(request.body["new_settings"])

    def update(self, request: Request) -> None:
        """Some other settings; tasks, clusters, environments and parameters are merged by their keys."""
        job = self.found(request.body.get("job_id"))
        given = job.settings.as_dict()
        for name in request.body.get("fields_to_remove") or ():
            field_name, _, key = name.partition("/")
            if key:
                given[field_name] = [one for one in given.get(field_name, []) if one[MERGED[field_name]] != key]
            else:
                given.pop(field_name, None)
        for name, value in (request.body.get("new_settings") or {}).items():
            given[name] = _merged(given.get(name, []), value, MERGED[name]) if name in MERGED else value
        job.settings = self._settings(given)

    def delete(self, request: Request) -> None:
        """Forget a job; its runs stay."""
        del self.all[self.found(request.body.get("job_id")).job_id]

    def get(self, request: Request) -> Job:
        """One job."""
        job = self.found(int(request.query.get("job_id", 0)))
        return Job(
            job_id=job.job_id,
            created_time=job.created_at,
            creator_user_name=job.creator,
            run_as_user_name=job.creator,
            settings=job.settings,
        )

    def list_jobs(self, request: Request) -> ListJobsResponse:
        """One page of jobs, newest first."""
        limit, offset = page_of(request, largest=100)
        wanted = request.query.get("name")
        found = [
            one
            for one in reversed(list(self.all.values()))
            if wanted is None or (one.settings.name or "").lower() == wanted.lower()
        ]
        detailed = request.query.get("expand_tasks") == "true"
        page = [
            BaseJob(
                job_id=job.job_id,
                created_time=job.created_at,
                creator_user_name=job.creator,
                has_more=False,
                settings=job.settings if detailed else _brief(job.settings),
            )
            for job in found[offset : offset + limit]
        ]
        more = len(found) > offset + limit
        return ListJobsResponse(jobs=page or None, has_more=more, next_page_token=str(offset + limit) if more else None)

    def found(self, job_id: Any) -> JobRecord:
        """The job of an id; refuses one that is not there."""
        if job_id not in self.all:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Job {job_id} does not exist.")
        return self.all[job_id]

    def _settings(self, given: dict[str, Any]) -> JobSettings:
        settings = JobSettings.from_dict(given)
        settings.name = settings.name or "Untitled"
        settings.max_concurrent_runs = 1 if settings.max_concurrent_runs is None else settings.max_concurrent_runs
        settings.timeout_seconds = settings.timeout_seconds or 0
        check(settings, self._workspace)
        return completed(settings)


def check(settings: JobSettings, workspace: Workspace) -> None:
    """Refuse settings of a job, or of a run that is submitted, that the real API refuses."""
    tasks, clusters = settings.tasks or [], settings.job_clusters or []
    keys = [task.task_key for task in tasks]
    _unique(keys, "task_key")
    _unique([one.job_cluster_key for one in clusters], "job_cluster_key")
    _unique([one.environment_key for one in settings.environments or []], "environment_key")
    sizes: Clusters = workspace.parts["clusters"]
    for cluster in clusters:
        sizes.sizes.check(cluster.new_cluster)
    for task in tasks:
        if not re.fullmatch(r"[\w-]{1,100}", task.task_key):
            raise _invalid(f"The task key '{task.task_key}' is invalid; only letters, digits, - and _ are allowed.")
        for needed in task.depends_on or []:
            if needed.task_key not in keys:
                raise _invalid(f"Task '{task.task_key}' depends on task '{needed.task_key}', which does not exist.")
        _check_kind(task)
        _check_place(task, settings, sizes)
    _check_order(tasks)


def completed(settings: JobSettings) -> JobSettings:
    """The settings with what the real API adds to them, so that nobody takes what comes back for what was sent."""
    settings.format = Format.MULTI_TASK
    settings.email_notifications = settings.email_notifications or JobEmailNotifications()
    for task in settings.tasks or []:
        task.run_if = task.run_if or RunIf.ALL_SUCCESS
        task.timeout_seconds = task.timeout_seconds or 0
        task.email_notifications = task.email_notifications or TaskEmailNotifications()
    return settings


def page_of(request: Request, *, largest: int) -> tuple[int, int]:
    """Limit and offset of a list request; a page token is an offset."""
    limit = int(request.query.get("limit", 20))
    if not 0 <= limit <= largest:
        raise _invalid(f"Invalid limit {limit}; it must be between 0 and {largest}.")
    offset = int(request.query.get("page_token") or request.query.get("offset") or 0)
    return limit or largest, offset


def _check_kind(task: Task) -> None:
    written = [name for name in (*KINDS, *OTHER_KINDS) if getattr(task, name) is not None]
    if len(written) != 1:
        raise _invalid(
            f"Task '{task.task_key}' must have exactly one of the task types; it has {', '.join(sorted(written)) or 'none'}."
        )
    if written[0] not in KINDS:
        raise ApiError(
            501, "NOT_IMPLEMENTED", f"The emulated workspace runs {' and '.join(KINDS)}; {written[0]} is not among them."
        )


def _check_place(task: Task, settings: JobSettings, clusters: Clusters) -> None:
    places = {
        "existing_cluster_id": task.existing_cluster_id,
        "new_cluster": task.new_cluster,
        "job_cluster_key": task.job_cluster_key,
        "environment_key": task.environment_key,
    }
    written = [name for name, value in places.items() if value is not None]
    if len(written) != 1:
        raise _invalid(
            f"Task '{task.task_key}' must specify one of {', '.join(places)}; it specifies {', '.join(written) or 'none'}."
        )
    if task.job_cluster_key is not None and task.job_cluster_key not in {
        one.job_cluster_key for one in settings.job_clusters or []
    }:
        raise _invalid(f"Job cluster '{task.job_cluster_key}' is not defined in field 'job_clusters'.")
    if task.environment_key is not None:
        if task.environment_key not in {one.environment_key for one in settings.environments or []}:
            raise _invalid(f"Environment '{task.environment_key}' is not defined in field 'environments'.")
        if task.libraries:
            raise _invalid(
                f"Libraries field is not supported for serverless task '{task.task_key}', specify libraries in environment."
            )
    if task.new_cluster is not None:
        clusters.sizes.check(task.new_cluster)


def _check_order(tasks: Iterable[Task]) -> None:
    waiting = {task.task_key: {needed.task_key for needed in task.depends_on or []} for task in tasks}
    while ready := [key for key, needed in waiting.items() if not needed & waiting.keys()]:
        for key in ready:
            del waiting[key]
    if waiting:
        raise _invalid(f"The tasks {', '.join(sorted(waiting))} depend on each other in a circle.")


def _unique(keys: list[str], name: str) -> None:
    if len(set(keys)) < len(keys):
        raise _invalid(f"Duplicate {name}: {', '.join(sorted({key for key in keys if keys.count(key) > 1}))}.")


def _merged(before: list[dict[str, Any]], given: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    merged = {one[key]: one for one in before} | {one[key]: one for one in given}
    return list(merged.values())


def _brief(settings: JobSettings) -> JobSettings:
    return JobSettings.from_dict({name: value for name, value in settings.as_dict().items() if name not in MERGED})


def _absent(request: Request) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", f"Job {request.query.get('job_id')} does not exist.")


def _invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)
