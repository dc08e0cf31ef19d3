"""Scoring by the routed arm, and the exposure log."""

from retrain_assets.compute.attempt import ScoringBundle
from retrain_assets.compute.scorer import Scorer
from retrain_assets.serving.exposure_log import ExposureLog

__all__ = ["ExposureLog", "Scorer", "ScoringBundle"]
