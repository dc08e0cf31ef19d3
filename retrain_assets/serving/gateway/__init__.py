"""Predictions, outcomes, toggles and metrics over HTTP: FastAPI on uvicorn, several workers on one home."""

from retrain_assets.serving.gateway.app import create_app
from retrain_assets.serving.gateway.options import Options
from retrain_assets.serving.gateway.run import run_gateway

__all__ = ["Options", "create_app", "run_gateway"]
