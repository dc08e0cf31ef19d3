"""Stages on a Spark session of this process, for what is too large for one machine's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from retrain_assets.compute.local import LocalCompute
from retrain_assets.compute.request import StageRequest, StageResult


class SparkCompute:
    """Runs stages in this process with the session that the contract names; what is not large is done as without Spark.

    Results are stored, and stored results given, by the rule of :class:`~retrain_assets.compute.local.LocalCompute`: both engines
    give the same, so that a change of the engine computes nothing again.
    """

    def run(
        self, request: StageRequest, *, run_id: str | None = None, context: Any = None, ahead: Sequence[StageRequest] = ()
    ) -> StageResult:
        """As :meth:`retrain_assets.compute.place.ComputePlace.run`; nothing is begun ahead."""
        return LocalCompute().run(replace(request, engine="spark"), run_id=run_id, context=context)

    def kept(self, request: StageRequest) -> StageResult | None:
        """The result a stage has given, whatever it would give now; None when its outputs are not as they were."""
        return LocalCompute().kept(request)
