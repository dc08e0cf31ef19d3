"""Rollback, hold and kill switches over HTTP, for alarms and people on call; always with a token, always with a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal, Protocol

import orjson
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import Response

from retrain_assets.contract import Refused, RetrainError
from retrain_assets.ledger import Actor, Event, timestamp
from retrain_assets.release import Credential, ModelState, ReleaseController, ToggleState, ToggleStatus, toggle_view
from retrain_assets.release.platform import PlatformState
from retrain_assets.serving.gateway.access import Caller, Forbidden, requires
from retrain_assets.serving.gateway.errors import answer_of
from retrain_assets.serving.gateway.operations_document import described
from retrain_assets.serving.gateway.operations_door import Done, Operator
from retrain_assets.serving.gateway.operations_log import log_attempt
from retrain_assets.serving.gateway.operations_order import BadOrder, Order, order_of
from retrain_assets.serving.gateway.parts import parts_of
from retrain_assets.serving.live import LiveModel, UnknownModel

Allowed = Annotated[Caller, Depends(requires("operate"))]

Attempt = Callable[[Actor, Order], Awaitable[dict[str, Any]]]


class Flip(Protocol):
    """A move of the controller that changes one toggle."""

    def __call__(
        self, door: ReleaseController, toggle: str, actor: Actor, reason: str, /, *, revision: int | None, credential: Credential
    ) -> object:
        """Make it."""


@asynccontextmanager
async def _operating(app: FastAPI) -> AsyncIterator[None]:
    """While the application runs there are threads for operations; its parts are there by then."""
    app.state.operator = Operator(app.state.home, app.state.models, getattr(app.state, "controller", None))
    try:
        yield
    finally:
        app.state.operator.close()


router = APIRouter(prefix="/v1", tags=["operate"], lifespan=_operating)


@router.post("/models/{model}/toggle/rollback", **described("Roll a toggle back", revision=True))
async def rollback(request: Request, model: str, caller: Allowed) -> Response:
    """All traffic of the model to its champion, from this answer on in this worker and within a moment in all.

    It is about the active toggle. One that was promoted is only rolled back, its previous champion restored, when it is named: a
    request that is repeated because its answer was lost must not undo an older promotion.
    """
    return await _flip(request, model, caller, "rollback", ReleaseController.rollback)


@router.post("/models/{model}/toggle/hold", **described("Hold a ramp", revision=True))
async def hold(request: Request, model: str, caller: Allowed) -> Response:
    """Stop the ramp of the model's active toggle; traffic stays as it is divided."""
    return await _flip(request, model, caller, "hold", ReleaseController.hold)


@router.post("/models/{model}/kill", **described("Engage the kill switch of a model"))
async def kill(request: Request, model: str, caller: Allowed) -> Response:
    """All traffic of the model to its champion, and no challenger until a person releases the switch."""
    return await _switch(request, model, caller, engage=True)


@router.delete("/models/{model}/kill", **described("Release the kill switch of a model"))
async def release(request: Request, model: str, caller: Allowed) -> Response:
    """Challengers may be armed again; what was rolled back stays rolled back."""
    return await _switch(request, model, caller, engage=False)


@router.post("/kill", **described("Engage the kill switch of all models", model=False))
async def kill_all(request: Request, caller: Allowed) -> Response:
    """All traffic of every model, those to come included, to its champion, until a person releases the switch."""
    return await _switch(request, None, caller, engage=True)


@router.delete("/kill", **described("Release the kill switch of all models", model=False))
async def release_all(request: Request, caller: Allowed) -> Response:
    """Challengers may be armed again, except where a model's own switch is engaged."""
    return await _switch(request, None, caller, engage=False)


async def _flip(request: Request, model: str, caller: Caller, operation: str, flip: Flip) -> Response:
    async def attempt(actor: Actor, order: Order) -> dict[str, Any]:
        operator: Operator = request.app.state.operator
        states = await operator.look()
        if model not in states:
            raise UnknownModel(f"there is no model {model!r}", where="ledger", remedy=f"models: {', '.join(states) or 'none'}")
        name = _target(states[model], order.toggle, operation).name

        def act(door: ReleaseController) -> tuple[str, ...]:
            flip(door, name, actor, order.reason, revision=order.revision, credential=Credential(token=caller.name))
            return ()

        done = await operator.carry_out(actor, lambda event: event.toggle == name, act)
        return {"toggles": [_view(request, done.states[model].toggles[name], done.platform)], **_told(request, done, [model])}

    return await _answered(request, caller, operation, model, attempt)


