"""One worker's application: its parts, started and ended with it, and every route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, cast

from fastapi import FastAPI

from retrain_assets.home import Home
from retrain_assets.release import ReleaseController
from retrain_assets.serving.gateway import exposures, health, metrics, ofrep, operations, outcomes, predict, toggle
from retrain_assets.serving.gateway.document import describe
from retrain_assets.serving.gateway.envelope import Envelope
from retrain_assets.serving.gateway.errors import faults_as_answers
from retrain_assets.serving.gateway.options import Options
from retrain_assets.serving.gateway.parts import Parts
from retrain_assets.serving.gateway.tokens import TokenFile
from retrain_assets.serving.journal import TrafficJournal
from retrain_assets.serving.live import Answering, LiveModels

TAGS = [
    {"name": "predict", "description": "Scores by the arm each unit is in."},
    {"name": "outcomes", "description": "What became of the units of earlier requests."},
    {"name": "exposures", "description": "Of services that score with models of their own."},
    {"name": "models", "description": "What is served, and how traffic is divided."},
    {"name": "operate", "description": "Rollback, hold and kill switch; always with a token."},
    {"name": "ofrep", "description": "The OpenFeature remote evaluation protocol."},
    {"name": "health", "description": "For what starts, restarts and watches the gateway."},
]


def create_app(home: Home, options: Options | None = None, *, controller: ReleaseController | None = None) -> FastAPI:
    """The application of one worker; its lifespan starts and ends what it needs.

    Args:
        home: the home it serves.
        options: how.
        controller: of the home; opened from it where none is given.
    """
    told = options or Options()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        """Parts end in the opposite order of their start: shadow rows are scored, then the journal is sealed.

        What belongs to one group of routes only is started by its router.
        """
        async with AsyncExitStack() as ends:
            state = app.state
            state.home, state.options, state.controller = home, told, controller
            state.tokens = TokenFile.open(home, required=told.require_tokens, for_metrics=told.require_tokens_for_metrics)
            state.meter = metrics.PrometheusMeter()
            ends.callback(state.meter.close)
            state.journal = TrafficJournal(
                home, rotate_after=timedelta(seconds=told.rotate_after_seconds), rotate_rows=told.rotate_rows
            )
            await state.journal.start()
            ends.push_async_callback(state.journal.close)
            state.models = LiveModels(home, controller=controller)
            await state.models.start()
            ends.push_async_callback(state.models.close)
            state.answering = Answering(state.models, state.journal, state.meter)
            state.meter.attach(state.models, state.journal, lambda: health.readiness(cast(Parts, state)))
            await ends.enter_async_context(_beside(state.meter.watch()))
            ends.push_async_callback(state.answering.close)
            yield

    app = FastAPI(lifespan=lifespan, openapi_tags=TAGS, docs_url=None, redoc_url=None, redirect_slashes=False)
    for routes in (predict, outcomes, exposures, toggle, ofrep, operations, health, metrics):
        app.include_router(routes.router)
    faults_as_answers(app)
    app.add_middleware(
        Envelope,
        max_body_bytes=told.max_body_bytes,
        body_seconds=told.body_seconds,
        refused=lambda model, code: app.state.meter.unanswered(model, code),
    )
    describe(app)
    return app


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work that goes on beside the requests until the application ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
