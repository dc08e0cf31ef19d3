"""From a feature snapshot to the rows a candidate is fitted and judged on, and from a fitted model to its bundle on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain_assets import __version__
from retrain_assets.bundle import IMPORTANCE, SKETCH, Calibration, Encoding, Manifest, Predictor, environment, save_bundle
from retrain_assets.compute.code import code_facts
from retrain_assets.compute.estimator import complete_params, estimator_version, threads_of
from retrain_assets.compute.fitting import Labels, raw_scores, read_labels
from retrain_assets.compute.frames import Tables
from retrain_assets.compute.request import StageRequest
from retrain_assets.compute.stages.features import read_features
from retrain_assets.compute.stages.reference import segment_rows, training_sketch
from retrain_assets.contract import Contract, StageError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Matrix and labels of the training window, and of the hold-out as ``unseen`` and ``judged``."""

    snapshot: Tables
    encoding: Encoding
    matrix: Floats
    labels: Labels
    unseen: Floats
    judged: Labels

    @classmethod
    def of(cls, request: StageRequest, contract: Contract) -> TrainingRows:
        """The rows of the request's feature snapshot.

        Raises:
            StageError: when a window has no rows, or the labels cannot be learnt.
        """
        snapshot = read_features(request)
        train, holdout = snapshot.train, snapshot.holdout
        for name, frame in (("training window", train), ("hold-out", holdout)):
            if frame.is_empty():
                raise StageError(
                    f"the {name} has no labelled rows", where="stage training", remedy="widen window or mend the source"
                )
        labels = read_labels(train[contract.source.label], contract.task)
        judged = read_labels(holdout[contract.source.label], contract.task, labels.classes)
        encoding = Encoding.of(train, snapshot.about["feature_names"])
        return cls(snapshot, encoding, encoding.matrix(train), labels, encoding.matrix(holdout), judged)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored bundle: where, complete manifest, calibration, importances, and hold-out scores before and after calibration."""

    directory: Path
    manifest: Manifest
    calibration: Calibration
    importance: Mapping[str, Any]
    raw_scores: Floats
    scores: Floats


def store_candidate(
    request: StageRequest, contract: Contract, rows: TrainingRows, predictor: Predictor, calibration: Calibration
) -> Candidate:
    """Write the bundle of a fitted model below the request's directory.

    Raises:
        StageError: when its scores are unusable or it cannot be stored without pickle.
    """
    raw = raw_scores(predictor, rows.unseen, contract, rows.labels)
    scores = calibration.apply(raw)
    importance = _importance(predictor, rows.encoding)
    names = list(rows.encoding.names)
    segments = segment_rows(request, rows.snapshot.holdout, contract)
    sketch = training_sketch(rows.snapshot.train, names, scores, rows.judged, contract, segments)
    documents = {IMPORTANCE: importance, SKETCH: sketch}
    directory = request.directory / "bundle"
    request.directory.mkdir(parents=True, exist_ok=True)
    manifest = save_bundle(
        directory,
        _manifest(request, contract, rows),
        predictor=predictor,
        encoding=rows.encoding,
        calibration=calibration,
        documents=documents,
    )
    return Candidate(directory, manifest, calibration, importance, raw, scores)


def _manifest(request: StageRequest, contract: Contract, rows: TrainingRows) -> Manifest:
    trainer, about = contract.trainer, rows.snapshot.about
    facts = request.code or code_facts(contract.features)
    return Manifest(
        model=contract.model,
        retrain=request.retrain,
        task=contract.task,
        estimator=trainer.estimator,
        params=complete_params(trainer),
        feature_names=rows.encoding.names,
        feature_dtypes=dict(rows.encoding.kinds),
        feature_function=about["feature_function"],
        feature_pipeline=about["feature_pipeline"],
        dataset=about["dataset"],
        label={"column": contract.source.label, "delay": contract.to_json()["source"]["label_delay"]},
        window=about["window"],
        calibration={
            "kind": trainer.calibration,
            "fitted_on": "" if trainer.calibration == "none" else "latest quarter of the training window, out of time",
        },
        decision={"threshold": contract.decision.threshold} if contract.decision else None,
        classes=rows.labels.classes,
        seed=trainer.seed,
        code={**facts["commit"], "product": __version__, "estimator": estimator_version(trainer)},
        environment=environment(threads_of(trainer), facts["lock"]),
        files={},
    )


def _importance(predictor: Predictor, encoding: Encoding) -> dict[str, Any]:
    kind, values = predictor.importance()
    total = float(values.sum())
    shares = values / total if total > 0 else values
    return {"kind": kind, "importance": {name: float(share) for name, share in zip(encoding.names, shares, strict=False)}}
