"""What every place of computation offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from retrain_assets.compute.request import StageRequest, StageResult


class ComputePlace(Protocol):
    """Runs stages; the same work with the same inputs gives the stored result."""

    def run(
        self, request: StageRequest, *, run_id: str | None = None, context: Any = None, ahead: Sequence[StageRequest] = ()
    ) -> StageResult:
        """The stage's result.

        Args:
            request: what is asked.
            run_id: the orchestrator's run, where its logs are; noted with a new run.
            context: the Dagster execution context, where a place streams logs, reports checks and can be interrupted.
            ahead: what the orchestrator's run will ask next, each resting on the ones before: a place where a start is dear may
                begin it in the same run.

        Raises:
            RetrainError: when the stage cannot produce its result.
        """

    def kept(self, request: StageRequest) -> StageResult | None:
        """The result a stage has given, whatever it would give now; None when its outputs are not as they were."""
