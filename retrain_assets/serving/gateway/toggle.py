"""``GET /v1/models`` and ``GET /v1/models/{model}/toggle``: what this process serves now, and why something is not loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from retrain_assets.bundle import Bundle
from retrain_assets.routing import Arm, VersionRef
from retrain_assets.serving.gateway.access import Caller, requires, security_of
from retrain_assets.serving.gateway.document import below_model, faults
from retrain_assets.serving.gateway.parts import parts_of
from retrain_assets.serving.gateway.schemas import ArmAnswer, ModelAnswer, ModelsAnswer, ToggleAnswer
from retrain_assets.serving.live import LiveModel

router = APIRouter(tags=["models"])


@router.get("/v1/models", summary="Every model", responses=faults(401, 403, 503), openapi_extra=security_of("predict"))
async def models(request: Request, caller: Annotated[Caller, Depends(requires("predict"))]) -> ModelsAnswer:
    """Every model the flag document names and the token is for, whether it is ready or not."""
    live = parts_of(request).models
    return ModelsAnswer(models=[_model(live.current(name)) for name in sorted(live.names()) if caller.may_see(name)])


@router.get(
    "/v1/models/{model}/toggle",
    summary="How traffic is divided",
    dependencies=[Depends(requires("predict"))],
    responses=faults(401, 403, 404, 503),
    openapi_extra=below_model("predict"),
)
async def toggle(request: Request) -> ToggleAnswer:
    """The toggle as this process routes by it now: state, stage, share, revision, expiry, and what of it is loaded."""
    live = parts_of(request).models.current(request.path_params["model"])
    rule = live.rule
    return ToggleAnswer(
        model=rule.model,
        toggle=rule.toggle,
        state=rule.state,
        revision=rule.revision,
        stage=rule.stage,
        share=rule.effective_share,
        expires_at=rule.expires_at,
        cohort={name: _stated(condition) for name, condition in rule.cohort.items()},
        cohort_share=rule.cohort_share,
        champion=_arm(live, "champion", rule.champion, live.champion),
        challenger=_arm(live, "challenger", rule.challenger, live.challenger),
    )


def _stated(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {operator: value for operator, value in condition.items() if value is not None}


def _model(live: LiveModel) -> ModelAnswer:
    rule = live.rule
    return ModelAnswer(
        model=rule.model,
        ready=live.champion is not None,
        version=rule.champion.version if rule.champion else None,
        toggle=rule.toggle,
        stage=rule.stage,
        share=rule.effective_share,
    )


def _arm(live: LiveModel, arm: Arm, version: VersionRef | None, bundle: Bundle | None) -> ArmAnswer | None:
    if version is None:
        return None
    return ArmAnswer(version=version.version, bundle=version.bundle, loaded=bundle is not None, problem=live.unavailable.get(arm))
