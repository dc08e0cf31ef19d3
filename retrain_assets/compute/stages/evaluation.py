"""Stage ``evaluation``: candidate and champion on the same hold-out rows, and the recipe at earlier cut-offs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.bundle import Bundle, load_bundle
from retrain_assets.compute.code import import_path, source_digest
from retrain_assets.compute.frames import read_tables
from retrain_assets.compute.own_code import own_measures
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.backtests import Backtests, backtests
from retrain_assets.compute.stages.building import build_features
from retrain_assets.compute.stages.features import read_features
from retrain_assets.compute.stages.latency import Latency, latency_of
from retrain_assets.compute.stages.scored import ChampionFeatures, Scored, own_offline_verdicts
from retrain_assets.contract import Contract, Gate, StageError, canonical_json, sha256_hex
from retrain_assets.gates import evaluate, offline_gate
from retrain_assets.gates.offline.evaluation import problem_of


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
    candidate, champion = compared_bundles(request, about)
    theirs, how = None, None
    if champion is not None:
        how = champion_features(champion, candidate, about, frame.columns)
        theirs = champion.score(frame if how.of_snapshot else rebuilt(champion, rows, contract, how))
    return judged(
        request,
        contract,
        about,
        Scored(
            rows=rows.hstack(frame.select(name for name in frame.columns if name not in rows.columns)),
            candidate=candidate,
            champion=champion,
            scores=candidate.score(frame),
            champion_scores=theirs,
            champion_features=how,
        ),
        backtests(snapshot.train, about, contract, lambda: read_tables(request.input("dataset")).train),
        latency_of(candidate.score, frame),
    )


def judged(
    request: StageRequest,
    contract: Contract,
    about: Mapping[str, Any],
    scored: Scored,
    earlier: Backtests,
    latency: Latency | None,
) -> StageResult:
    """What gate offline says of the scores, and the stage's answer, whichever engine scored.

    Args:
        request: what was asked.
        contract: its contract.
        about: facts of the feature snapshot.
        scored: the hold-out with the scores.
        earlier: back-tests.
        latency: of one row; None without rows.
    """
    candidate, champion = scored.candidate, scored.champion
    own, broken = own_measures(contract, lambda: scored.rows)
    problems = {problem_of(name): why for name, why in broken.items()}
    found = evaluate(
        scored.rows,
        scored.scores,
        scored.champion_scores,
        contract=contract,
        seed=contract.trainer.seed,
        bootstrap=champion is None,
        classes=candidate.manifest.classes or None,
        backtests=earlier.found,
        latency_ms=latency.median_ms if latency else None,
        latency_p95_ms=latency.p95_ms if latency else None,
        size_mb=_size_mb(request.input("candidate")),
        own_metrics=own,
        problems={**problems, **({"backtests": earlier.problem} if earlier.problem else {})},
    )
    document: dict[str, Any] = {
        "model": request.model,
        "retrain": request.retrain,
        "candidate": candidate.digest,
        "champion": champion.digest if champion else None,
        "champion_features": scored.champion_features.value if scored.champion_features else None,
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
    verdicts = [*offline_gate(found, contract), *own_offline_verdicts(request, contract, scored, found)]
    return answer(request, outputs, metadata, {Gate.OFFLINE: verdicts})


def compared_bundles(request: StageRequest, about: Mapping[str, Any]) -> tuple[Bundle, Bundle | None]:
    """Candidate and champion of a request; no champion in a bootstrap.

    Raises:
        StageError: when there is no champion outside a bootstrap, or the candidate is of another data set.
        CustodyError: when a bundle is not what its manifest says.
    """
    return _candidate(request, about), _champion(request)


def champion_features(
    champion: Bundle, candidate: Bundle, about: Mapping[str, Any], columns: Collection[str]
) -> ChampionFeatures:
    """Which features the champion is scored on: those made as it was trained, where that code is still here.

    Args:
        champion: the champion.
        candidate: the candidate.
        about: facts of the feature snapshot.
        columns: columns of the snapshot.

    Raises:
        StageError: when the two do not predict the same.
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
        return ChampionFeatures.SAME
    try:
        unchanged = source_digest(manifest.feature_function, "the champion's features") == manifest.feature_pipeline
    except StageError:
        unchanged = False
    if unchanged:
        return ChampionFeatures.OWN
    return ChampionFeatures.CANDIDATES if set(manifest.feature_names) <= set(columns) else ChampionFeatures.CHANGED


def rebuilt(champion: Bundle, rows: pl.DataFrame, contract: Contract, how: ChampionFeatures) -> pl.DataFrame:
    """The champion's features of the hold-out rows, by its own function.

    Raises:
        StageError: when that function is not here, or does not make what the champion reads.
    """
    path = champion.manifest.feature_function
    try:
        built = build_features(import_path(path, "the champion's features"), rows, contract.source, path)
        champion.encoding.matrix(built.clear())
    except StageError as error:
        if how is ChampionFeatures.OWN:
            raise
        raise StageError(
            f"cannot be scored on these rows: {error.what}",
            where=f"champion {champion.digest}",
            remedy=f"keep {path} and the features {', '.join(champion.manifest.feature_names)} until it is replaced",
        ) from error
    return built


def _rows(request: StageRequest, about: Mapping[str, Any]) -> pl.DataFrame:
    data = read_tables(request.input("dataset"))
    if data.digest != about["dataset"]:
        raise stale(request, f"hold-out rows are of data set {data.digest}, the features of {about['dataset']}")
    return data.holdout


def _candidate(request: StageRequest, about: Mapping[str, Any]) -> Bundle:
    candidate = load_bundle(request.input("candidate"))
    if candidate.manifest.dataset != about["dataset"]:
        raise stale(request, f"candidate was made from data set {candidate.manifest.dataset}, not {about['dataset']}")
    return candidate


def stale(request: StageRequest, what: str) -> StageError:
    """The error of inputs that do not belong together."""
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


def _size_mb(directory: Path) -> float:
    """All files of a bundle together, in MiB."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 2**20
