"""Components that a Dagster project can use: one release contract becomes the assets of one model."""

from retrain_assets.components.retrain import RetrainComponent

__all__ = ["RetrainComponent"]
