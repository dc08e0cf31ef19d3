"""A candidate that was not fitted here: an MLflow model becomes a bundle, its scores held against MLflow's own.

No row was fitted on and no fit ran, so gate training asks other things of it; what it lacks stands in ``adoption.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Calibration, Predictor
from retrain_assets.bundle.adopted import adopted_encoding, adopted_predictor, as_mlflow_reads, differing_features
from retrain_assets.bundle.mlflow_model import LoadedModel, MLflowModel
from retrain_assets.compute.clean_process import in_clean_process, in_one_file
from retrain_assets.compute.fitting import usable_scores
from retrain_assets.compute.local import content_digest
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.side_by_side import timed
from retrain_assets.compute.stages.candidate import TrainingRows, manifest_of, store_candidate
from retrain_assets.compute.stages.measuring import judged, largest_difference, losses, signatures
from retrain_assets.compute.stages.reference import holdout_metrics
from retrain_assets.contract import Contract, CustodyError, StageError
from retrain_assets.drift import Sketch, sketch_frame
from retrain_assets.gates import TrainingEvidence
from retrain_assets.gates.training import NOT_ASKED_OF_ADOPTED

Floats = npt.NDArray[np.float64]

ADOPTED = "adopted"
"""Name of the input: a folder with the MLflow model in ``model`` and what is known of it in ``adoption.json``."""

ADOPTION = "adoption.json"
"""Name of the bundle's document."""

AGREES = 1e-9
"""Largest difference of a score from MLflow's own, absolute up to 1 and relative above."""


def adopted(request: StageRequest, contract: Contract) -> StageResult:
    """Make the candidate of an MLflow model.

    Inputs ``adopted``, ``features``, and ``dataset`` as for a fit. Output ``bundle``; its document ``adoption.json`` says where
    the model is from, what MLflow recorded of it, which rows its sketch is of, and what gate training did not ask. Verdicts: gate
    training.

    Raises:
        StageError: when the model is not safe to load, reads other features than the feature function gives, is of another task,
            cannot be stored without pickle, or its bundle gives other scores than MLflow.
    """
    folder = request.input(ADOPTED)
    told = json.loads((folder / ADOPTION).read_text())
    loaded = MLflowModel.read(folder / "model").load(trust_pickle=bool(told["trust_pickle"]))
    rows = _AdoptedRows.of(request, contract, loaded, told)
    predictor = adopted_predictor(loaded, contract.task, rows.encoding, threads=1)
    agreement = _agreement(loaded, predictor, contract, rows)
    manifest = replace(
        manifest_of(request, contract, rows),
        estimator=loaded.estimator,
        params=told["parameters"],
        window={**_trained_on(told), "holdout_end": rows.about["window"]["holdout_end"]},
        calibration={"kind": "none", "fitted_on": ""},
        seed=None,
    )
    code = {**manifest.code, "estimator": f"{loaded.about.library}, as MLflow recorded", "adopted": told["source"]}
    document = {**told, "flavor": loaded.about.flavor, "sketch": rows.sketched, "compared": agreement.to_json()}
    document["not_asked"] = dict(NOT_ASKED_OF_ADOPTED)
    calibration = Calibration("none")
    stored = timed(
        partial(
            store_candidate,
            request,
            contract,
            rows,
            predictor,
            calibration,
            manifest=replace(manifest, code=code),
            documents={ADOPTION: document},
        )
    )
    candidate = stored.value
    with in_one_file(request.input("features") / "holdout.parquet") as holdout:
        tried = timed(partial(in_clean_process, candidate.directory, candidate.manifest.digest, holdout))
    metrics = holdout_metrics(candidate.scores, rows.judged, contract)
    evidence = TrainingEvidence(
        adopted=told["source"],
        load_error=tried.value.error,
        artifact_loaded=tried.value.error is None,
        reload_max_difference=largest_difference(tried.value.scores, agreement.scores),
        metrics=metrics,
        **losses(contract, rows, candidate.scores),
        signatures=signatures(contract, rows, tried.value),
    )
    seconds = {"bundle": stored.seconds, "clean process": tried.seconds}
    return judged(request, contract, rows, candidate, evidence, adoption=document, seconds=seconds)


def require_adopted(folder: Path, trigger: Mapping[str, Any]) -> None:
    """Refuse files in the home that are not what was recorded when they were adopted.

    Args:
        folder: of the input ``adopted``.
        trigger: the retrain's, as the ledger has it.

    Raises:
        CustodyError: when one is not there, or differs.
    """
    remedy = "adopt the model again: retrain adopt takes its files from MLflow once more"
    try:
        told, files = json.loads((folder / ADOPTION).read_text()), content_digest(folder / "model")
    except (OSError, ValueError) as error:
        raise CustodyError(f"cannot be read ({error})", where=str(folder), remedy=remedy) from error
    recorded = {name: trigger.get(name) for name in ("source", "files", "trained_on", "trust_pickle")}
    found = {**{name: told.get(name) for name in recorded}, "files": files}
    if different := [name for name, value in recorded.items() if found[name] != value]:
        what = f"is not what the ledger recorded of the adoption ({', '.join(different)})"
        raise CustodyError(what, where=str(folder), remedy=remedy)


