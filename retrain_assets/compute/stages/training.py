"""Stage ``training``: fit, calibrate, store, read back and fit again; the bundle and the evidence that it is sound."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain_assets.bundle import IMPORTANCE, SKETCH, Bundle, Encoding, Manifest, environment, load_bundle, save_bundle
from retrain_assets.compute.code import commit_of
from retrain_assets.compute.fitting import Fit, Labels, complete_params, fit_candidate, fit_model, read_labels
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.features import read_features
from retrain_assets.compute.stages.reference import holdout_metrics, training_sketch
from retrain_assets.contract import Contract, CustodyError, Gate, StageError, finite
from retrain_assets.gates import TrainingEvidence, metric_value, training_gate

Floats = npt.NDArray[np.float64]


def training(request: StageRequest) -> StageResult:
    """Make the candidate.

    Input ``features``. Output ``bundle``: the bundle's directory, its digest that
    of the manifest. Cost: one fit, three quarters of one for calibration, and one more to see whether a fit repeats.
    Verdicts: gate training.

    Raises:
        StageError: when the training window has no rows or one class, the estimator raises, or the model cannot be stored
            without pickle.
    """
    contract = request.parsed_contract()
    snapshot = read_features(request)
    train, holdout, about = snapshot.train, snapshot.holdout, snapshot.about
    for name, frame in (("training window", train), ("hold-out", holdout)):
        if frame.is_empty():
            raise StageError(f"the {name} has no labelled rows", where="stage training", remedy="widen window or mend the source")
    labels = read_labels(train[contract.source.label], contract.task)
    judged = read_labels(holdout[contract.source.label], contract.task, labels.classes)
    encoding = Encoding.of(train, about["feature_names"])
    matrix, unseen = encoding.matrix(train), encoding.matrix(holdout)

    started = time.perf_counter()
    fit = fit_candidate(contract, encoding, matrix, labels)
    duration_s = time.perf_counter() - started
    scores = fit.score(unseen)
    directory = request.directory / "bundle"
    request.directory.mkdir(parents=True, exist_ok=True)
    manifest = save_bundle(
        directory,
        _manifest(request, contract, about, encoding, labels),
        predictor=fit.predictor,
        encoding=encoding,
        calibration=fit.calibration,
        documents={
            IMPORTANCE: _importance(fit, encoding),
            SKETCH: training_sketch(train, list(encoding.names), scores, judged, contract),
        },
    )
    loaded, load_error = _read_back(directory, manifest.digest)
    again = fit_model(contract, encoding, matrix, labels)
    evidence = TrainingEvidence(
        duration_s=duration_s,
        load_error=load_error,
        artifact_loaded=loaded is not None,
        reload_max_difference=_largest(loaded.score(holdout), scores) if loaded else None,
        refit_same_digest=again.file() == fit.predictor.file(),
        refit_max_difference=_largest(again.predict(unseen), fit.predictor.predict(unseen)),
        loss=_loss(contract, judged, scores),
        baseline_loss=_loss(contract, judged, _constant(contract, labels, len(scores))),
        loss_rows=len(scores),
    )
    metadata = {
        "evidence": evidence.to_json(),
        "holdout_metrics": finite(holdout_metrics(scores, judged, contract)),
        "rows": {"train": train.height, "holdout": holdout.height},
        "manifest": manifest.to_json(),
        "feature_importance": _importance(fit, encoding),
    }
    return answer(
        request, {"bundle": (directory, manifest.digest)}, metadata, {Gate.TRAINING: training_gate(evidence, contract=contract)}
    )


def _manifest(
    request: StageRequest, contract: Contract, about: Mapping[str, Any], encoding: Encoding, labels: Labels
) -> Manifest:
    trainer = contract.trainer
    return Manifest(
        model=contract.model,
        retrain=request.retrain,
        task=contract.task,
        estimator=trainer.estimator,
        params=complete_params(trainer),
        feature_names=encoding.names,
        feature_dtypes=dict(encoding.kinds),
        feature_function=about["feature_function"],
        feature_pipeline=about["feature_pipeline"],
        dataset=about["dataset"],
        label={"column": contract.source.label, "delay": contract.to_json()["source"]["label_delay"]},
        window=about["window"],
        calibration={"kind": trainer.calibration, "fitted_on": "latest quarter of the training window, out of time"},
        decision={"threshold": contract.decision.threshold} if contract.decision else None,
        classes=labels.classes,
        seed=trainer.seed,
        code=commit_of(contract.features),
        environment=environment(),
        files={},
    )


def _importance(fit: Fit, encoding: Encoding) -> dict[str, Any]:
    kind, values = fit.predictor.importance()
    total = float(values.sum())
    shares = values / total if total > 0 else values
    return {"kind": kind, "importance": {name: float(share) for name, share in zip(encoding.names, shares, strict=False)}}


def _read_back(directory: Path, digest: str) -> tuple[Bundle | None, str | None]:
    try:
        return load_bundle(directory, digest), None
    except CustodyError as error:
        return None, error.line


def _largest(left: Floats, right: Floats) -> float:
    return float(np.abs(left - right).max(initial=0.0))


def _loss(contract: Contract, labels: Labels, scores: Floats) -> float | None:
    if contract.task != "regression":
        return metric_value("log_loss", labels.values, scores)
    root = metric_value("root_mean_squared_error", labels.values, scores)
    return None if root is None else root**2


def _constant(contract: Contract, labels: Labels, rows: int) -> Floats:
    if contract.task == "multiclass":
        shares = np.bincount(labels.codes, minlength=len(labels.classes)) / len(labels.values)
        return np.tile(shares, (rows, 1))
    return np.full(rows, labels.values.mean())
