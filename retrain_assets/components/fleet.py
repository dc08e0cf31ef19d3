"""What serves all models of a code location: one sensor of a kind and the jobs they launch. The first model by name gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from retrain_assets.assets import Platform, Road, road_definitions
from retrain_assets.assets.release_board import release_board_asset
from retrain_assets.automation import schedules_of, sensors_of
from retrain_assets.contract import ContractError
from retrain_assets.observability import set_up_logging

if TYPE_CHECKING:
    from retrain_assets.components.retrain import RetrainComponent


@dataclass(frozen=True)
class FleetModel:
    """One model of a code location: its names, and what Dagster gets of it.

    Args:
        road: its names.
    """

    road: Road

    @cached_property
    def definitions(self) -> dg.Definitions:
        """Assets, checks and schedules; without what serves all models."""
        return dg.Definitions.merge(road_definitions(self.road), dg.Definitions(schedules=schedules_of(self.road)))

    def jobs(self, resources: Mapping[str, dg.ResourceDefinition]) -> dict[str, dg.JobDefinition]:
        """The jobs by name. They are made on the model's own assets: Dagster would look at all models' assets for each job."""
        given = [*(self.definitions.assets or ()), *(self.definitions.asset_checks or ())]
        sources = [dg.AssetsDefinition(specs=[one]) for one in given if isinstance(one, dg.AssetSpec)]
        graph = AssetGraph.from_assets([*sources, *(one for one in given if isinstance(one, dg.AssetsDefinition))])
        return {name: job.resolve(graph, resource_defs=resources) for name, job in self.road.jobs.items()}


def fleet_definitions(models: Sequence[FleetModel], platform: Platform) -> dg.Definitions:
    """The sensors of some models, the board of all, and the resource that everything of them works with.

    A sensor takes several jobs as objects, and of what a folder gives Dagster makes copies that name it; so jobs come from here.

    Args:
        models: the models, sorted by name.
        platform: the resource.
    """
    set_up_logging()  # every process of a code location comes by here
    roads = [model.road for model in models]
    resources = {"platform": platform.get_resource_definition()}
    jobs = {name: job for model in models for name, job in model.jobs(resources).items()}
    return dg.Definitions(
        assets=[release_board_asset(roads)],
        jobs=list(jobs.values()),
        sensors=sensors_of(roads, jobs),
        resources={"platform": platform},
    )


def fleet_of(component: RetrainComponent, context: dg.ComponentLoadContext) -> list[FleetModel] | None:
    """The models of the project that a component is part of, sorted by name, when it is the first of them; None when it is not.

    A component that is loaded outside a project is a project of its own.

    Raises:
        ContractError: two contracts of the project name the same model.
    """
    from retrain_assets.components.retrain import RetrainComponent

    found = context.component_tree.get_all_components(of_type=RetrainComponent)
    if not any(one is component for one in found):
        return [component.fleet_model]
    models = by_name(one.fleet_model for one in found)
    return models if models[0] is component.fleet_model else None


def by_name(models: Iterable[FleetModel]) -> list[FleetModel]:
    """Models sorted by name.

    Raises:
        ContractError: two of them have the same name.
    """
    ordered = sorted(models, key=lambda model: model.road.model)
    for name, following in pairwise(model.road.model for model in ordered):
        if name == following:
            raise ContractError("two contracts of this code location name this model", where=name, remedy="rename one")
    return ordered
