"""The gates: pure functions from evidence and thresholds to verdicts. No I/O, no clock, no Dagster."""

from retrain_assets.gates.data.gate import DATA_CHECKS, data_checks, data_gate
from retrain_assets.gates.data.history import EarlierDataset
from retrain_assets.gates.data.rows import LeftOut, SourceRows
from retrain_assets.gates.features.availability import Availability, availability_probe
from retrain_assets.gates.features.gate import FEATURE_CHECKS, features_gate
from retrain_assets.gates.features.serving import Parity, serving_probe
from retrain_assets.gates.offline.evaluation import Backtest, OfflineEvaluation
from retrain_assets.gates.offline.gate import offline_checks, offline_gate
from retrain_assets.gates.offline.holdout import evaluate
from retrain_assets.gates.offline.metrics import metric_value
from retrain_assets.gates.promotion import (
    PROMOTION_CHECKS,
    ApprovalDecision,
    PromotionEvidence,
    RecordedApproval,
    RecordedGate,
    promotion_gate,
)
from retrain_assets.gates.training import TRAINING_CHECKS, TrainingEvidence, training_gate

__all__ = [
    "DATA_CHECKS",
    "FEATURE_CHECKS",
    "PROMOTION_CHECKS",
    "TRAINING_CHECKS",
    "ApprovalDecision",
    "Availability",
    "Backtest",
    "EarlierDataset",
    "LeftOut",
    "OfflineEvaluation",
    "Parity",
    "PromotionEvidence",
    "RecordedApproval",
    "RecordedGate",
    "SourceRows",
    "TrainingEvidence",
    "availability_probe",
    "data_checks",
    "data_gate",
    "evaluate",
    "features_gate",
    "metric_value",
    "offline_checks",
    "offline_gate",
    "promotion_gate",
    "serving_probe",
    "training_gate",
]
