"""What serves all models of a code location: one sensor of a kind, with the jobs they launch. The first model by name gives it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import dagster as dg

from retrain_assets.assets import Platform, Road
from retrain_assets.assets.release_board import release_board_asset
from retrain_assets.automation import sensors_of
from retrain_assets.contract import ContractError

if TYPE_CHECKING:
    from retrain_assets.components.retrain import RetrainComponent


def fleet_definitions(roads: Sequence[Road], platform: Platform) -> dg.Definitions:
    """The sensors of some models, the board of all, and the resource that everything of them works with.

    A sensor takes several jobs as objects, and of what a folder gives Dagster makes copies that name it; so jobs come from here.

    Args:
        roads: the models, sorted by name.
        platform: the resource.
    """
    return dg.Definitions(
        assets=[release_board_asset(roads)],
        jobs=[job for road in roads for job in road.jobs.values()],
        sensors=sensors_of(roads),
        resources={"platform": platform},
    )


def fleet_of(component: RetrainComponent, context: dg.ComponentLoadContext) -> list[Road] | None:
    """The models of the project that a component is part of, sorted by name, when it is the first of them; None when it is not.

    A component that is loaded outside a project is a project of its own.

    Raises:
        ContractError: two contracts of the project name the same model.
    """
    from retrain_assets.components.retrain import RetrainComponent

    found = context.component_tree.get_all_components(of_type=RetrainComponent)
    if not any(one is component for one in found):
        return [component.road]
    roads = by_model(one.road for one in found)
    return roads if roads[0] is component.road else None


def by_model(roads: Iterable[Road]) -> list[Road]:
    """Models sorted by name.

    Raises:
        ContractError: two of them have the same name.
    """
    ordered = sorted(roads, key=lambda road: road.model)
    for one, following in pairwise(ordered):
        if one.model == following.model:
            raise ContractError("two contracts of this code location name this model", where=one.model, remedy="rename one")
    return ordered
