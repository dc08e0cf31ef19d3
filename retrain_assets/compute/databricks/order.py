"""An order: what one run of a model's job is asked, as one file on the volume that every task of the run reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retrain_assets import __version__
from retrain_assets.compute.code import product_digest, source_digest
from retrain_assets.compute.databricks.code_wheels import package_digest, release_of, team_packages
from retrain_assets.compute.local import FITTING
from retrain_assets.compute.request import StageRequest
from retrain_assets.contract import Contract, StageError, digest_of

ORDER = "order.json"
ORDER_SCHEMA = "retrain_assets.order/1"


@dataclass(frozen=True, slots=True)
class Order:
    """The stages of one run of the job.

    Args:
        folder: of the order, ``VOLUME/orders/MODEL/RETRAIN/TOKEN``.
        requests: what is asked, by stage, in the order of the road; places as they are called on the volume.
        inputs: digests that inputs have, by stage and name, as far as they are known when the order is given.
        product: version and digest of the product here.
        code: digests of the team's code here, see :func:`sent_code`.
        home: folder of the volume that mirrors the home.
        pipes: the Dagster step's context for :mod:`dagster_pipes`; empty where nobody listens.
        secret_scope: Databricks secret scope of the key that units are named with.
    """

    folder: str
    requests: Mapping[str, StageRequest]
    inputs: Mapping[str, Mapping[str, str]]
    product: Mapping[str, str]
    code: Mapping[str, str]
    home: str
    pipes: Mapping[str, Any] = field(default_factory=dict)
    secret_scope: str | None = None

    @property
    def path(self) -> str:
        """The order's own file."""
        return f"{self.folder}/{ORDER}"

    def result_path(self, stage: str) -> str:
        """Where a task puts its answer: ``{"result", "inputs", "files"}``."""
        return f"{self.folder}/{stage}/result.json"

    def error_path(self, stage: str) -> str:
        """Where a task puts why it has no answer: ``{"what", "where", "remedy"}``."""
        return f"{self.folder}/{stage}/error.json"

    def messages(self, stage: str) -> str:
        """Folder of a task's messages, numbered from 1."""
        return f"{self.folder}/{stage}/messages"

    def before(self, stage: str) -> list[str]:
        """The stages of the order whose outputs a stage reads."""
        read = self.requests[stage].inputs.values()
        return [
            name
            for name, one in self.requests.items()
            if name != stage and any(f"{uri}/".startswith(f"{one.output_dir}/") for uri in read)
        ]

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; the unit key is in none of them."""
        return {
            "schema": ORDER_SCHEMA,
            "requests": {name: one.to_json() for name, one in self.requests.items()},
            "inputs": {stage: dict(digests) for stage, digests in self.inputs.items()},
            "product": dict(self.product),
            "code": dict(self.code),
            "home": self.home,
            "pipes": dict(self.pipes),
            "secret_scope": self.secret_scope,
        }

    @classmethod
    def parsed(cls, folder: str, text: str | bytes) -> Order:
        """The order in a file's text.

        Raises:
            StageError: when it is cut off, or of another product's version.
        """
        where = f"{folder}/{ORDER}"
        try:
            value = json.loads(text)
        except ValueError as error:
            raise StageError("the order is not whole", where=where, remedy="launch the stage again") from error
        if value.get("schema") != ORDER_SCHEMA:
            raise StageError(
                f"the order is written as {value.get('schema')!r}, the task here ({__version__}) reads {ORDER_SCHEMA!r}",
                where=where,
                remedy="deploy the orchestrator's version of retrain_assets to the job",
            )
        requests = {name: StageRequest.from_json(one) for name, one in value["requests"].items()}
        rest = {name: value[name] for name in ("inputs", "product", "code", "home", "pipes", "secret_scope")}
        return cls(folder=folder, requests=requests, **rest)


def product_facts() -> dict[str, str]:
    """Version and digest of the product as its files are now: those that go into its wheel."""
    return {"version": __version__, "digest": product_digest.__wrapped__()}


def code_digests(contract: Contract) -> dict[str, str]:
    """Digests of the team's feature and schema modules in this process, by import path; and of its estimator's, if it has one."""
    named = {contract.features: "features", contract.source.schema_: "source.schema"}
    if contract.trainer.estimator.partition(".")[0] in team_packages(contract):
        named[contract.trainer.estimator] = "trainer.estimator"
    return {path: source_digest(path, what) for path, what in named.items()}


def sent_code(contract: Contract) -> dict[str, str]:
    """What a job is held to: :func:`code_digests`, and the text of each of the team's packages by its name."""
    return code_digests(contract) | {package: package_digest(package) for package in team_packages(contract)}


def digest_of_code(contract: Contract, stage: str | None = None) -> str:
    """Digest of the code that decides what a stage computes: the team's modules, the product, and the release of the estimator.

    Args:
        contract: of the model.
        stage: None: any of them.
    """
    team, fitted = code_digests(contract), release_of(contract)
    if stage is not None and stage not in FITTING:
        team.pop(contract.trainer.estimator, None)
        fitted = []
    return digest_of({"team": team, "product": product_facts(), "fitted": fitted})


def refuse_skew(order: Order, contract: Contract) -> None:
    """Refuse to compute with other code than the orchestrator has.

    Raises:
        StageError: naming both versions.
    """
    mine, theirs = product_facts(), order.product
    if mine != theirs:
        raise StageError(
            f"the job has retrain_assets {mine['version']} ({mine['digest'][:19]}), "
            f"the orchestrator {theirs['version']} ({theirs['digest'][:19]})",
            where="wheel of the job",
            remedy=_SAME_CODE,
        )
    for path in sorted({contract.features, contract.source.schema_, *order.code}):
        here = source_digest(path, "wheel of the team's code") if "." in path else package_digest(path)
        if here != order.code.get(path):
            raise StageError(
                f"{path} is another text in the job than at the orchestrator",
                where="wheel of the team's code",
                remedy=_SAME_CODE,
            )


_SAME_CODE = "launch the stage again; where a bundle deployed the job, deploy it again first"


def token_of(requests: Sequence[StageRequest], code: str, attempt: int) -> str:
    """The name of an order and of its run, 40 characters: the same for what is asked with the same code at the same attempt."""
    return digest_of({"asked": [[one.stage, one.digest] for one in requests], "code": code, "attempt": attempt})[7:47]
