"""One structured line for every operation over HTTP and every attempt at one: who, what, from where, how it ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Literal

from starlette.requests import HTTPConnection

from retrain_assets.ledger import Actor

log = logging.getLogger("retrain_assets.operations")
"""Done at level INFO, refused or failed at WARNING; each record's message is one JSON object."""


def log_attempt(
    request: HTTPConnection,
    *,
    model: str | None,
    actor: Actor | None,
    outcome: Literal["done", "refused", "failed"],
    status: int,
    message: str,
    token: str | None = None,
    reason: str | None = None,
    events: Sequence[int] = (),
) -> None:
    """Write the line.

    Args:
        request: what was asked, and by which peer.
        model: the model it is about; None: all of them.
        actor: in whose name; None where the token was none.
        outcome: how it ended.
        status: the HTTP status of the answer.
        message: what changed, or why nothing did.
        token: the token's name.
        reason: the reason that was given.
        events: sequences of the ledger's events that record it.
    """
    line = {
        "operation": f"{request.scope['method']} {request.url.path}",
        "model": model,
        "actor": str(actor) if actor else None,
        "token": token,
        "peer": request.client.host if request.client else None,
        "reason": reason,
        "outcome": outcome,
        "status": status,
        "message": message,
        "events": list(events),
    }
    log.log(logging.INFO if outcome == "done" else logging.WARNING, json.dumps(line, ensure_ascii=True))
