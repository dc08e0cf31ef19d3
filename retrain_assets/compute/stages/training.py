"""Stage ``training``: fit, calibrate, store, try in a clean process, fit again; the bundle and the evidence that it is sound."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain_assets.bundle import Predictor
from retrain_assets.compute.clean_process import CleanAnswer, in_clean_process, in_one_file
from retrain_assets.compute.code import code_folders
from retrain_assets.compute.estimator import fits_at_once, is_fitted_by_spark, needs_spark, room_beside_a_fit
from retrain_assets.compute.fitting import quiet_fits, raw_scores
from retrain_assets.compute.peak_memory import peak_memory
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.side_by_side import Timed, side_by_side, timed, usable_cores
from retrain_assets.compute.stages.adopting import ADOPTED, adopted
from retrain_assets.compute.stages.candidate import Candidate, LearningRows, TrainingRows, store_candidate
from retrain_assets.compute.stages.measuring import judged, largest_difference, losses, signatures
from retrain_assets.compute.stages.reference import holdout_metrics
from retrain_assets.contract import Contract, sha256_hex
from retrain_assets.gates import TrainingEvidence
from retrain_assets.gates.training import recorded

Floats = npt.NDArray[np.float64]


def training(request: StageRequest) -> StageResult:
    """Make the candidate.

    Input ``features``, and ``dataset`` where segments are to be looked up that are no features; with input ``adopted`` nothing is
    fitted, see :func:`~retrain_assets.compute.stages.adopting.adopted`. Output ``bundle``: the bundle's
    directory, its digest that of the manifest. Cost: one fit alone, so that its time and memory are its own; then, side by side
    where cores allow, three quarters of one for calibration, after which the stored bundle is tried in a clean process, and one
    more to see whether a fit repeats. Metadata ``seconds`` has the time of each. Verdicts: gate training.

    Raises:
        StageError: when the training window has no rows or one class, the estimator raises or gives no usable scores, or the
            model cannot be stored without pickle.
    """
    contract = request.parsed_contract()
    if ADOPTED in request.inputs:
        return adopted(request, contract)
    if is_fitted_by_spark(contract.trainer):
        raise needs_spark(f"trainer.estimator {contract.trainer.estimator}")
    rows = TrainingRows.of(request, contract)
    with in_one_file(request.input("features") / "holdout.parquet") as holdout:
        return trained(request, contract, rows, holdout)


def trained(request: StageRequest, contract: Contract, rows: LearningRows, holdout: Path) -> StageResult:
    """The candidate of some rows and the evidence about it, wherever the rows are.

    Args:
        request: what was asked.
        contract: its contract.
        rows: the rows.
        holdout: Parquet file with the features of the hold-out, for the clean process.
    """
    fit = partial(rows.fit, contract)
    workers = fits_at_once(contract.trainer)
    with quiet_fits(), ThreadPoolExecutor(1, thread_name_prefix="clean process") as background:
        with peak_memory() as memory:
            first = timed(fit)

        def complete() -> tuple[Candidate, float, Future[Timed[CleanAnswer]] | Callable[[], CleanAnswer]]:
            calibration = timed(partial(rows.fit_calibration, contract))
            made = store_candidate(request, contract, rows, first.value, calibration.value)
            code = code_folders(made.manifest)
            trial = partial(in_clean_process, made.directory, made.manifest.digest, holdout, code=code)
            return made, calibration.seconds, background.submit(timed, trial) if room_beside_a_fit(contract.trainer) else trial

        tasks: list[Callable[[], Any]] = [complete, fit]
        completed, second = side_by_side(tasks, workers)
        candidate, calibration_s, trial = completed.value
        tried = trial.result() if isinstance(trial, Future) else timed(trial)
        again = raw_scores(second.value, rows.unseen, contract, rows.labels)
    metrics = holdout_metrics(candidate.scores, rows.judged, contract)
    evidence = TrainingEvidence(
        duration_s=first.seconds + calibration_s,
        memory_mb=memory.mb,
        memory_of=memory.of,
        load_error=tried.value.error,
        artifact_loaded=tried.value.error is None,
        reload_max_difference=largest_difference(tried.value.scores, candidate.scores),
        refit_same_digest=_same_files(second.value, candidate),
        refit_max_difference=largest_difference(again, candidate.raw_scores),
        metrics=metrics,
        refit_metrics=holdout_metrics(candidate.calibration.apply(again), rows.judged, contract),
        **losses(contract, rows, candidate.scores),
        recorded=recorded(candidate.manifest.to_json()),
        signatures=signatures(contract, rows, tried.value),
    )
    return judged(
        request,
        contract,
        rows,
        candidate,
        evidence,
        seconds={
            "fit": first.seconds,
            "calibration": calibration_s,
            "refit": second.seconds,
            "clean process": tried.seconds,
        },
        machine={"cores": os.cpu_count(), "usable cores": usable_cores(), "fits side by side": min(workers, 2)},
        cost=_cost(contract, first.seconds + calibration_s),
    )


def _cost(contract: Contract, seconds: float) -> dict[str, Any] | None:
    """What the training time costs; None where the contract says nothing about money."""
    if (economics := contract.economics) is None:
        return None
    rate = economics.training_cost_per_hour
    return {"amount": rate * seconds / 3600, "currency": economics.currency, "per_hour": rate, "seconds": seconds}


def _same_files(predictor: Predictor, candidate: Candidate) -> bool:
    name, data = predictor.file()
    return candidate.manifest.files.get(name) == sha256_hex(data)
