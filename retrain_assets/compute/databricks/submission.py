"""A run of a model's job is begun: code, inputs and the order on the volume first, and a note here, so that it is begun once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from retrain_assets.compute.databricks.code_wheels import code_wheels
from retrain_assets.compute.databricks.inputs import Inputs, input_digests
from retrain_assets.compute.databricks.job import job_of
from retrain_assets.compute.databricks.mirror import Mirror
from retrain_assets.compute.databricks.order import Order, digest_of_code, product_facts, sent_code, token_of
from retrain_assets.compute.databricks.outcomes import has_ended, succeeded
from retrain_assets.compute.databricks.run import begin, run_of
from retrain_assets.compute.databricks.under_way import UnderWay
from retrain_assets.compute.databricks.volume import Volume
from retrain_assets.compute.request import StageRequest
from retrain_assets.contract import Contract
from retrain_assets.contract.compute import DatabricksCompute

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

BeforeSubmit = Callable[[Sequence[StageRequest]], None]


@dataclass(frozen=True)
class Submission:
    """Begins runs.

    Args:
        client: of the workspace.
        mirror: of the home on the volume.
        volume: the volume.
        settings: the contract's ``compute.databricks``.
        before: is told of the requests of a run that is about to be begun; refuses it by a RetrainError.
    """

    client: WorkspaceClient
    mirror: Mirror
    volume: Volume
    settings: DatabricksCompute
    before: BeforeSubmit | None = None

    def begun(self, requests: Sequence[StageRequest], run_id: str | None, context: dict[str, Any]) -> UnderWay:
        """A new run of the job for a request and those ahead of it; noted before and after it is begun.

        A workspace remembers every run by its token. Where it gives one that failed before this home knew of it, the next attempt
        has another token.

        Args:
            requests: what is asked, in the order of the road; those whose stages run elsewhere are left out.
            run_id: the orchestrator's run.
            context: of its step, for Pipes.

        Raises:
            RetrainError: when the run is refused here, or the workspace refuses one of the calls.
        """
        first, *ahead = requests
        asked = [first, *(one for one in ahead if one.stage in self.settings.stages)]
        if self.before is not None:
            self.before(asked)
        contract, retrain = first.parsed_contract(), first.directory.parent
        job_id = job_of(self.client, contract, self._code(contract))
        noted = UnderWay.read(retrain, first.stage)
        attempt = 0 if noted is None else noted.attempt
        while True:
            attempt += 1
            token = token_of(asked, digest_of_code(contract), attempt)
            order = self._order(asked, contract, f"{self.mirror.orders(first.model, first.retrain)}/{token}", context)
            is_known_there = noted is None and self.volume.has(order.path)
            self.volume.write(order.path, json.dumps(order.to_json()).encode())
            under_way = UnderWay(
                folder=order.folder,
                token=token,
                attempt=attempt,
                stages=[one.stage for one in asked],
                digests=[one.digest for one in asked],
                code=digest_of_code(contract),
                job_id=job_id,
                dagster_run_id=run_id,
            )
            under_way.write(retrain)
            under_way = under_way.begun(begin(self.client, job_id, under_way.stages, order.folder, token))
            under_way.write(retrain)
            run = run_of(self.client, under_way.run_id or 0) if is_known_there else None
            if run is None or not has_ended(run) or succeeded(run):
                return under_way

    def _order(self, asked: Sequence[StageRequest], contract: Contract, folder: str, context: dict[str, Any]) -> Order:
        inputs, engine = Inputs(self.mirror, self.volume), self.settings.engine
        return Order(
            folder=folder,
            requests={one.stage: inputs.there(one, before=asked[:n], engine=engine) for n, one in enumerate(asked)},
            inputs={one.stage: self._known(inputs, one, asked[:n]) for n, one in enumerate(asked)},
            product=product_facts(),
            code=sent_code(contract),
            home=self.settings.volume,
            pipes=context,
            secret_scope=self.settings.secret_scope,
        )

    def _code(self, contract: Contract) -> list[str]:
        """Paths of the wheels on the volume, uploaded where they are not there yet; none for a job that brings its own."""
        if self.settings.job is not None:
            return []
        paths = []
        for wheel in code_wheels(contract):
            path = f"{self.mirror.code}/{wheel.name}"
            if not self.volume.has(path):
                self.volume.write(path, wheel.content)
            paths.append(path)
        return paths

    def _known(self, inputs: Inputs, request: StageRequest, before: Sequence[StageRequest]) -> dict[str, str]:
        """Digests of a request's inputs as far as they are known before the run."""
        ahead = inputs.made_ahead(request, before)
        here = replace(request, inputs={name: uri for name, uri in request.inputs.items() if name not in ahead})
        return {name: digest for name, digest in input_digests(self.mirror, here).items() if digest}
