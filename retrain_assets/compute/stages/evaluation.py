"""Stage ``evaluation``: candidate and champion on the same hold-out rows, and the recipe at earlier cut-offs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Bundle, load_bundle
from retrain_assets.compute.code import import_path, source_digest
from retrain_assets.compute.frames import read_tables
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.backtests import backtests
from retrain_assets.compute.stages.building import build_features
from retrain_assets.compute.stages.features import read_features
from retrain_assets.compute.stages.latency import latency_of
from retrain_assets.contract import Contract, Gate, StageError, canonical_json, sha256_hex
from retrain_assets.gates import evaluate, offline_gate

Floats = npt.NDArray[np.float64]


def evaluation(request: StageRequest) -> StageResult:
    """Judge the candidate on the hold-out.

    Inputs: ``dataset``, ``features``, ``candidate`` (bundle directory), and ``champion`` (bundle directory), which may be absent
    only with parameter ``bootstrap: true``. Output ``evaluation``: ``evaluation.json`` with the digests of what was
    compared and every number the gate judges, the bins of the reliability diagram among them; the measured latency is in
    metadata and verdict only, so that the same inputs give the same file. Verdicts: gate offline.

    Raises:
        StageError: without a champion outside a bootstrap; when the candidate was made from another data set; when the
            champion cannot be scored on these rows.
        CustodyError: when a bundle is not what its manifest says.
    """
    contract = request.parsed_contract()
    snapshot = read_features(request)
    about, frame = snapshot.about, snapshot.holdout
    rows = _rows(request, about)
    candidate = _candidate(request, about)
    champion = _champion(request)
    theirs, how = _champion_scores(champion, candidate, rows, frame, about, contract) if champion else (None, None)

    earlier = backtests(snapshot.train, about, contract)
    latency = latency_of(candidate.score, frame)
    found = evaluate(
        rows.hstack(frame.select(name for name in frame.columns if name not in rows.columns)),
        candidate.score(frame),
        theirs,
        contract=contract,
        seed=contract.trainer.seed,
        bootstrap=champion is None,
        classes=candidate.manifest.classes or None,
        backtests=earlier.found,
        latency_ms=latency.median_ms if latency else None,
        latency_p95_ms=latency.p95_ms if latency else None,
        size_mb=_size_mb(request.input("candidate")),
    )
    document: dict[str, Any] = {
        "model": request.model,
        "retrain": request.retrain,
        "candidate": candidate.digest,
        "champion": champion.digest if champion else None,
        "champion_features": how,
        "dataset": about["dataset"],
        "feature_pipeline": about["feature_pipeline"],
        "evaluation": replace(found, latency_ms=None, latency_p95_ms=None).to_json(),
    }
    path = request.directory / "evaluation.json"
    request.directory.mkdir(parents=True, exist_ok=True)
    data = canonical_json(document)
    path.write_bytes(data)
    metadata = {**document, "evaluation": found.to_json(), "seconds": earlier.seconds}
    outputs = {"evaluation": (path, "sha256:" + sha256_hex(data))}
    return answer(request, outputs, metadata, {Gate.OFFLINE: offline_gate(found, contract)})


def _rows(request: StageRequest, about: Mapping[str, Any]) -> pl.DataFrame:
    data = read_tables(request.input("dataset"))
    if data.digest != about["dataset"]:
        raise _stale(request, f"hold-out rows are of data set {data.digest}, the features of {about['dataset']}")
    return data.holdout


def _candidate(request: StageRequest, about: Mapping[str, Any]) -> Bundle:
    candidate = load_bundle(request.input("candidate"))
    if candidate.manifest.dataset != about["dataset"]:
        raise _stale(request, f"candidate was made from data set {candidate.manifest.dataset}, not {about['dataset']}")
    return candidate


def _stale(request: StageRequest, what: str) -> StageError:
    where = f"evaluation of {request.model} {request.retrain}"
    return StageError(what, where=where, remedy="run features and training of this retrain again")


def _champion(request: StageRequest) -> Bundle | None:
    bootstrap = request.parameters.get("bootstrap") is True
    if "champion" not in request.inputs and not bootstrap:
        raise StageError(
            "there is no champion to compare with",
            where=f"evaluation of {request.model} {request.retrain}",
            remedy="bootstrap a first champion, or pass the champion's bundle",
        )
    if "champion" in request.inputs and bootstrap:
        raise StageError(
            "a bootstrap was asked for although there is a champion",
            where=f"evaluation of {request.model} {request.retrain}",
            remedy="leave bootstrap out, so that the candidate is compared",
        )
    return None if bootstrap else load_bundle(request.input("champion"))


def _champion_scores(
    champion: Bundle, candidate: Bundle, rows: pl.DataFrame, frame: pl.DataFrame, about: Mapping[str, Any], contract: Contract
) -> tuple[Floats, str]:
    """The champion's scores on features made as it was trained, where that code is still here; and how they were made.

    In this order: the same feature pipeline; the champion's own feature function, when its source is unchanged; the
    candidate's feature frame, when it has all the champion's columns; the champion's feature function as it is now.
    """
    manifest = champion.manifest
    if (manifest.task, manifest.classes) != (candidate.manifest.task, candidate.manifest.classes):
        raise StageError(
            f"champion predicts {manifest.task} {list(manifest.classes)}, candidate {candidate.manifest.task} "
            f"{list(candidate.manifest.classes)}",
            where=f"champion {champion.digest}",
            remedy="models of different classes cannot be compared; release the new one as a model of its own",
        )
    if manifest.feature_pipeline == about["feature_pipeline"]:
        return champion.score(frame), "same feature pipeline"
    try:
        unchanged = source_digest(manifest.feature_function, "the champion's features") == manifest.feature_pipeline
    except StageError:
        unchanged = False
    if unchanged:
        return champion.score(_rebuilt(manifest.feature_function, rows, contract)), "champion's own feature pipeline"
    if set(manifest.feature_names) <= set(frame.columns):
        return champion.score(frame), "candidate's features, which have all the champion's columns"
    try:
        return champion.score(_rebuilt(manifest.feature_function, rows, contract)), "champion's feature function, changed since"
    except StageError as error:
        raise StageError(
            f"cannot be scored on these rows: {error.what}",
            where=f"champion {champion.digest}",
            remedy=f"keep {manifest.feature_function} and the features {', '.join(manifest.feature_names)} until it is replaced",
        ) from error


def _rebuilt(path: str, rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    return build_features(import_path(path, "the champion's features"), rows, contract.source, path)


def _size_mb(directory: Path) -> float:
    """All files of a bundle together, in MiB."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 2**20
