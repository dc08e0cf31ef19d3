"""Gate TRAINING: is the artifact sound, repeatable, within its budget and better than knowing nothing?"""

from retrain_assets.gates.training.evidence import TrainingEvidence
from retrain_assets.gates.training.gate import NOT_ASKED_OF_ADOPTED, TRAINING_CHECKS, training_gate
from retrain_assets.gates.training.record import recorded

__all__ = ["NOT_ASKED_OF_ADOPTED", "TRAINING_CHECKS", "TrainingEvidence", "recorded", "training_gate"]
