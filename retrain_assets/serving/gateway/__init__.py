"""Predictions, outcomes, toggles and metrics over HTTP: FastAPI on uvicorn, several workers on one home."""

from retrain_assets.serving.gateway.options import Options

__all__ = ["Options"]
