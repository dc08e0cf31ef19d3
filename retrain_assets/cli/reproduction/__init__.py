"""A retrain recomputed from what is stored of it, and compared byte for byte with what was recorded. Changes nothing."""

from retrain_assets.cli.reproduction.results import Cause, CauseKind, Depth, Result, Status
from retrain_assets.cli.reproduction.run import reproduce

__all__ = ["Cause", "CauseKind", "Depth", "Result", "Status", "reproduce"]
