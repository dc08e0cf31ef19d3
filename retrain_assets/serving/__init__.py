"""Scoring by the routed arm, and the exposure log."""

from retrain_assets.serving.attempt import ScoringBundle
from retrain_assets.serving.exposure_log import ExposureLog
from retrain_assets.serving.scorer import Scorer

__all__ = ["ExposureLog", "Scorer", "ScoringBundle"]
