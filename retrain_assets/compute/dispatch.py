"""From the name of a stage to the function that is it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import get_args

from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.run_facts import with_run_facts
from retrain_assets.contract import StageError
from retrain_assets.contract.compute import StageName

Stage = Callable[[StageRequest], StageResult]

STAGES: tuple[StageName, ...] = get_args(StageName)
"""The stages, in the order of the road."""


def run_stage(request: StageRequest) -> StageResult:
    """Run one stage here and now; the result says where and when.

    Raises:
        RetrainError: when it cannot produce its result; see the stages.
    """
    if request.stage not in STAGES:
        raise StageError(
            f"there is no stage {request.stage!r}", where="stage request", remedy=f"write one of {', '.join(STAGES)}"
        )
    stage = _spark_stage(request.stage) if request.engine == "spark" else None
    run = stage or _stage("retrain_assets.compute.stages", request.stage)
    return with_run_facts(lambda: run(request))


def _spark_stage(name: str) -> Stage | None:
    """The stage as the executors of a Spark session do it; None for one that is the same on both engines."""
    if find_spec(f"retrain_assets.compute.spark.{name}") is None:
        return None
    return _stage("retrain_assets.compute.spark", name)


def _stage(room: str, name: str) -> Stage:
    stage: Stage = getattr(import_module(f"{room}.{name}"), name)
    return stage
