"""The resource the assets and sensors work with: the home and the rooms that keep state in it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import dagster as dg

from retrain_assets.assets.road import STAGE_ASSETS, Road, cutoff_of
from retrain_assets.compute import LocalCompute, StageRequest, StageResult
from retrain_assets.compute.on_spark import SparkCompute
from retrain_assets.compute.place import ComputePlace
from retrain_assets.compute.places import located
from retrain_assets.contract import Contract, RetrainError, StageError
from retrain_assets.contract.compute import StageName
from retrain_assets.home import Clock, Home
from retrain_assets.ledger import SYSTEM, EvidenceStore, Ledger
from retrain_assets.observability import span
from retrain_assets.registry import Registry
from retrain_assets.release import ReleaseController
from retrain_assets.reports.capacity import forecast, measured, over_budget


class Platform(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Ledger, evidence, registry, clock, compute and release controller of one home."""

    root: str = ""
    """Directory of all state; empty: RETRAIN_HOME, or .retrain below the working directory."""

    @property
    def home(self) -> Home:
        """The home this resource works in."""
        return Home(Path(self.root)) if self.root else Home.from_environment()

    @property
    def clock(self) -> Clock:
        """The home's clock."""
        return self.home.clock

    @property
    def ledger(self) -> Ledger:
        """The append-only record."""
        return self.controller.ledger

    @property
    def evidence(self) -> EvidenceStore:
        """Content-addressed evidence."""
        return self.controller.evidence

    @property
    def registry(self) -> Registry:
        """The MLflow registry."""
        return Registry.of(self.home)

    @property
    def controller(self) -> ReleaseController:
        """The one door to activation; opened, and so reconciled, once per process and home."""
        home = self.home
        return _opened(home, home.ledger_url, home.mlflow_uri)

    def stage_result(self, model: str, retrain: str, stage: str) -> StageResult:
        """The stored result of a stage that has run.

        Raises:
            RetrainError: when the stage has not run for this retrain.
        """
        path = self.home.stage_dir(model, retrain, stage) / "result.json"
        if not path.exists():
            raise RetrainError(
                f"stage {stage} of {model} {retrain} has no result",
                where=str(path),
                remedy=f"materialise the asset {model}/{STAGE_ASSETS.get(stage, stage)} for this retrain first",
            )
        return StageResult.read(path)

    def request(
        self,
        road: Road,
        retrain: str,
        stage: StageName,
        *,
        inputs: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> StageRequest:
        """A stage's request under a model's contract; its outputs go where the home keeps those of the retrain."""
        return StageRequest(
            stage=stage,
            model=road.model,
            retrain=retrain,
            contract=road.contract.to_json(),
            inputs=dict(inputs or {}),
            output_dir=str(self.home.stage_dir(road.model, retrain, stage)),
            parameters=dict(parameters or {}),
            unit_key=self.home.unit_key(),
        )

    def place(self, road: Road, stage: str) -> ComputePlace:
        """Where the contract has a stage run: on Databricks, on a Spark session of this process, or in this process."""
        if (settings := road.contract.databricks) is not None and road.is_on_databricks(stage):
            from retrain_assets.compute.databricks import DatabricksCompute

            return DatabricksCompute(settings, self.home, before_submit=partial(self._refuse_over_budget, road.contract))
        return SparkCompute() if road.is_on_spark(stage) else LocalCompute()

    def run_stage(
        self,
        road: Road,
        request: StageRequest,
        *,
        context: dg.AssetExecutionContext | None = None,
        ahead: Sequence[StageRequest] = (),
    ) -> StageResult:
        """Run one stage where the contract says, or give its stored result when nothing it rests on changed.

        A stage that cannot produce its result is recorded in the ledger and ends the step without a retry. What a decided retrain
        rests on stays as it was: its stages give the results it was decided on. An interruption goes on to Dagster.

        Args:
            road: the model's names.
            request: what is asked.
            context: of the asset that asks.
            ahead: what the run asks next, see :func:`retrain_assets.assets.requests.requests_ahead`.
        """
        retrain, stage = request.retrain, request.stage
        place = self.place(road, stage)
        known = self.controller.state(road.model).retrains.get(retrain)
        if known is not None and known.decision is not None:
            if (kept := place.kept(request)) is not None:
                return kept
            what = f"{road.model} {retrain} is decided ({known.decision.decision}) and its stage {stage} has no intact result"
            raise dg.Failure(description=f"{what}; launch a new retrain", allow_retries=False)
        run_id = context.run.run_id if context is not None else None
        try:
            with span(f"stage {stage}", model=road.model, retrain=retrain, run_id=run_id, place=type(place).__name__):
                if context is None:
                    return place.run(request, ahead=ahead)
                return place.run(request, run_id=run_id, context=context.op_execution_context, ahead=ahead)
        except RetrainError as error:
            raise self.failed(request, error) from error

    def cancel(self, road: Road, retrain: str) -> list[int]:
        """Cancel what is under way of a retrain on Databricks; gives the ids of the runs, none where nothing runs there.

        Raises:
            RetrainError: when the workspace cannot be asked, or a run does not end.
        """
        if (settings := road.contract.databricks) is None:
            return []
        from retrain_assets.compute.databricks import DatabricksCompute

        return DatabricksCompute(settings, self.home).cancel(road.model, retrain)

    def output_here(self, request: StageRequest, result: StageResult, output: str) -> Path:
        """Where an output can be read in this process.

        Raises:
            Failure: recorded as the stage's, when it stayed on a volume that is not mounted here.
        """
        uri = result.outputs[output]["uri"]
        if (path := located(uri)).exists():
            return path
        what = f"the {output} stayed on the volume, and the orchestrator needs it"
        remedy = "raise compute.databricks.fetch_up_to_mb, or mount the volume here and set RETRAIN_VOLUMES"
        raise self.failed(request, StageError(what, where=uri, remedy=remedy))

    def failed(self, request: StageRequest, error: RetrainError) -> dg.Failure:
        """The failure of a stage, recorded in the ledger; to be raised. It is not retried."""
        self.controller.record_stage_failure(request.model, request.retrain, request.stage, error.line, SYSTEM)
        return dg.Failure(description=error.line, allow_retries=False)

    def _refuse_over_budget(self, contract: Contract, requests: Sequence[StageRequest]) -> None:
        """Refuse a submission that fits a model where the fit is expected to go beyond what gate training allows."""
        if "training" not in {request.stage for request in requests}:
            return
        retrain = requests[0].retrain
        known = measured(self.ledger.events(model=contract.model), self.evidence, before=retrain)
        if (refusal := over_budget(forecast(known, contract, cutoff_of(retrain)), contract)) is not None:
            raise refusal

    def stage_record(self, result: StageResult) -> dict[str, str]:
        """Keep what is recorded of a stage as evidence; its digest as a subject that the ledger names with the stage's gate."""
        return {"stage_record": self.evidence.put(result.record)}


@lru_cache(maxsize=16)
def _opened(home: Home, ledger_url: str, mlflow_uri: str) -> ReleaseController:
    return ReleaseController.open(home)


PLATFORM = Platform()
"""One instance for every component, so that their definitions merge."""
