"""The stages of a retrain as OpenLineage run events: one run for the retrain, one below it for each stage that was recorded.

Run ids are made from the ledger's identity and what is recorded, so the same record gives the same events. Times are those of the
machine; the time of the data, which differs from it in a replay, is each run's nominal time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from retrain_assets import __version__
from retrain_assets.contract import Gate
from retrain_assets.ledger import Event, EventKind, timestamp
from retrain_assets.reports.export.lineage_datasets import PRODUCER, inputs_of, outputs_of
from retrain_assets.reports.export.material import Material

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Job, RunEvent

NAMESPACE = "retrain_assets"
"""Namespace of jobs."""

GATES = {"dataset": Gate.DATA, "features": Gate.DATA, "training": Gate.TRAINING, "evaluation": Gate.OFFLINE}
"""The gate that judges what a stage made."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """One run of a stage.

    Args:
        stage: its name.
        started_at: ISO-8601 UTC.
        ended_at: the same.
        event: the ledger event that records its result or its failure.
    """

    stage: str
    started_at: str
    ended_at: str
    event: Event

    @property
    def failed(self) -> bool:
        """Whether it gave no result."""
        return self.event.kind is EventKind.STAGE_FAILED


def lineage_file(material: Material) -> bytes:
    """The events as JSON lines, in the order of their times within each run."""
    from openlineage.client.serde import Serde

    lines = [Serde.to_json(event) for event in run_events(material)]
    return "".join(f"{line}\n" for line in lines).encode()


def run_events(material: Material) -> Iterator[RunEvent]:
    """START and COMPLETE or FAIL of the retrain and of each stage; an open retrain has no end."""
    from openlineage.client.event_v2 import RunState

    record = material.record
    yield _event(material, RunState.START, "retrain", record.events[0], _moment(record.events[0]))
    for run in stage_runs(material):
        yield _event(material, RunState.START, run.stage, run.event, run.started_at)
        end = RunState.FAIL if run.failed else RunState.COMPLETE
        yield _event(material, end, run.stage, run.event, run.ended_at)
    if (ended := record.last(EventKind.RETRAIN_ENDED)) is not None:
        failed = ended.payload.get("ending") == "failed"
        yield _event(material, RunState.FAIL if failed else RunState.COMPLETE, "retrain", record.events[0], _moment(ended))


def stage_runs(material: Material) -> Iterator[StageRun]:
    """The stages that were recorded, in the order of the road. A stage that kept no times of its own began, as far as the
    record tells, with the event before the one that records its result."""
    record = material.record
    for event in record.of(EventKind.STAGE_FAILED):
        yield StageRun(str(event.payload.get("stage", "unknown")), _before(record.events, event), _moment(event), event)
    for stage in GATES:
        result = _result(material, stage)
        if result is None:
            continue
        kept = record.stages.get(stage)
        run = kept.run if kept is not None else {}
        started, ended = run.get("started_at"), run.get("ended_at")
        yield StageRun(stage, started or _before(record.events, result), ended or _moment(result), result)


def run_id(material: Material, job: str, event: Event) -> str:
    """Identifier of a run, from the ledger and the event that records it."""
    return str(uuid5(NAMESPACE_URL, f"{material.checkpoint.ledger}/{event.sequence}/{material.record.retrain}/{job}"))


def _event(material: Material, kind: Any, job: str, event: Event, at: str) -> RunEvent:
    from openlineage.client.event_v2 import Run, RunEvent, RunState

    ends = kind is not RunState.START
    return RunEvent(
        eventTime=at,
        eventType=kind,
        producer=PRODUCER,
        run=Run(runId=run_id(material, job, event), facets=dict(_run_facets(material, job, event, ends=ends))),
        job=_job(material, job),
        inputs=inputs_of(material, job),
        outputs=outputs_of(material, job) if kind is RunState.COMPLETE else [],
    )


def _run_facets(material: Material, job: str, event: Event, *, ends: bool) -> Iterator[tuple[str, Any]]:
    from openlineage.client.generated import error_message_run, nominal_time_run, parent_run, processing_engine_run, test_run

    yield "nominalTime", nominal_time_run.NominalTimeRunFacet(nominalStartTime=timestamp(event.at), producer=PRODUCER)
    manifest, kept = material.manifest, material.record.stages.get(job)
    version = (kept.run.get("product") if kept else None) or (manifest.code.get("product") if manifest else None) or __version__
    yield (
        "processing_engine",
        processing_engine_run.ProcessingEngineRunFacet(version=str(version), name="retrain_assets", producer=PRODUCER),
    )
    if job != "retrain":
        first = material.record.events[0]
        yield (
            "parent",
            parent_run.ParentRunFacet(
                run=parent_run.Run(runId=run_id(material, "retrain", first)),
                job=parent_run.Job(namespace=NAMESPACE, name=f"{material.record.model}.retrain"),
                producer=PRODUCER,
            ),
        )
    if ends and event.kind is EventKind.STAGE_FAILED:
        message = str(event.payload.get("message") or event.reason)
        yield (
            "errorMessage",
            error_message_run.ErrorMessageRunFacet(message=message, programmingLanguage="python", producer=PRODUCER),
        )
    elif ends and (checks := _checks(material, job)):
        tests = [
            test_run.TestExecution(
                name=one["check"],
                status="pass" if one["outcome"] == "pass" else "fail",
                severity="error",
                description=one["message"],
                expected=None if one["threshold"] is None else str(one["threshold"]),
                actual=None if one["observed"] is None else str(one["observed"]),
            )
            for one in checks
        ]
        yield "test", test_run.TestRunFacet(tests=tests, producer=PRODUCER)


def _job(material: Material, job: str) -> Job:
    from openlineage.client.event_v2 import Job
    from openlineage.client.generated import documentation_job, job_type_job, ownership_job, source_code_location_job

    contract, manifest = material.contract, material.manifest
    owner = {"dataset": "data", "features": "data", "training": "training", "evaluation": "evaluation"}.get(job, "release")
    facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="RETRAIN_ASSETS", jobType="JOB" if job == "retrain" else "TASK", producer=PRODUCER
        )
    }
    if contract.get("purpose"):
        facets["documentation"] = documentation_job.DocumentationJobFacet(description=contract["purpose"], producer=PRODUCER)
    if name := contract.get("owners", {}).get(owner):
        facets["ownership"] = ownership_job.OwnershipJobFacet(
            owners=[ownership_job.Owner(name=name, type="MAINTAINER")], producer=PRODUCER
        )
    training = material.record.stages.get("training")
    repository = (training.metadata.get("checkout") or {}).get("repository") if training is not None else None
    if manifest is not None and manifest.code.get("commit"):
        facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            type="git",
            url=repository or f"git:{manifest.code['commit']}",
            repoUrl=repository,
            version=str(manifest.code["commit"]),
            producer=PRODUCER,
        )
    return Job(namespace=NAMESPACE, name=f"{material.record.model}.{job}", facets=facets)


def _checks(material: Material, job: str) -> list[dict[str, Any]]:
    """The checks of the gate that judges a stage; those on the rows are the data set's, those on the features the features'."""
    gate = GATES.get(job)
    result = _result(material, job) if gate is not None else None
    found = next((one for one in material.pack["gates"] if one["gate"] == gate), None)
    if found is None or result is None:
        return []
    if gate is not Gate.DATA:
        return list(found["checks"])
    return [one for one in found["checks"] if one["sequence"] == result.sequence]


def _result(material: Material, stage: str) -> Event | None:
    """The event that records what a stage made; the candidate's registration for training."""
    record = material.record
    kept = record.stages.get(stage)
    if kept is not None:
        return next(event for event in record.events if event.sequence == kept.event)
    if stage == "training":
        return record.last(EventKind.CANDIDATE_REGISTERED)
    judged = [event for event in record.of(EventKind.GATE_EVALUATED) if event.payload.get("gate") == GATES[stage]]
    if stage == "features":
        judged = [event for event in judged if "features" in event.payload.get("subjects", {})]
    return judged[0] if judged else None


def _before(events: tuple[Event, ...], event: Event) -> str:
    earlier = [one for one in events if one.sequence < event.sequence]
    return _moment(earlier[-1] if earlier else event)


def _moment(event: Event) -> str:
    return timestamp(event.recorded_at)
