"""Gate TRAINING: is the artifact sound, repeatable and better than knowing nothing?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from retrain_assets.contract import Contract, Gate, Outcome, Verdict, finite
from retrain_assets.gates.limits import at_least, at_most

TRAINING_CHECKS = (
    "training_succeeded",
    "artifact_loads",
    "predictions_survive_reload",
    "refit_reproduces",
    "beats_baseline",
    "within_budget",
)
"""The checks :func:`training_gate` gives, in this order, always all of them."""

RELOAD_TOLERANCE = 1e-9
"""Largest absolute difference of a score before saving and after loading."""
REFIT_TOLERANCE = 1e-6
"""Largest absolute difference of a score between two fits with the same rows, parameters and seed."""


@dataclass(frozen=True, slots=True)
class TrainingEvidence:
    """What a training stage found out. None means it was not measured, and then nothing passes on it.

    Args:
        error: why training failed, one line; None when it succeeded.
        duration_s: seconds of the fit, calibration included.
        load_error: why the saved bundle could not be loaded; None when it could or was not tried.
        artifact_loaded: whether the saved bundle was loaded in a fresh read from disk.
        reload_max_difference: largest absolute difference of scores, fitted object against loaded bundle.
        refit_same_digest: whether a second fit gave model files of the same digests.
        refit_max_difference: largest absolute difference of scores of the second fit.
        loss: log loss (classification) or mean squared error (regression) on rows not fitted on.
        baseline_loss: the same of the best constant prediction from the training labels.
        loss_rows: rows both losses were measured on.
    """

    error: str | None = None
    duration_s: float | None = None
    load_error: str | None = None
    artifact_loaded: bool | None = None
    reload_max_difference: float | None = None
    refit_same_digest: bool | None = None
    refit_max_difference: float | None = None
    loss: float | None = None
    baseline_loss: float | None = None
    loss_rows: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; a non-finite number becomes None, that is, not measured."""
        return dict(finite(asdict(self)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingEvidence:
        """The inverse of :meth:`to_json`."""
        return cls(**value)


def training_gate(evidence: TrainingEvidence, *, contract: Contract) -> list[Verdict]:
    """Judge one fitted candidate.

    Args:
        evidence: what the training stage measured.
        contract: thresholds in ``gates.training``.

    Returns:
        One verdict per name in ``TRAINING_CHECKS``. What was not measured is ``no_data``; a number that is not finite
        is ``error``.
    """
    return [
        _succeeded(evidence),
        _loads(evidence),
        at_most(
            Gate.TRAINING,
            "predictions_survive_reload",
            evidence.reload_max_difference,
            RELOAD_TOLERANCE,
            what="largest difference of a score after reloading",
        ),
        _reproduces(evidence),
        _beats_baseline(evidence, contract),
        at_most(
            Gate.TRAINING,
            "within_budget",
            evidence.duration_s,
            contract.gates.training.max_duration.total_seconds(),
            what="duration of the fit in seconds",
        ),
    ]


def _succeeded(evidence: TrainingEvidence) -> Verdict:
    check = "training_succeeded"
    if evidence.error is not None:
        return Verdict(Gate.TRAINING, check, Outcome.FAIL, f"training failed: {evidence.error}")
    if evidence.duration_s is None:
        return Verdict(Gate.TRAINING, check, Outcome.NO_DATA, "no fit is recorded")
    return Verdict(Gate.TRAINING, check, Outcome.PASS, "the candidate was fitted")


def _loads(evidence: TrainingEvidence) -> Verdict:
    check = "artifact_loads"
    if evidence.load_error is not None or evidence.artifact_loaded is False:
        reason = evidence.load_error or "no reason recorded"
        return Verdict(Gate.TRAINING, check, Outcome.FAIL, f"the saved bundle does not load: {reason}")
    if evidence.artifact_loaded is None:
        return Verdict(Gate.TRAINING, check, Outcome.NO_DATA, "loading the saved bundle was not tried")
    return Verdict(Gate.TRAINING, check, Outcome.PASS, "the saved bundle loads")


def _reproduces(evidence: TrainingEvidence) -> Verdict:
    if evidence.refit_same_digest:
        message = "a second fit gave byte for byte the same model files"
        return Verdict(Gate.TRAINING, "refit_reproduces", Outcome.PASS, message, 0.0, REFIT_TOLERANCE, {"same_digest": True})
    return at_most(
        Gate.TRAINING,
        "refit_reproduces",
        evidence.refit_max_difference,
        REFIT_TOLERANCE,
        what="largest difference of a score in a second fit",
        evidence={"same_digest": evidence.refit_same_digest},
    )


def _beats_baseline(evidence: TrainingEvidence, contract: Contract) -> Verdict:
    check, required = "beats_baseline", contract.gates.training.min_gain_over_baseline
    losses = {"loss": evidence.loss, "baseline_loss": evidence.baseline_loss, "rows": evidence.loss_rows}
    what = "relative gain over a constant prediction"
    loss, baseline = evidence.loss, evidence.baseline_loss
    if loss is None or baseline is None or baseline == 0:
        return at_least(Gate.TRAINING, check, None, required, what=what, evidence=losses)
    gain = (baseline - loss) / baseline
    if math.isfinite(gain) and required <= gain <= 0:
        message = f"{what} is {gain:.4g}; it must be above 0"
        return Verdict(Gate.TRAINING, check, Outcome.FAIL, message, gain, required, losses)
    return at_least(Gate.TRAINING, check, gain, required, what=what, evidence=losses)
