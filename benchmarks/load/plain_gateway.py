"""The gateway without routing and without logging: the same application and workers, whose every row the champion scores.

``python -m benchmarks.load.plain_gateway PORT WORKERS``
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from retrain_assets.home import Home
from retrain_assets.routing import Reason
from retrain_assets.serving.gateway import run, run_gateway
from retrain_assets.serving.live import Answering, Prediction, Row
from retrain_assets.serving.live.scoring import Scoring

if TYPE_CHECKING:
    from fastapi import FastAPI


class PlainAnswering(Answering):
    """Answers as ``Answering`` does; no unit is hashed and nothing is written."""

    async def predict(self, model: str, rows: Sequence[Row]) -> list[Prediction]:
        live = self.models.current(model)
        seat, champion = live.seats["champion"], live.rule.champion
        assert champion is not None
        matrix = seat.bundle.rows.matrix([row.features for row in rows], live.features)
        seconds = live.terms.serving.champion_timeout.total_seconds()
        scored = await Scoring(seat, model, matrix, live.features, seconds).scored()
        return [
            Prediction(
                row.request_id, row.unit, answer.score, answer.decision, "champion", champion.version, 0, None, Reason.RAMP, False
            )
            for row, answer in zip(rows, scored.answers, strict=True)
            if answer is not None
        ]


def worker() -> FastAPI:
    """One worker's application, its answering exchanged once the parts are there."""
    app = run.worker()
    begin = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[None]:
        async with begin(started):
            parts = started.state
            parts.answering = PlainAnswering(parts.models, parts.journal, parts.meter)
            yield

    app.router.lifespan_context = lifespan
    return app


if __name__ == "__main__":
    run.WORKER = "benchmarks.load.plain_gateway:worker"
    run_gateway(Home.from_environment(), port=int(sys.argv[1]), workers=int(sys.argv[2]))
