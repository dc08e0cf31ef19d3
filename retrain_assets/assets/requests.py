"""What the stages of a retrain are asked, each formed from the retrain alone, so that what comes next can be asked ahead."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import STAGE_ASSETS, Road, cutoff_of
from retrain_assets.compute import StageRequest
from retrain_assets.compute.places import is_on_volume
from retrain_assets.compute.stages.adopting import require_adopted
from retrain_assets.contract import Gate, Outcome, RetrainError
from retrain_assets.contract.compute import RETRAIN_STAGES, StageName
from retrain_assets.release import ModelState
from retrain_assets.routing import VersionRef

EARLIER_RETRAINS = 5
"""Earlier retrains that the data gate compares the source with, at most."""

READS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "dataset": {},
    "features": {"dataset": ("dataset", "dataset")},
    "training": {"features": ("features", "features"), "dataset": ("dataset", "dataset")},
    "evaluation": {
        "dataset": ("dataset", "dataset"),
        "features": ("features", "features"),
        "candidate": ("training", "bundle"),
    },
}
"""The inputs of each stage of a retrain: stage and name of the output each one is."""


def retrain_request(platform: Platform, road: Road, retrain: str, stage: StageName) -> StageRequest:
    """What one stage of a launched retrain is asked. Whether the stages before it have run makes no difference.

    Args:
        platform: the home's rooms.
        road: the model's names.
        retrain: key of the retrain.
        stage: one of the four stages of a retrain.

    Raises:
        RetrainError: when the key is not that of a retrain, or the champion it is compared with is not in the registry.
    """
    inputs = {name: _place(platform, road, retrain, *made) for name, made in READS[stage].items()}
    parameters: dict[str, Any] = {}
    if stage == "training" and (model := adopted_model(platform, road, retrain)) is not None:
        inputs["adopted"] = model
    if stage == "dataset":
        parameters = {"cutoff": cutoff_of(retrain).isoformat(), "history": earlier_datasets(platform, road, retrain)}
    if stage == "evaluation":
        champion = opponent(platform.controller.state(road.model), retrain)
        if champion is not None:
            inputs["champion"] = str(platform.registry.download(road.model, champion.version))
        else:
            parameters["bootstrap"] = True
    return platform.request(road, retrain, stage, inputs=inputs, parameters=parameters)


def adopted_model(platform: Platform, road: Road, retrain: str) -> str | None:
    """The folder of the model that a retrain takes over instead of fitting one; None of one that fits.

    Raises:
        CustodyError: when its files, or the word that they may run code, are not what the ledger recorded at the launch.
    """
    known = platform.controller.state(road.model).retrains.get(retrain)
    if known is None or known.trigger.get("kind") != "adopted":
        return None
    folder = platform.home.stage_dir(road.model, retrain, "adopted")
    require_adopted(folder, known.trigger)
    return str(folder)


def requests_ahead(
    platform: Platform, road: Road, retrain: str, stage: StageName, selected: Collection[dg.AssetKey]
) -> list[StageRequest]:
    """What the run will ask of Databricks after ``stage`` and without a stop elsewhere; nothing where that stage runs here.

    It ends before a request that cannot be formed now, of a champion that the registry does not give say: the stage itself will
    ask again when its turn comes, and tell.

    Args:
        platform: the home's rooms.
        road: the model's names.
        retrain: key of the retrain.
        stage: the stage that is asked now.
        selected: keys of the assets that the run makes.
    """
    found: list[StageRequest] = []
    for later in _after(road, stage, selected):
        try:
            found.append(retrain_request(platform, road, retrain, later))
        except RetrainError:
            break
    return found


def _after(road: Road, stage: StageName, selected: Collection[dg.AssetKey]) -> Iterator[StageName]:
    if not road.is_on_databricks(stage):
        return
    for later in RETRAIN_STAGES[RETRAIN_STAGES.index(stage) + 1 :]:
        if not _is_made_there(road, later, selected):
            return
        yield later


def _is_made_there(road: Road, stage: StageName, selected: Collection[dg.AssetKey]) -> bool:
    return road.is_on_databricks(stage) and road.key(STAGE_ASSETS[stage]) in selected


def _place(platform: Platform, road: Road, retrain: str, stage: str, output: str) -> str:
    """Where an output is: where the stage says it left it, or where it will be in the home."""
    here = str(platform.home.stage_dir(road.model, retrain, stage) / output)
    try:
        left = platform.stage_result(road.model, retrain, stage).outputs.get(output, {}).get("uri", here)
    except RetrainError:
        return here
    return left if is_on_volume(left) else here


def opponent(state: ModelState, retrain: str) -> VersionRef | None:
    """The champion a retrain is compared with: the one that serves, and once it is armed or has ended the one of then, so that
    running the evaluation again changes nothing. None when there is none."""
    if (toggle := state.toggle_of(retrain)) is not None:
        return toggle.previous_champion
    ended_at = state.retrains[retrain].ended_at
    reigns = [one for one in state.champion_history if one.retrain != retrain and (ended_at is None or one.since <= ended_at)]
    return reigns[-1].version if reigns else None


def earlier_datasets(platform: Platform, road: Road, retrain: str) -> list[dict[str, Any]]:
    """What the data gate of a retrain compares its source with: the ``as_history`` of earlier retrains of the model.

    Those count that were launched before this one, end before its cut-off and passed gate data; of retrains of one cut-off the
    last. At most the last five, by cut-off. Later retrains never change it, so that running a partition again asks the same.
    """
    earlier: dict[datetime, list[str]] = {}
    for key, known in platform.controller.state(road.model).retrains.items():
        if key == retrain:
            break
        record = known.verdicts.get(Gate.DATA)
        if record is not None and record.outcome is Outcome.PASS and cutoff_of(key) < cutoff_of(retrain):
            earlier.setdefault(cutoff_of(key), []).append(key)
    found: list[dict[str, Any]] = []
    for cutoff in sorted(earlier, reverse=True):
        kept = (_as_history(platform, road, key) for key in reversed(earlier[cutoff]))
        found += [seen for seen in [next((one for one in kept if one is not None), None)] if seen is not None]
        if len(found) == EARLIER_RETRAINS:
            break
    return found[::-1]


def _as_history(platform: Platform, road: Road, retrain: str) -> dict[str, Any] | None:
    """What a retrain's data set leaves to later ones; None where its working files were cleared away."""
    try:
        return platform.stage_result(road.model, retrain, "dataset").metadata.get("as_history")
    except RetrainError:
        return None
