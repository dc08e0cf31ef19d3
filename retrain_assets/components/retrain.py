"""RetrainComponent: from the release contract of one model to its Dagster definitions."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import dagster as dg
from pydantic import BaseModel

from retrain_assets.assets import PLATFORM, Platform, Road
from retrain_assets.components.fleet import FleetModel, by_name, fleet_definitions, fleet_of
from retrain_assets.components.loading import keep_from_collector
from retrain_assets.components.scaffolding import RetrainScaffolder
from retrain_assets.contract import Contract, ContractError
from retrain_assets.contract.own_code import place_of
from retrain_assets.contract.paths import in_module, missing_code
from retrain_assets.home import Home


@dg.scaffold_with(RetrainScaffolder)
@dataclass
class RetrainComponent(dg.Component, dg.Resolvable):
    """A model whose every retrain is a release: gated, ramped behind a toggle, approved and recorded.

    The attributes are the model's release contract: where its rows are, what is trained, what a retrain must show offline and on
    live traffic before it serves, and who approves it.

    The scaffold looks at a Parquet or Delta source and writes a contract with comments, a feature function and a schema that run
    at once. Give --source and --label; what it cannot tell from the source (--unit, --event-time, --task, --label-delay), it asks
    for. --owner and --approver name people, --approver-key the approver's public SSH key, --purpose says what the model is for,
    --model names it if the folder does not.

    Example: dg scaffold defs retrain_assets.components.RetrainComponent churn --source data/churn.parquet --label churned
    """

    contract: Contract

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The contract itself, so that every rule of it is checked with file and line."""
        return Contract

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """How the component shows itself in the UI."""
        return dg.ComponentTypeSpec(
            description="A model whose every retrain is a release: gated, ramped behind a toggle, approved and recorded.",
            owners=["team:release"],
            tags=["ml", "retrain", "release"],
        )

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component from its validated attributes; relative Python paths become absolute."""
        if not isinstance(attributes, Contract):
            raise TypeError(f"{context.path}: attributes are required; they are the release contract")
        keep_from_collector(context.component_tree)
        file = context.path / "defs.yaml" if context.path.is_dir() else context.path
        here = attributes.in_environment(Home.from_environment().environment)
        contract = in_module(here, context.defs_relative_module_name(context.path), file)
        for field, written, path in (
            ("features", attributes.features, contract.features),
            ("source.schema", attributes.source.schema_, contract.source.schema_),
        ):
            if missing := missing_code(path):
                where = f"{place_of(file, written)}: {field}"
                raise ContractError(missing, where=where, remedy=f"correct {field} or write the missing code")
        return cls(contract=contract)

    @cached_property
    def fleet_model(self) -> FleetModel:
        """What Dagster gets of the model, made once: what serves all models refers to the same objects."""
        return FleetModel(Road(self.contract))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, checks and schedules of the model; of the first model of a project also jobs and sensors of all."""
        keep_from_collector(context.component_tree)
        models = fleet_of(self, context)
        own = self.fleet_model.definitions
        return own if models is None else dg.Definitions.merge(own, fleet_definitions(models, PLATFORM))


def definitions_of(*contracts: Contract, platform: Platform = PLATFORM) -> dg.Definitions:
    """Everything Dagster needs for some models, whose Python paths are absolute; the same a project has that folders describe.

    Raises:
        ContractError: two of them name the same model.
    """
    models = by_name(FleetModel(Road(contract)) for contract in contracts)
    return dg.Definitions.merge(*(model.definitions for model in models), fleet_definitions(models, platform))
