"""RetrainComponent: from the release contract of one model to its Dagster definitions."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from retrain_assets.assets import PLATFORM, Platform, road_definitions
from retrain_assets.automation import automation_definitions
from retrain_assets.contract import Contract, ContractError
from retrain_assets.contract.paths import in_module, missing_code, place_of
from retrain_assets.home import Home


@dataclass
class RetrainComponent(dg.Component, dg.Resolvable):
    """A model whose every retrain is a release: gated, ramped behind a toggle, approved and recorded.

    The attributes are the release contract; see :class:`retrain_assets.contract.Contract`.
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

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, jobs, sensors and schedules of the model."""
        return definitions_of(self.contract)


def definitions_of(contract: Contract, platform: Platform = PLATFORM) -> dg.Definitions:
    """Everything Dagster needs for one model whose Python paths are absolute."""
    return dg.Definitions.merge(
        road_definitions(contract), automation_definitions(contract), dg.Definitions(resources={"platform": platform})
    )
