"""Settings of jobs in the emulated workspace: made, replaced, merged, listed, and refused where the real API refuses them."""

from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.errors.platform import NotImplemented as NotEmulated
from databricks.sdk.service.jobs import JobSettings, NotebookTask, Task, TaskDependency

from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.sample_jobs import latest, make_job, output, put_sample_wheel, result, run, task, termination


@pytest.fixture(autouse=True)
def wheel(workspace: Workspace) -> None:
    put_sample_wheel(workspace)


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ([task("a"), task("a")], "Duplicate task_key: a"),
        ([task("a b")], "The task key 'a b' is invalid"),
        ([task("a", after=("z",))], "depends on task 'z', which does not exist"),
        ([task("a", after=("b",)), task("b", after=("a",))], "The tasks a, b depend on each other in a circle"),
        ([task("a", job_cluster_key="other")], "Job cluster 'other' is not defined"),
        ([task("a", environment_key="other")], "Environment 'other' is not defined"),
        ([task("a", job_cluster_key=None)], "must specify one of"),
        ([Task("a", job_cluster_key="stages")], "must have exactly one of the task types"),
    ],
    ids=["key twice", "key", "absent", "circle", "cluster", "environment", "place", "kind"],
)
def test_settings_that_cannot_run_are_refused(workspace: Workspace, tasks: list[Task], told: str) -> None:
    with pytest.raises(InvalidParameterValue, match=told):
        make_job(workspace.client(), *tasks)


def test_a_kind_of_task_that_is_not_emulated_says_so(workspace: Workspace) -> None:
    with pytest.raises(NotEmulated, match="notebook_task is not among them"):
        make_job(workspace.client(), Task("a", job_cluster_key="stages", notebook_task=NotebookTask("/x")))


def test_reset_replaces_all_settings_and_update_merges_by_key(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    job_id = make_job(workspace.client(), task("a"), task("b"), tags={"retrain": "1"}, description="before")
    jobs.update(
        job_id, new_settings=JobSettings(tasks=[task("b", "sample-tell"), task("c")]), fields_to_remove=["tags", "tasks/a"]
    )
    updated = _settings(jobs.get(job_id).settings)
    assert [one["task_key"] for one in updated["tasks"]] == ["b", "c"]
    assert updated["tasks"][0]["python_wheel_task"]["entry_point"] == "sample-tell"
    assert (updated["description"], "tags" in updated) == ("before", False)
    jobs.reset(job_id, JobSettings.from_dict({**updated, "name": "after", "description": None, "tasks": updated["tasks"][:1]}))
    replaced = _settings(jobs.get(job_id).settings)
    assert (replaced["name"], len(replaced["tasks"]), "description" in replaced) == ("after", 1, False)


def test_jobs_are_listed_newest_first_by_pages_and_by_name(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    made = [make_job(workspace.client(), task("a"), name=f"job {number}") for number in range(5)]
    assert [one.job_id for one in jobs.list(limit=2)] == made[::-1]
    assert [one.job_id for one in jobs.list(name="JOB 3")] == [made[3]]
    (detailed,) = jobs.list(name="job 3", expand_tasks=True)
    assert detailed.settings is not None
    assert [one.task_key for one in detailed.settings.tasks or []] == ["a"]
    jobs.delete(made[3])
    with pytest.raises(ResourceDoesNotExist, match="does not exist"):
        jobs.get(made[3])


def test_references_name_the_run_the_task_and_parameters_that_the_job_does_not_declare(workspace: Workspace) -> None:
    said = "{{job.run_id}}", "{{task.name}}", "{{job.parameters.more}}", "{{task.execution_count}}"
    done = run(workspace, make_job(workspace.client(), task("a", "sample-say", *said)), job_parameters={"more": "given"})
    assert output(workspace, done, "a").logs == f"{done.run_id} a given 1\n"


def test_a_reference_that_names_nothing_fails_the_task(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a", "sample-say", "{{job.parameters.absent}}")))
    assert result(done) == "FAILED"
    assert termination(latest(done)["a"])[0] == "INVALID_RUN_CONFIGURATION"


def test_output_is_asked_for_by_task_not_by_a_run_of_several(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a"), task("b")))
    with pytest.raises(InvalidParameterValue, match="runs with multiple tasks is not supported"):
        workspace.client().jobs.get_run_output(done.run_id or 0)


def test_runs_are_listed_by_job_and_by_whether_they_are_over(workspace: Workspace) -> None:
    jobs = workspace.client().jobs
    job_id = make_job(workspace.client(), task("a"))
    ids = [run(workspace, job_id).run_id for _ in range(3)]
    run(workspace, make_job(workspace.client(), task("a")))
    assert [one.run_id for one in jobs.list_runs(job_id=job_id, limit=2)] == ids[::-1]
    assert list(jobs.list_runs(job_id=job_id, active_only=True)) == []
    assert [one.number_in_job for one in jobs.list_runs(job_id=job_id, completed_only=True)] == [3, 2, 1]


def test_only_depends_on_tasks_that_are_there_after_a_reset(workspace: Workspace) -> None:
    job_id = make_job(workspace.client(), task("a"), task("b", after=("a",)))
    with pytest.raises(InvalidParameterValue, match="depends on task 'gone'"):
        workspace.client().jobs.update(job_id, new_settings=JobSettings(tasks=[task("b", after=("gone",))]))
    assert latest(run(workspace, job_id))["b"].depends_on == [TaskDependency("a")]


def _settings(settings: JobSettings | None) -> dict[str, Any]:
    assert settings is not None
    return settings.as_dict()
