"""What one worker's application consists of; its lifespan makes them, routes ask for them here."""

from __future__ import annotations

from typing import Protocol, cast

from starlette.requests import HTTPConnection

from retrain_assets.home import Home
from retrain_assets.release import ReleaseController
from retrain_assets.serving.gateway.metrics import PrometheusMeter
from retrain_assets.serving.gateway.options import Options
from retrain_assets.serving.gateway.tokens import TokenFile
from retrain_assets.serving.journal import TrafficJournal
from retrain_assets.serving.live import Answering, LiveModels


class Parts(Protocol):
    """The attributes of ``app.state``."""

    home: Home
    options: Options
    controller: ReleaseController | None
    tokens: TokenFile
    models: LiveModels
    journal: TrafficJournal
    answering: Answering
    meter: PrometheusMeter


def parts_of(request: HTTPConnection) -> Parts:
    """The parts of the application a request came to."""
    return cast(Parts, request.app.state)
