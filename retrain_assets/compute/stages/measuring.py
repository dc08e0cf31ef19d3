"""What gate training is told of a candidate, fitted here or adopted: losses against naive baselines, features, differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import narwhals
import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import load_bundle
from retrain_assets.bundle.encoding import kind_of
from retrain_assets.compute.baselines import constant_scores, loss_of
from retrain_assets.compute.clean_process import CleanAnswer
from retrain_assets.compute.code import checkout_of
from retrain_assets.compute.fitting import Labels, read_labels
from retrain_assets.compute.own_code import own_verdicts
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.candidate import Candidate, LearningRows
from retrain_assets.compute.stages.source import bounds
from retrain_assets.contract import Contract, Gate, Verdict, finite
from retrain_assets.gates import TrainingEvidence, training_gate
from retrain_assets.gates.own import TrainedCandidate

Floats = npt.NDArray[np.float64]


def judged(
    request: StageRequest,
    contract: Contract,
    rows: LearningRows,
    candidate: Candidate,
    evidence: TrainingEvidence,
    **more: Any,
) -> StageResult:
    """The result of stage ``training``: the stored bundle, what is recorded of it, and the verdicts of gate training.

    Args:
        request: what was asked.
        contract: its contract.
        rows: what the candidate was fitted and judged on.
        candidate: the stored candidate.
        evidence: about it.
        more: further metadata, ``seconds`` among them.
    """
    metadata = {
        "evidence": evidence.to_json(),
        **more,
        "checkout": request.code["checkout"] if request.code else checkout_of(contract.features),
        "holdout_metrics": finite(evidence.metrics),
        "rows": {"train": rows.known.height, "holdout": rows.holdout.height},
        "manifest": candidate.manifest.to_json(),
        "feature_importance": candidate.importance,
    }
    verdicts = [*training_gate(evidence, contract=contract), *own_training_verdicts(request, contract, rows, candidate, evidence)]
    return answer(request, {"bundle": (candidate.directory, candidate.manifest.digest)}, metadata, {Gate.TRAINING: verdicts})


def largest_difference(found: Floats | None, expected: Floats) -> float | None:
    """The largest difference of two scores: absolute up to 1, relative above; infinite where the shapes differ."""
    if found is None:
        return None
    if found.shape != expected.shape:
        return float("inf")
    return float((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max(initial=0.0))


def losses(contract: Contract, rows: LearningRows, scores: Floats) -> dict[str, Any]:
    """Losses of the scores and of the baselines on the hold-out, as fields of the evidence."""
    recent = _recent_labels(contract, rows)
    count = len(scores)

    def loss(known: Labels) -> float | None:
        return loss_of(contract, rows.judged, constant_scores(contract, known, count)) if len(known.values) else None

    return {
        "loss": loss_of(contract, rows.judged, scores),
        "baseline_loss": loss(rows.labels),
        "recent_loss": loss(recent),
        "recent_rows": len(recent.values),
        "loss_rows": count,
    }


def _recent_labels(contract: Contract, rows: LearningRows) -> Labels:
    """Labels of the last hold-out length of training; where it has no rows, of the latest, as many as the hold-out's."""
    train, source = rows.known, contract.source
    end = datetime.fromisoformat(rows.about["window"]["train_end"])
    (start,) = bounds(train.schema[source.event_time], end - contract.window.holdout)
    latest = train.filter(pl.col(source.event_time) >= start)
    latest = latest if latest.height else train.tail(rows.holdout.height)
    return read_labels(latest[source.label], contract.task, rows.labels.classes)


def signatures(contract: Contract, rows: LearningRows, tried: CleanAnswer) -> dict[str, Any]:
    """Names and kinds of the features by who says so."""
    said: dict[str, Any] = {
        "snapshot": _features(rows.schema, contract),
        "hold-out": _features(rows.holdout.schema, contract),
    }
    return said if tried.features is None else {**said, "bundle": tried.features}


def _features(schema: Mapping[str, pl.DataType], contract: Contract) -> tuple[tuple[str, str], ...]:
    keys = {contract.source.unit, contract.source.event_time, contract.source.label}
    return tuple((name, kind_of(name, dtype)) for name, dtype in schema.items() if name not in keys)


def own_training_verdicts(
    request: StageRequest, contract: Contract, rows: LearningRows, candidate: Candidate, evidence: TrainingEvidence
) -> list[Verdict]:
    """The team's own checks of gate training, on the bundle as it was stored."""

    def given() -> TrainedCandidate:
        return TrainedCandidate(
            gate=Gate.TRAINING,
            check="",
            contract=contract,
            retrain=request.retrain,
            names=request.unit_names,
            bundle=load_bundle(candidate.directory),
            holdout=narwhals.from_native(rows.holdout, eager_only=True),
            record=replace(evidence, duration_s=None, memory_mb=None, memory_of=None),
        )

    return own_verdicts(contract, Gate.TRAINING, given, lambda: rows.holdout)
