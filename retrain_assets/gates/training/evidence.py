"""What a training stage measured: the numbers gate TRAINING judges, and nothing that judges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from retrain_assets.contract import finite

Columns = tuple[tuple[str, str], ...]
"""Names and kinds of columns, in order."""


@dataclass(frozen=True, slots=True)
class TrainingEvidence:
    """What a training stage found out. None means it was not measured, and then nothing passes on it.

    Args:
        adopted: where the model is from that was not fitted here; None of one that was.
        error: why training failed, one line; None when it succeeded.
        duration_s: seconds of the fit, the calibration's fit included.
        memory_mb: peak memory of the process in MiB.
        memory_of: what that peak covers: ``fit``, or ``process`` when it may stem from before the fit.
        load_error: why the saved bundle could not be loaded and scored in a clean process; None when it could or was not tried.
        artifact_loaded: whether a clean process loaded the saved bundle and scored the hold-out with it.
        reload_max_difference: largest difference of a score, fitted object against the clean process; like the next one absolute
            for scores up to 1 and relative to the score above.
        refit_max_difference: largest difference of a score of the second fit.
        refit_same_digest: whether a second fit gave model files of the same digests.
        metrics: offline metrics of the contract on the hold-out.
        refit_metrics: the same of the second fit, with the calibration of the first.
        loss: log loss (classification) or mean squared error (regression) on rows not fitted on.
        baseline_loss: the same of a constant prediction: class shares, or mean, of the training labels.
        recent_loss: the same of the last known rate: shares, or mean, of the latest training labels.
        recent_rows: rows that rate was taken from.
        loss_rows: rows all losses were measured on.
        recorded: what the manifest records for a reproduction by item, in words; None where it does not.
        signatures: names and kinds of the features in order, by who says so: ``snapshot`` (training window), ``hold-out``,
            ``bundle`` (as the clean process read it).
    """

    adopted: str | None = None
    error: str | None = None
    duration_s: float | None = None
    memory_mb: float | None = None
    memory_of: str | None = None
    load_error: str | None = None
    artifact_loaded: bool | None = None
    reload_max_difference: float | None = None
    refit_same_digest: bool | None = None
    refit_max_difference: float | None = None
    metrics: Mapping[str, float | None] | None = None
    refit_metrics: Mapping[str, float | None] | None = None
    loss: float | None = None
    baseline_loss: float | None = None
    recent_loss: float | None = None
    recent_rows: int = 0
    loss_rows: int = 0
    recorded: Mapping[str, str | None] | None = None
    signatures: Mapping[str, Columns] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; a non-finite number becomes None, that is, not measured."""
        return dict(finite(asdict(self)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingEvidence:
        """The inverse of :meth:`to_json`."""
        columns = {who: tuple((str(name), str(kind)) for name, kind in said) for who, said in value.get("signatures", {}).items()}
        return cls(**{**value, "signatures": columns})
