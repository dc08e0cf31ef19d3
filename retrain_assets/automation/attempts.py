"""Run keys of what a sensor asks for: the same request is made once, and again after its run died, a few times."""

import dagster as dg

ATTEMPTS = 5
"""How often a run that fails or is cancelled is asked for; afterwards a person has to launch it."""

DEAD = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
UNFINISHED = [
    status for status in dg.DagsterRunStatus if status not in (*DEAD, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.MANAGED)
]


def run_key(instance: dg.DagsterInstance, job: str, retrain: str, base: str) -> str:
    """The run key of one request.

    Dagster launches one run per key, also when that run dies of something passing: a registry that did not answer, a full disk.
    So the key counts the dead runs of the job for this retrain.

    Args:
        instance: Dagster's record of runs.
        job: the job that is asked for.
        retrain: its partition.
        base: model and reason of the request.
    """
    dead = instance.get_runs_count(dg.RunsFilter(job_name=job, tags={"dagster/partition": retrain}, statuses=DEAD))
    return f"{base}:again-{min(dead, ATTEMPTS - 1)}" if dead else base


def under_way(instance: dg.DagsterInstance, job: str) -> list[str]:
    """The retrains whose run of a job is asked for or running."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED))
    return [key for run in runs if (key := run.tags.get("dagster/partition")) is not None]
