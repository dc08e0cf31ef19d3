"""The names of one model's road in Dagster: asset keys, partitions, jobs, and the face every asset shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg

from retrain_assets import __version__
from retrain_assets.contract import Contract, Gate, RetrainError
from retrain_assets.contract.environments import DEFAULT_ENVIRONMENT
from retrain_assets.home import Home

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

FALLBACKS: Mapping[Gate, str] = {
    Gate.DATA: "block the retrain; the champion goes on serving",
    Gate.TRAINING: "discard the candidate and keep its record; the champion goes on serving",
    Gate.OFFLINE: "the candidate stays registered and is not activated",
    Gate.CANARY: "roll the toggle back to the champion",
    Gate.PROMOTION: "the champion stays; the challenger waits or is rejected",
}
"""What happens when a gate does not open."""

STAGE_ASSETS: Mapping[str, str] = {
    "dataset": "dataset",
    "features": "feature_snapshot",
    "training": "candidate_model",
    "evaluation": "evaluation_report",
    "drift": "drift_report",
    "canary": "canary_report",
}
"""The asset that each stage is the work of."""

KINDS: Mapping[str, set[str]] = {
    "dataset": {"polars", "parquet"},
    "feature_snapshot": {"polars", "parquet"},
    "candidate_model": {"mlflow"},
    "evaluation_report": {"sklearn"},
    "canary_report": {"polars"},
    "promotion_decision": {"mlflow"},
    "audit_record": {"html"},
    "release_review": {"html"},
    "drift_report": {"polars"},
    "capacity_forecast": {"table"},
    "live_traffic": {"parquet"},
    "source": {"parquet"},
    "toggle_debt": {"table"},
    "retrains": {"table"},
}


ROLES: Mapping[str, str] = {
    "source": "data",
    "dataset": "data",
    "feature_snapshot": "data",
    "candidate_model": "training",
    "capacity_forecast": "training",
    "evaluation_report": "evaluation",
    "drift_report": "evaluation",
    "live_traffic": "experiment",
    "canary_report": "experiment",
    "promotion_decision": "release",
    "audit_record": "release",
    "release_review": "release",
    "toggle_debt": "release",
    "retrains": "release",
}
"""The role of the contract's owners that answers for each asset."""

GATE_ROLES: Mapping[Gate, str] = {
    Gate.DATA: "data",
    Gate.TRAINING: "training",
    Gate.OFFLINE: "evaluation",
    Gate.CANARY: "experiment",
    Gate.PROMOTION: "release",
}
"""The role that answers for each gate."""


@dataclass(frozen=True)
class Road:
    """One model's contract with everything that Dagster calls by name."""

    contract: Contract

    @property
    def model(self) -> str:
        """The model's name: key prefix and group."""
        return self.contract.model

    @cached_property
    def partitions(self) -> dg.DynamicPartitionsDefinition:
        """One partition per retrain."""
        return dg.DynamicPartitionsDefinition(name=f"{self.model}_retrains")

    def key(self, asset: str) -> dg.AssetKey:
        """The key of one asset of this model."""
        return dg.AssetKey([self.model, asset])

    @property
    def retrain_job(self) -> str:
        """Job from data set to evaluation report."""
        return f"{self.model}_retrain"

    @property
    def canary_job(self) -> str:
        """Job that makes one look at the canary."""
        return f"{self.model}_canary"

    @property
    def decision_job(self) -> str:
        """Job that decides about a retrain, writes its audit record, reviews an ended one, and tells what the next will take."""
        return f"{self.model}_decision"

    @property
    def drift_job(self) -> str:
        """Job that makes the drift report."""
        return f"{self.model}_drift"

    @property
    def debt_job(self) -> str:
        """Job that shows the toggle debt, for whoever wants it at once."""
        return f"{self.model}_toggle_debt"

    @cached_property
    def jobs(self) -> Mapping[str, UnresolvedAssetJobDefinition]:
        """The model's jobs by name; made once, as the same objects stand in the code location and in its sensors."""
        retrain = ("dataset", "feature_snapshot", "candidate_model", "evaluation_report")
        assets = {
            self.retrain_job: retrain,
            self.canary_job: ("canary_report",),
            self.decision_job: ("promotion_decision", "audit_record", "release_review", "capacity_forecast"),
            self.drift_job: ("drift_report",),
            self.debt_job: ("toggle_debt",),
        }
        return {
            name: dg.define_asset_job(
                name,
                selection=dg.AssetSelection.assets(*(self.key(asset) for asset in made)),
                executor_def=dg.in_process_executor,
                tags={**_environment_tag(), "retrain/model": self.model, "dagster/retry_on_asset_or_op_failure": "false"},
            )
            for name, made in assets.items()
        }

    def owners(self, asset: str) -> list[str]:
        """Who answers for an asset: the owner of the role that the contract gives it to."""
        return [getattr(self.contract.owners, ROLES[asset])]

    @property
    def tags(self) -> dict[str, str]:
        """Tags of every asset of the model."""
        return {**_environment_tag(), "retrain/model": self.model, "retrain/task": self.contract.task}

    @cached_property
    def code_version(self) -> str:
        """Version of the code and policy that make an asset: package version and contract digest."""
        return f"{__version__}+{self.contract.digest[7:19]}"

    def is_on_databricks(self, stage: str) -> bool:
        """Whether the contract has a stage run on Databricks."""
        return (there := self.contract.databricks) is not None and stage in there.stages

    def is_on_spark(self, stage: str) -> bool:
        """Whether the contract has a stage run on a Spark session, of this process or of Databricks."""
        if self.is_on_databricks(stage):
            return self.contract.databricks is not None and self.contract.databricks.engine == "spark"
        return (session := self.contract.spark) is not None and stage in session.stages

    def pool(self, asset: str) -> str | None:
        """The pool that limits how many assets wait for Databricks at once; None for one that is made here."""
        there = self.contract.databricks
        return there.pool if there is not None and any(self.is_on_databricks(stage) for stage in _stages_of(asset)) else None

    def kinds(self, asset: str) -> set[str]:
        """What an asset is made with, as Dagster shows it."""
        kinds = set(KINDS[asset])
        if asset == "source" and self.contract.source.is_delta:
            return kinds - {"parquet"} | {"delta"}
        for stage in _stages_of(asset):
            if self.is_on_spark(stage):
                kinds = kinds - {"polars"} | {"spark"}
            if self.is_on_databricks(stage):
                kinds |= {"databricks"}
        return kinds

    def gate_owner(self, gate: Gate) -> str:
        """Who answers for a gate."""
        role: str = getattr(self.contract.owners, GATE_ROLES[gate])
        return role


def _stages_of(asset: str) -> list[str]:
    return [stage for stage, made in STAGE_ASSETS.items() if made == asset]


def _environment_tag() -> dict[str, str]:
    """The environment as a tag; none where none is named."""
    here = Home.from_environment().environment
    return {} if here == DEFAULT_ENVIRONMENT else {"retrain/environment": here}


def cutoff_of(retrain: str) -> datetime:
    """The moment a retrain's data ends: midnight UTC of the date its key starts with.

    Raises:
        RetrainError: when the key is not ``YYYY-MM-DD`` or ``YYYY-MM-DD.N``.
    """
    day, _, repeat = retrain.partition(".")
    try:
        cutoff = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        cutoff = None
    if cutoff is None or (repeat and not repeat.isdigit()):
        raise RetrainError(
            f"{retrain!r} is not a retrain key",
            where="partition",
            remedy="write the cut-off date, as in 2013-07-01 or 2013-07-01.2",
        )
    return cutoff