async def _switch(request: Request, model: str | None, caller: Caller, *, engage: bool) -> Response:
    def concerns(event: Event) -> bool:
        return model is None or event.model == model

    async def attempt(actor: Actor, order: Order) -> dict[str, Any]:
        if order.toggle is not None or order.revision is not None:
            raise BadOrder("a kill switch has neither toggle nor revision", where="body", remedy="send a reason alone")

        credential = Credential(token=caller.name)

        def act(door: ReleaseController) -> tuple[str, ...]:
            if engage:
                return door.engage_kill_switch(model, actor, order.reason, credential=credential).faults
            door.release_kill_switch(model, actor, order.reason, credential=credential)
            return ()

        done = await request.app.state.operator.carry_out(actor, concerns, act)
        moved = [done.states[event.model].toggles[event.toggle] for event in done.events if event.toggle is not None]
        models = [name for name in done.states if model in (None, name)]
        return {"toggles": [_view(request, toggle, done.platform) for toggle in moved], **_told(request, done, models)}

    return await _answered(request, caller, "kill" if engage else "release", model, attempt)


async def _answered(request: Request, caller: Caller, operation: str, model: str | None, attempt: Attempt) -> Response:
    """Make an attempt and answer it; either way it is logged and counted, with whoever made it."""
    actor, order = caller.actor, None
    assert actor is not None  # scope operate is a token's, and every token has one
    meter = parts_of(request).meter
    try:
        if model is None and caller.models:
            raise Forbidden(
                f"token {caller.name} is for {', '.join(sorted(caller.models))} alone", where=operation, remedy="name a model"
            )
        order = await order_of(request)
        told = await attempt(actor, order)
    except RetrainError as fault:
        status = answer_of(fault).status_code
        outcome: Literal["refused", "failed"] = "refused" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "failed"
        meter.operated(operation, outcome)
        log_attempt(
            request,
            model=model,
            actor=actor,
            token=caller.name,
            reason=order.reason if order else None,
            outcome=outcome,
            status=status,
            message=fault.line,
        )
        raise
    meter.operated(operation, "done")
    log_attempt(
        request,
        model=model,
        actor=actor,
        token=caller.name,
        reason=order.reason,
        outcome="done",
        status=HTTPStatus.OK,
        message="; ".join(told["notes"]) or f"{operation} is recorded and routed",
        events=[event["sequence"] for event in told["events"]],
    )
    answer = {"operation": operation, "model": model, "actor": str(actor), "reason": order.reason, **told}
    return Response(orjson.dumps(answer), media_type="application/json")


def _target(state: ModelState, named: str | None, operation: str) -> ToggleState:
    """The toggle an operation is about: the one that is named, else the active one."""
    if named is not None:
        if named not in state.toggles:
            known = ", ".join(state.toggles) or "none"
            raise Refused(f"there is no toggle {named!r}", where=state.model, remedy=f"toggles: {known}")
        return state.toggles[named]
    if state.active_toggle is not None:
        return state.active_toggle
    made = [one for one in state.toggles.values() if one.state is ToggleStatus.PROMOTED and one.challenger == state.champion]
    if made and operation == "rollback":
        raise Refused(
            "no toggle is active",
            where=state.model,
            remedy=f'to take the promotion of {made[-1].name} back, name it: {{"toggle": "{made[-1].name}", "reason": …}}',
        )
    last = next(iter([*state.toggles.values()][-1:]), None)
    remedy = f"the last one, {last.name}, is {last.state}" if last else "there never was one"
    raise Refused("no toggle is active", where=state.model, remedy=remedy)


def _view(request: Request, toggle: ToggleState, platform: PlatformState) -> dict[str, Any]:
    """A toggle as recorded; ``revision`` is the one an operation may be tied to, ``stage_revision`` the one traffic shows."""
    return toggle_view(toggle, parts_of(request).models.clock.now(), platform)


def _told(request: Request, done: Done, models: list[str]) -> dict[str, Any]:
    """What was recorded, what this worker serves now, and what is still to come."""
    live = parts_of(request).models
    return {
        "events": [
            {
                "sequence": event.sequence,
                "kind": str(event.kind),
                "model": event.model,
                "toggle": event.toggle,
                "revision": event.revision_after,
                "at": timestamp(event.at),
            }
            for event in done.events
        ],
        "kill_switches": sorted(done.platform.kill_switches),
        "served": [_served(live.current(name)) for name in models if name in live.snapshot()],
        "notes": list(done.notes),
    }


def _served(live: LiveModel) -> dict[str, Any]:
    rule = live.rule
    return {
        "model": rule.model,
        "champion": rule.champion.version if rule.champion else None,
        "toggle": rule.toggle,
        "state": rule.state,
        "stage": rule.stage,
        "share": rule.effective_share,
        "revision": rule.revision,
    }
