"""Stages on Databricks: a stored result, a run that is under way already, or a new run of the model's job."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from retrain_assets.compute.databricks.answers import Answer, AnswerLost, Answers, NotComputed
from retrain_assets.compute.databricks.facts import run_facts
from retrain_assets.compute.databricks.inputs import input_digests
from retrain_assets.compute.databricks.mirror import Mirror
from retrain_assets.compute.databricks.order import Order, digest_of_code
from retrain_assets.compute.databricks.outcomes import has_ended, latest, succeeded
from retrain_assets.compute.databricks.pipes import Session
from retrain_assets.compute.databricks.run import JobGone, Watch, begin, cancel, run_of
from retrain_assets.compute.databricks.submission import BeforeSubmit, Submission
from retrain_assets.compute.databricks.under_way import UnderWay, alone
from retrain_assets.compute.databricks.volume import Volume
from retrain_assets.compute.databricks.workspace import connect
from retrain_assets.compute.local import RESULT, content_digest
from retrain_assets.compute.places import is_on_volume
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.contract import CustodyError, StageError, digest_of
from retrain_assets.contract.compute import DatabricksCompute as Settings
from retrain_assets.home import Home

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient


class DatabricksCompute:
    """Runs stages as tasks of a model's job. Host and credentials are those of the environment.

    Args:
        settings: the contract's ``compute.databricks``.
        home: whose files the volume mirrors.
        before_submit: is told of the requests of a run that is about to be begun; refuses it by a RetrainError.
    """

    def __init__(self, settings: Settings, home: Home, *, before_submit: BeforeSubmit | None = None) -> None:
        self._settings = settings
        self._home = home
        self._before_submit = before_submit

    def run(
        self, request: StageRequest, *, run_id: str | None = None, context: Any = None, ahead: Sequence[StageRequest] = ()
    ) -> StageResult:
        """The stage's result: the stored one when nothing it rests on has changed; that of a run that was begun before, by an
        earlier stage or a process that ended; otherwise that of a new run, in which the stages ahead follow.

        What it rests on here: the request, the contents of its inputs, the team's feature and schema modules, the product's code,
        and for a stage that fits the estimator's release or module. The source itself is not looked at: a data set once taken
        stays. ``result.run["databricks"]`` has the facts of the run, see
        :func:`retrain_assets.compute.databricks.facts.run_facts`, and ``there``: where each output is on the volume.

        Args:
            request: what is asked.
            run_id: the orchestrator's run; a run of the job that it began counts for its later stages, however it ended.
            context: the Dagster execution context: gets logs and check results, and its interruption cancels the run there.
            ahead: further requests of the same run of the job.

        Raises:
            RetrainError: the stage's own, or what kept it from running, in one line.
        """
        basis = self._basis(request)
        if (stored := self._stored(request, basis)) is not None:
            return self._fetched(stored, request, basis)
        session = Session(self._volume, context)
        with session.open():
            with alone(request.directory.parent):
                known = self._under_way(request, run_id)
                under_way = known or self._begun(request, ahead, run_id, session)
            found = self._awaited(request, under_way, session) if known is None else self._found(request, known, run_id, session)
            if found is None:
                with alone(request.directory.parent):
                    under_way = self._begun(request, ahead, run_id, session)
                found = self._awaited(request, under_way, session)
        answer, facts = found
        _refuse_other_checks(answer.result, session.reported, facts["run_page_url"])
        with alone(request.directory.parent):
            told = {**facts, "order": under_way.folder, "inputs": dict(answer.inputs)}
            return self._at_home(request, basis, answer, told, run_id)

    def kept(self, request: StageRequest) -> StageResult | None:
        """The result a stage has given, whatever it would give now; None when its outputs are not as they were. Of an output that
        stayed on the volume: when it is not there."""
        return self._stored(request, None)

    def cancel(self, model: str, retrain: str) -> list[int]:
        """Cancel every run of a retrain that is under way, and wait until they have ended; gives their ids.

        Raises:
            StageError: when one may not be cancelled or does not end.
        """
        runs = [one.run_id for one in UnderWay.all(self._home.stage_dir(model, retrain, "").parent / retrain) if one.run_id]
        active = [run_id for run_id in runs if (run := run_of(self._client, run_id)) is not None and not has_ended(run)]
        for one in active:
            cancel(self._client, one)
        return active

    @cached_property
    def _client(self) -> WorkspaceClient:
        return connect()

    @cached_property
    def _volume(self) -> Volume:
        return Volume(self._client, self._settings.volume)

    @cached_property
    def _mirror(self) -> Mirror:
        return Mirror(self._home.root, self._settings.volume)

    @cached_property
    def _submission(self) -> Submission:
        return Submission(self._client, self._mirror, self._volume, self._settings, self._before_submit)

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self._mirror, self._volume)

    def _basis(self, request: StageRequest) -> str:
        contract = request.parsed_contract()
        inputs = input_digests(self._mirror, request)
        return digest_of({"request": request.digest, "inputs": inputs, "code": digest_of_code(contract, request.stage)})

    def _stored(self, request: StageRequest, basis: str | None) -> StageResult | None:
        try:
            record = json.loads((request.directory / RESULT).read_text())
        except (FileNotFoundError, ValueError):
            return None
        if basis is not None and record.get("basis") != basis:
            return None
        result = StageResult.from_json(record)
        return result if all(self._is_intact(output["uri"], output["digest"]) for output in result.outputs.values()) else None

    def _fetched(self, stored: StageResult, request: StageRequest, basis: str) -> StageResult:
        """A stored result with those outputs brought home that stayed on the volume when less was fetched than now."""
        stayed = {name for name, output in stored.outputs.items() if is_on_volume(output["uri"])}
        told = stored.run.get("databricks", {})
        if not stayed or "order" not in told:
            return stored
        order = Order(told["order"], {}, {}, {}, {}, self._settings.volume)
        try:
            answer = self._answers.read(order.result_path(request.stage), request, told["run_page_url"])
        except AnswerLost:
            return stored
        there = {name: output for name, output in answer.result.outputs.items() if name in stayed}
        result, _ = self._answers.home(
            replace(answer, result=replace(answer.result, outputs=there)), self._settings.fetch_up_to_mb
        )
        if result.outputs == there:
            return stored
        found = replace(stored, outputs={**stored.outputs, **result.outputs})
        _write(request.directory / RESULT, {**found.to_json(), "basis": basis})
        return found

    def _is_intact(self, uri: str, digest: str) -> bool:
        if is_on_volume(uri):
            return self._volume.has_folder(uri) or self._volume.has(uri)
        try:
            return content_digest(Path(uri)) == digest
        except (CustodyError, StageError):
            return False

    def _begun(self, request: StageRequest, ahead: Sequence[StageRequest], run_id: str | None, session: Session) -> UnderWay:
        return self._submission.begun([request, *ahead], run_id, session.context_data)

    def _at_home(
        self, request: StageRequest, basis: str, answer: Answer, told: dict[str, Any], run_id: str | None
    ) -> StageResult:
        """The answer's result with its outputs here, stored; as another process brought it home, where one was faster."""
        if (stored := self._stored(request, basis)) is not None:
            return stored
        result, there = self._answers.home(answer, self._settings.fetch_up_to_mb)
        ended = told.pop("ended_at_ms")
        told["after_end_seconds"] = round(time() - ended / 1000, 3) if ended else None
        result = replace(result, run={**result.run, "dagster_run_id": run_id, "databricks": {**told, "there": there}})
        _write(request.directory / RESULT, {**result.to_json(), "basis": basis})
        return result

    def _under_way(self, request: StageRequest, run_id: str | None) -> UnderWay | None:
        """The order that the stage's answer is to be had from; None when a new one is needed. A run that was begun for another
        request of this stage is cancelled."""
        noted = UnderWay.read(request.directory.parent, request.stage)
        if noted is None:
            return None
        asked = noted.asks(request.stage, request.digest, digest_of_code(request.parsed_contract()))
        if noted.run_id is None:
            if not asked:
                return None
            try:
                noted = noted.begun(begin(self._client, noted.job_id, noted.stages, noted.folder, noted.token))
            except JobGone:
                return None
            noted.write(request.directory.parent)
        run = run_of(self._client, noted.run_id or 0)
        if run is None:
            return None
        task = latest(run, request.stage)
        if not asked:
            if not has_ended(run):
                cancel(self._client, run.run_id or 0)
            return None
        if run_id is not None and noted.dagster_run_id == run_id:
            return noted
        goes_on = task is not None and (succeeded(task) if has_ended(task) else not has_ended(run))
        return noted if goes_on else None

    def _found(
        self, request: StageRequest, under_way: UnderWay, run_id: str | None, session: Session
    ) -> tuple[Answer, dict[str, Any]] | None:
        """The answer of a run that was begun before; None when it is of other inputs, was lost since an earlier launch, or was
        not computed for a gate that was closed at an earlier launch."""
        try:
            answer, facts = self._awaited(request, under_way, session)
        except (AnswerLost, NotComputed):
            if run_id is not None and under_way.dagster_run_id == run_id:
                raise
            return None
        known = input_digests(self._mirror, request)
        same = all(answer.inputs.get(name) == digest for name, digest in known.items() if digest)
        return (answer, facts) if same else None

    def _awaited(self, request: StageRequest, under_way: UnderWay, session: Session) -> tuple[Answer, dict[str, Any]]:
        """The answer of the stage's task and the facts of its run. An interruption cancels the run."""
        order = Order(under_way.folder, {}, {}, {}, {}, self._settings.volume)
        stage, answers = request.stage, self._answers
        session.listen(order.messages(stage))
        watch = Watch(
            client=self._client,
            run_id=under_way.run_id or 0,
            stage=stage,
            stages=under_way.stages,
            order=under_way.folder,
            settings=self._settings,
            look=session.look,
            own_error=lambda: answers.raise_error(order.error_path(stage)),
        )
        try:
            task = watch.until_done()
            answer = answers.read(order.result_path(stage), request, watch.page)
        except _interruptions():
            watch.stop()
            raise
        assert watch.run is not None
        return answer, run_facts(self._client, request.parsed_contract(), under_way.job_id, watch.run, task)


def _refuse_other_checks(result: StageResult, reported: Sequence[Any], page: str) -> None:
    """The checks that the job reported are the verdicts of its result, or something between is not what it seems."""
    verdicts = {one["check"]: one["outcome"] == "pass" for found in result.verdicts.values() for one in found}
    for check in reported:
        if verdicts.get(check.check_name) is not check.passed:
            raise StageError(
                f"check {check.check_name} was reported with passed={check.passed}, the result says otherwise",
                where=page,
                remedy="launch the stage again",
            )


def _interruptions() -> tuple[type[BaseException], ...]:
    """What stops a process from outside: a person's key, and Dagster's where Dagster is in the process."""
    dagster = sys.modules.get("dagster")
    return (KeyboardInterrupt,) if dagster is None else (KeyboardInterrupt, dagster.DagsterExecutionInterruptedError)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".writing")
    scratch.write_text(json.dumps(value))
    scratch.replace(path)