@dataclass(frozen=True, slots=True)
class _AdoptedRows(TrainingRows):
    """The rows an adopted model is judged on; its sketch is of those it was fitted on, where that is known and they are here."""

    sketched: Mapping[str, Any]
    sketch_rows: pl.DataFrame

    @classmethod
    def of(cls, request: StageRequest, contract: Contract, loaded: LoadedModel, told: Mapping[str, Any]) -> _AdoptedRows:  # type: ignore[override]
        """The rows of the request's feature snapshot.

        Raises:
            StageError: where the model reads other features, or learnt other classes.
        """
        rows = TrainingRows.of(request, contract)
        names = rows.about["feature_names"]
        if wrong := differing_features(loaded, rows.snapshot.train.schema, names):
            said = "; ".join(f"{one['feature']}: the model {one['model']}, features {one['features']}" for one in wrong[:10])
            raise StageError(
                f"{told['source']} does not read what features gives: {said}",
                where=f"features {contract.features}",
                remedy="make features give exactly the model's columns, in its order, or give the model the right signature",
            )
        _refuse_other_classes(loaded, rows.labels.classes, contract)
        train, holdout = rows.snapshot.train, rows.snapshot.holdout
        encoding = adopted_encoding(loaded, [train, holdout], names)
        sketched, chosen = _sketched(contract, train, told)
        return cls(
            rows.snapshot, encoding, encoding.matrix(train), rows.labels, encoding.matrix(holdout), rows.judged, sketched, chosen
        )

    def sketch(self) -> Sketch:
        """See :class:`~retrain_assets.compute.stages.candidate.LearningRows`."""
        return sketch_frame(self.sketch_rows, columns=list(self.encoding.names))


@dataclass(frozen=True, slots=True)
class _Agreement:
    scores: Floats
    difference: float
    how: str

    def to_json(self) -> dict[str, Any]:
        return {"with": self.how, "rows": len(self.scores), "largest_difference": self.difference, "allowed": AGREES}


def _agreement(loaded: LoadedModel, predictor: Predictor, contract: Contract, rows: TrainingRows) -> _Agreement:
    theirs, how = loaded.scores(as_mlflow_reads(loaded, rows.holdout, rows.encoding), contract.task)
    ours = usable_scores(predictor.predict(rows.unseen), len(rows.unseen), contract, rows.labels)
    difference = largest_difference(ours, theirs)
    assert difference is not None  # both are there
    if not difference <= AGREES:
        raise StageError(
            f"the bundle's scores differ from MLflow's by up to {difference:.3g} on {len(ours):,} rows ({how})",
            where=str(loaded.about.directory),
            remedy="see that features fills missing values and writes categories as it was done when the model was fitted",
        )
    return _Agreement(theirs, difference, how)


def _refuse_other_classes(loaded: LoadedModel, classes: tuple[str | int, ...], contract: Contract) -> None:
    learnt = getattr(loaded.raw, "classes_", None)
    if learnt is None or contract.task == "regression":
        return
    known = [int(one) if isinstance(one, (bool, np.bool_, int, np.integer)) else str(one) for one in learnt]
    if known != list(classes):
        raise StageError(
            f"learnt the classes {known}, the label has {list(classes)}",
            where=f"label {contract.source.label}",
            remedy="write the label as it was when the model was fitted",
        )


def _trained_on(told: Mapping[str, Any]) -> dict[str, str | None]:
    start, end = told["trained_on"] or (None, None)
    return {"train_start": start, "train_end": end}


def _sketched(contract: Contract, train: pl.DataFrame, told: Mapping[str, Any]) -> tuple[dict[str, Any], pl.DataFrame]:
    """Which rows stand for those the model was fitted on, in words and themselves."""
    time = train[contract.source.event_time]
    why = "window.train of the contract; whether the model was fitted on these rows is not known"
    chosen = train
    if told["trained_on"] is not None:
        start, end = (datetime.fromisoformat(moment) for moment in told["trained_on"])
        moments = time.cast(pl.Datetime("us")) if time.dtype == pl.Date or not getattr(time.dtype, "time_zone", None) else time
        zone = getattr(moments.dtype, "time_zone", None)
        first, last = (moment if zone else moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end))
        within = train.filter((moments >= first) & (moments < last))
        if within.height:
            chosen, why = within, "rows of the source in the window that the model was fitted on, as --trained-on says"
        else:
            why = "window.train of the contract, which has no row of the window that the model was fitted on"
    seen = chosen[contract.source.event_time]
    return {"rows": chosen.height, "from": str(seen.min()), "to": str(seen.max()), "of": why}, chosen
