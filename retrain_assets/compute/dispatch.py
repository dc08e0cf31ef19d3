"""From the name of a stage to the function that is it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.run_facts import with_run_facts
from retrain_assets.contract import StageError

STAGES = ("dataset", "features", "training", "evaluation", "drift")
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
    module = import_module(f"retrain_assets.compute.stages.{request.stage}")
    stage: Callable[[StageRequest], StageResult] = getattr(module, request.stage)
    return with_run_facts(lambda: stage(request))
