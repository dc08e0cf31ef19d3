"""What the stage-backed assets share: recording the launch, metadata from a stage result."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from retrain_assets.assets.faces import evidence_metadata, gate_metadata, kept, table
from retrain_assets.assets.place_faces import place_metadata
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.requests import requests_ahead, retrain_request
from retrain_assets.assets.road import FALLBACKS, Road
from retrain_assets.compute import StageResult
from retrain_assets.contract import Gate, RetrainError, Verdict
from retrain_assets.contract.compute import StageName
from retrain_assets.ledger import SYSTEM, Actor

TRIGGER_TAG = "retrain/trigger"
"""Run tag with the trigger of a retrain as JSON: kind, and for drift metric, value, threshold and window."""

LAUNCHED_BY_TAG = "retrain/launched_by"
"""Run tag with the person who launched a retrain; absent when the system did."""


def launch(context: dg.AssetExecutionContext, platform: Platform, road: Road, retrain: str) -> None:
    """Record in the ledger that the retrain has begun, with its trigger; once per retrain."""
    tags = context.run.tags
    person = tags.get(LAUNCHED_BY_TAG) or tags.get("user")
    trigger = _trigger(tags[TRIGGER_TAG]) if TRIGGER_TAG in tags else {"kind": "person" if person else "manual run"}
    actor = Actor("person", person) if person else SYSTEM
    platform.controller.ensure_launched(road.contract, retrain, trigger | {"run_id": context.run.run_id}, actor)


def _trigger(tag: str) -> dict[str, Any]:
    try:
        found = json.loads(tag)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        remedy = 'write JSON such as {"kind": "person"}'
        raise RetrainError(f"{tag!r} is no trigger", where=f"run tag {TRIGGER_TAG}", remedy=remedy)
    return found


@contextmanager
def retrain_stage(context: dg.AssetExecutionContext, platform: Platform, road: Road, stage: StageName) -> Iterator[StageResult]:
    """The result of one stage of the partition's retrain; what the run asks next is asked ahead, where that saves a start.

    What fails in the block, such as the registry, ends the run: what was sent ahead is cancelled, so that nothing is computed for
    an asset that will not come. A stage whose own end is bad has stopped what follows it there, and an outage of the workspace
    leaves the run to be found again.
    """
    retrain, selected = context.partition_key, context.job_def.asset_layer.selected_asset_keys
    request = retrain_request(platform, road, retrain, stage)
    ahead = requests_ahead(platform, road, retrain, stage, selected)
    result = platform.run_stage(road, request, context=context, ahead=ahead)
    try:
        yield result
    except BaseException:
        if ahead:
            _cancel(context, platform, road, retrain)
        raise


def _cancel(context: dg.AssetExecutionContext, platform: Platform, road: Road, retrain: str) -> None:
    try:
        runs = platform.cancel(road, retrain)
    except RetrainError as error:
        context.log.warning(f"what was sent ahead goes on: {error.line}")
    else:
        context.log.info(f"cancelled on Databricks, as this asset failed: {', '.join(map(str, runs)) or 'nothing was under way'}")


def gate_of(road: Road, gate: Gate, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The verdicts of a gate with who answers for it, for the asset page."""
    return gate_metadata(verdicts, owner=road.gate_owner(gate), fallback=FALLBACKS[gate])


def metadata_of(result: StageResult) -> dict[str, Any]:
    """A stage's metadata, facts of where it ran, and the digests of its outputs, for the asset page."""
    shown = evidence_metadata(result.metadata)
    shown |= place_metadata(result)
    shown["outputs"] = table(
        ({"output": name, "digest": f"{item['digest'][:19]}…"} for name, item in result.outputs.items()), as_written=True
    )
    folders = sorted({item["uri"].rpartition("/")[0] for item in result.outputs.values()})
    shown |= {"kept in" if number == 1 else f"kept in {number}": kept(folder) for number, folder in enumerate(folders, 1)}
    return shown
