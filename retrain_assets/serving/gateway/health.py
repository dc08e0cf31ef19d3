"""``/healthz`` and ``/readyz``: for what starts and restarts the gateway, and what sends it traffic. They need no token."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from retrain_assets.serving.gateway.parts import Parts, parts_of
from retrain_assets.serving.gateway.schemas import Alive, Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Alive")
async def healthz() -> Alive:
    """The process runs and its event loop turns; otherwise there is no answer."""
    return Alive(status="alive")


@router.get(
    "/readyz",
    summary="Ready",
    responses={503: {"model": Readiness, "description": "Something keeps a model from answering; the body says what"}},
)
async def readyz(request: Request, response: Response) -> Readiness:
    """Whether every model can answer and its exposures can be kept."""
    state = readiness(parts_of(request))
    response.status_code = HTTPStatus.OK if state.ready else HTTPStatus.SERVICE_UNAVAILABLE
    return state


def readiness(parts: Parts) -> Readiness:
    """Whether every model can answer, in words.

    A record that cannot be kept is a problem where a contract says that requests are refused then, elsewhere a warning. So are
    tokens that cannot be read: a problem where those who call need one.
    """
    problems, warnings = list(parts.models.problems()), list(parts.models.warnings())
    if (unreadable := parts.tokens.problem()) is not None:
        need_one = parts.options.require_tokens or parts.options.open_to_others
        (problems if need_one else warnings).append(f"no token is accepted: {unreadable}")
    warnings += parts.answering.warnings()
    if (fault := parts.journal.state().fault) is not None:
        live = (parts.models.current(name) for name in parts.models.names())
        if refusing := [one.rule.model for one in live if one.terms.serving.when_log_fails == "refuse"]:
            problems.append(f"traffic cannot be recorded, requests to {', '.join(refusing)} are refused: {fault}")
        else:
            warnings.append(f"traffic cannot be recorded: {fault}")
    return Readiness(ready=not problems, problems=problems, warnings=warnings)
