"""From a feature snapshot to the rows a candidate is fitted and judged on, and from a fitted model to its bundle on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets import __version__
from retrain_assets.bundle import IMPORTANCE, SKETCH, Calibration, Encoding, Manifest, Predictor, environment, save_bundle
from retrain_assets.compute.code import code_facts
from retrain_assets.compute.estimator import complete_params, estimator_version, scoring_packages, threads_of
from retrain_assets.compute.fitting import Labels, fit_model, fit_tail_calibration, raw_scores, read_labels
from retrain_assets.compute.frames import Tables
from retrain_assets.compute.request import StageRequest
from retrain_assets.compute.stages.features import read_features
from retrain_assets.compute.stages.reference import segment_rows, training_sketch
from retrain_assets.contract import Contract, StageError
from retrain_assets.drift import Sketch, sketch_frame

Floats = npt.NDArray[np.float64]


class LearningRows(Protocol):
    """What a candidate is fitted and judged on, wherever the rows of the training window are."""

    @property
    def about(self) -> Mapping[str, Any]:
        """Facts of the feature snapshot."""
        ...

    @property
    def encoding(self) -> Encoding:
        """Of the training window."""
        ...

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Types of the training window's columns."""
        ...

    @property
    def known(self) -> pl.DataFrame:
        """Event time and label of the training window, at least."""
        ...

    @property
    def labels(self) -> Labels:
        """Of the training window."""
        ...

    @property
    def holdout(self) -> pl.DataFrame:
        """The hold-out of the snapshot."""
        ...

    @property
    def unseen(self) -> Floats:
        """Matrix of the hold-out."""
        ...

    @property
    def judged(self) -> Labels:
        """Of the hold-out."""
        ...

    def fit(self, contract: Contract) -> Predictor:
        """One fit of the contract's estimator on the training window."""
        ...

    def fit_calibration(self, contract: Contract) -> Calibration:
        """As :func:`~retrain_assets.compute.fitting.fit_tail_calibration`."""
        ...

    def sketch(self) -> Sketch:
        """Of the training window's features."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Matrix and labels of the training window, and of the hold-out as ``unseen`` and ``judged``, in this process."""

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
        refuse_empty_windows(train.height, holdout.height)
        labels = read_labels(train[contract.source.label], contract.task)
        judged = read_labels(holdout[contract.source.label], contract.task, labels.classes)
        encoding = Encoding.of(train, snapshot.about["feature_names"])
        return cls(snapshot, encoding, encoding.matrix(train), labels, encoding.matrix(holdout), judged)

    @property
    def about(self) -> Mapping[str, Any]:
        """See :class:`LearningRows`."""
        return self.snapshot.about

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """See :class:`LearningRows`."""
        return self.snapshot.train.schema

    @property
    def known(self) -> pl.DataFrame:
        """See :class:`LearningRows`."""
        return self.snapshot.train

    @property
    def holdout(self) -> pl.DataFrame:
        """See :class:`LearningRows`."""
        return self.snapshot.holdout

    def fit(self, contract: Contract) -> Predictor:
        """See :class:`LearningRows`."""
        return fit_model(contract, self.encoding, self.matrix, self.labels)

    def fit_calibration(self, contract: Contract) -> Calibration:
        """See :class:`LearningRows`."""
        return fit_tail_calibration(contract, self.encoding, self.matrix, self.labels)

    def sketch(self) -> Sketch:
        """See :class:`LearningRows`."""
        return sketch_frame(self.snapshot.train, columns=list(self.encoding.names))


def refuse_empty_windows(train: int, holdout: int) -> None:
    """Refuse a snapshot without rows in one of the windows.

    Raises:
        StageError: naming the window.
    """
    for name, rows in (("training window", train), ("hold-out", holdout)):
        if not rows:
            raise StageError(f"the {name} has no labelled rows", where="stage training", remedy="widen window or mend the source")


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
    request: StageRequest,
    contract: Contract,
    rows: LearningRows,
    predictor: Predictor,
    calibration: Calibration,
    *,
    manifest: Manifest | None = None,
    documents: Mapping[str, Any] | None = None,
) -> Candidate:
    """Write the bundle of a fitted model below the request's directory.

    Args:
        request: what was asked.
        contract: its contract.
        rows: what it was fitted and is judged on.
        predictor: the model.
        calibration: its calibration.
        manifest: what it says of itself, without files; None: :func:`manifest_of`.
        documents: further JSON files of the bundle.

    Raises:
        StageError: when its scores are unusable or it cannot be stored without pickle.
    """
    raw = raw_scores(predictor, rows.unseen, contract, rows.labels)
    scores = calibration.apply(raw)
    importance = _importance(predictor, rows.encoding)
    segments = segment_rows(request, rows.holdout, contract)
    sketch = training_sketch(rows.sketch(), scores, rows.judged, contract, segments)
    documents = {IMPORTANCE: importance, SKETCH: sketch, **(documents or {})}
    directory = request.directory / "bundle"
    request.directory.mkdir(parents=True, exist_ok=True)
    complete = save_bundle(
        directory,
        manifest or manifest_of(request, contract, rows),
        predictor=predictor,
        encoding=rows.encoding,
        calibration=calibration,
        documents=documents,
    )
    return Candidate(directory, complete, calibration, importance, raw, scores)


def manifest_of(request: StageRequest, contract: Contract, rows: LearningRows) -> Manifest:
    """What a bundle fitted here says of itself, without its files."""
    trainer, about = contract.trainer, rows.about
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
        environment=environment(threads_of(trainer), facts["lock"], scoring_packages(trainer)),
        files={},
    )


def _importance(predictor: Predictor, encoding: Encoding) -> dict[str, Any]:
    kind, values = predictor.importance()
    total = float(values.sum())
    shares = values / total if total > 0 else values
    return {"kind": kind, "importance": {name: float(share) for name, share in zip(encoding.names, shares, strict=False)}}
