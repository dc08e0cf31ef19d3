"""Models as they are served now: routed by the flag document, loaded as the ledger says, answering with deadlines."""

from retrain_assets.serving.live.answering import Answering
from retrain_assets.serving.live.live_model import LiveModel
from retrain_assets.serving.live.meter import NO_METER, Meter
from retrain_assets.serving.live.models import LiveModels, LiveState
from retrain_assets.serving.live.terms import LiveTerms
from retrain_assets.serving.live.values import (
    BadRequest,
    LogUnavailable,
    ModelFailed,
    ModelLate,
    NotReady,
    Prediction,
    Row,
    UnknownModel,
)

__all__ = [
    "NO_METER",
    "Answering",
    "BadRequest",
    "LiveModel",
    "LiveModels",
    "LiveState",
    "LiveTerms",
    "LogUnavailable",
    "Meter",
    "ModelFailed",
    "ModelLate",
    "NotReady",
    "Prediction",
    "Row",
    "UnknownModel",
]
