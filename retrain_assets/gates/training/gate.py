"""Gate TRAINING itself: which evidence meets which check; the larger checks stand in files of their own."""

from __future__ import annotations

from collections.abc import Mapping

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.limits import at_most
from retrain_assets.gates.training.baseline import beats_baseline
from retrain_assets.gates.training.budget import within_budget
from retrain_assets.gates.training.evidence import TrainingEvidence
from retrain_assets.gates.training.record import recorded_for_reproduction
from retrain_assets.gates.training.refit import refit_reproduces
from retrain_assets.gates.training.signature import signature_matches_features

TRAINING_CHECKS = (
    "training_succeeded",
    "artifact_loads",
    "predictions_survive_reload",
    "signature_matches_features",
    "refit_reproduces",
    "recorded_for_reproduction",
    "beats_baseline",
    "within_budget",
)
"""The checks :func:`training_gate` gives, in this order, always all of them of a model that was fitted here."""

NOT_ASKED_OF_ADOPTED: Mapping[str, str] = {
    "training_succeeded": "no fit ran here",
    "refit_reproduces": "its training rows and seed are not here, so that it cannot be fitted again",
    "recorded_for_reproduction": "what would be needed to make it again was not recorded here; where it is from is",
    "within_budget": "no fit ran here, so that none was paid for",
}
"""Checks that cannot be asked of a model that was not fitted here, and why. They are not passed: nobody says anything of them."""

RELOAD_TOLERANCE = 1e-9
"""Largest difference of a score before saving and after loading."""


def training_gate(evidence: TrainingEvidence, *, contract: Contract) -> list[Verdict]:
    """Judge one fitted candidate.

    Args:
        evidence: what the training stage measured.
        contract: thresholds in ``gates.training``.

    Returns:
        One verdict per name in ``TRAINING_CHECKS``, of an adopted model without those in ``NOT_ASKED_OF_ADOPTED``. What was not
        measured is ``no_data``; a number that is not finite is ``error``.
    """
    limits = contract.gates.training
    verdicts = [
        _succeeded(evidence),
        _loads(evidence),
        at_most(
            Gate.TRAINING,
            "predictions_survive_reload",
            evidence.reload_max_difference,
            RELOAD_TOLERANCE,
            what=f"largest difference of a score between {_first(evidence)} and the bundle loaded in a clean process",
        ),
        signature_matches_features(evidence),
        refit_reproduces(evidence),
        recorded_for_reproduction(evidence),
        beats_baseline(evidence, limits.min_gain_over_baseline),
        within_budget(evidence, limits),
    ]
    return [one for one in verdicts if evidence.adopted is None or one.check not in NOT_ASKED_OF_ADOPTED]


def _first(evidence: TrainingEvidence) -> str:
    return "the fitted model" if evidence.adopted is None else f"{evidence.adopted} as MLflow scores it"


def _succeeded(evidence: TrainingEvidence) -> Verdict:
    check = "training_succeeded"
    if evidence.error is not None:
        return Verdict(Gate.TRAINING, check, Outcome.FAIL, f"training failed: {evidence.error}")
    if evidence.duration_s is None:
        return Verdict(Gate.TRAINING, check, Outcome.NO_DATA, "no fit is recorded")
    return Verdict(Gate.TRAINING, check, Outcome.PASS, "the candidate was fitted and gives every hold-out row a finite score")


def _loads(evidence: TrainingEvidence) -> Verdict:
    check = "artifact_loads"
    if evidence.load_error is not None or evidence.artifact_loaded is False:
        reason = evidence.load_error or "no reason recorded"
        return Verdict(Gate.TRAINING, check, Outcome.FAIL, f"the saved bundle does not work in a clean process: {reason}")
    if evidence.artifact_loaded is None:
        return Verdict(Gate.TRAINING, check, Outcome.NO_DATA, "loading the saved bundle in a clean process was not tried")
    return Verdict(Gate.TRAINING, check, Outcome.PASS, "a clean process loads the saved bundle and scores the hold-out with it")
