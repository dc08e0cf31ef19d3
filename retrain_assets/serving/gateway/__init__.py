"""Predictions, outcomes, toggles and metrics over HTTP: FastAPI on uvicorn, several workers on one home."""

from typing import TYPE_CHECKING, Any

from retrain_assets.serving.gateway.options import Options
from retrain_assets.serving.gateway.run import run_gateway

if TYPE_CHECKING:
    from retrain_assets.serving.gateway.app import create_app

__all__ = ["Options", "create_app", "run_gateway"]


def __getattr__(name: str) -> Any:
    """The application is imported when it is asked for: the process that starts the workers has none."""
    if name == "create_app":
        from retrain_assets.serving.gateway.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
