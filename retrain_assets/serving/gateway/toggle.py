"""``GET /v1/models`` and ``GET /v1/models/{model}/toggle``: what this process serves now, and why something is not loaded."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from retrain_assets.bundle import Bundle
from retrain_assets.routing import Arm, VersionRef
from retrain_assets.serving.gateway.access import requires
from retrain_assets.serving.gateway.document import MODEL_PATH, faults
from retrain_assets.serving.gateway.parts import parts_of
from retrain_assets.serving.gateway.schemas import ArmAnswer, ModelAnswer, ModelsAnswer, ToggleAnswer
from retrain_assets.serving.live import LiveModel

router = APIRouter(tags=["models"], dependencies=[Depends(requires("predict"))])


@router.get("/v1/models", summary="Every model")
async def models(request: Request) -> ModelsAnswer:
    """Every model the flag document names, whether it is ready or not."""
    live = parts_of(request).models
    return ModelsAnswer(models=[_model(live.current(name)) for name in sorted(live.names())])


@router.get("/v1/models/{model}/toggle", summary="How traffic is divided", responses=faults(404), openapi_extra=MODEL_PATH)
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
        cohort={name: dict(condition) for name, condition in rule.cohort.items()},
        champion=_arm(live, "champion", rule.champion, live.champion),
        challenger=_arm(live, "challenger", rule.challenger, live.challenger),
    )


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
