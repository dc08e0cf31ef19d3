"""The types of the contract, verdicts, digests and errors. No I/O, no Dagster."""

from retrain_assets.contract.approval import Approval, PolicyHook
from retrain_assets.contract.contract import LOWER_IS_BETTER, METRICS, Contract, Task
from retrain_assets.contract.control import Cadence, DriftRule, Freeze, Owners, Season, ToggleTerms
from retrain_assets.contract.data import DecisionRule, Source, Trainer, Window
from retrain_assets.contract.digests import canonical_json, digest_of, sha256_hex
from retrain_assets.contract.economics import Economics
from retrain_assets.contract.errors import (
    ContractError,
    CustodyError,
    Refused,
    RegistryUnavailable,
    RetrainError,
    SignatureError,
    SourceError,
    StageError,
    StaleRevision,
    first_line,
)
from retrain_assets.contract.experiment import Adjustment, Condition, Experiment, MinStage, MissingData, PlannedLooks, StopLoss
from retrain_assets.contract.measures import REQUESTS, Guardrail, Measure, Success, Winsor
from retrain_assets.contract.offline import CalibrationThreshold, FairnessThreshold, SliceThreshold, StabilityThreshold
from retrain_assets.contract.quantities import format_duration, parse_duration, parse_share
from retrain_assets.contract.retention import Retention
from retrain_assets.contract.serving import Serving
from retrain_assets.contract.signers import AllowedSigner, allowed_signers, fingerprint_of
from retrain_assets.contract.verdict import Gate, Outcome, Verdict, finite, overall

__all__ = [
    "LOWER_IS_BETTER",
    "METRICS",
    "REQUESTS",
    "Adjustment",
    "AllowedSigner",
    "Approval",
    "Cadence",
    "CalibrationThreshold",
    "Condition",
    "Contract",
    "ContractError",
    "CustodyError",
    "DecisionRule",
    "DriftRule",
    "Economics",
    "Experiment",
    "FairnessThreshold",
    "Freeze",
    "Gate",
    "Guardrail",
    "Measure",
    "MinStage",
    "MissingData",
    "Outcome",
    "Owners",
    "PlannedLooks",
    "PolicyHook",
    "Refused",
    "RegistryUnavailable",
    "Retention",
    "RetrainError",
    "Season",
    "Serving",
    "SignatureError",
    "SliceThreshold",
    "Source",
    "SourceError",
    "StabilityThreshold",
    "StageError",
    "StaleRevision",
    "StopLoss",
    "Success",
    "Task",
    "ToggleTerms",
    "Trainer",
    "Verdict",
    "Window",
    "Winsor",
    "allowed_signers",
    "canonical_json",
    "digest_of",
    "fingerprint_of",
    "finite",
    "first_line",
    "format_duration",
    "overall",
    "parse_duration",
    "parse_share",
    "sha256_hex",
]
