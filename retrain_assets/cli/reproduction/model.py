"""Steps 3 and 4: the candidate fitted again, its evaluation, and gates training and offline on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from retrain_assets.bundle import Manifest
from retrain_assets.cli.reproduction.bench import CANDIDATE, GATES, Bench
from retrain_assets.cli.reproduction.causes import places_differ, surroundings
from retrain_assets.cli.reproduction.results import Cause, CauseKind, Depth, Result, Status, compared, skipped
from retrain_assets.cli.reproduction.verdicts import Record, gate_records, judged_again, own_as_recorded
from retrain_assets.compute.local import content_digest
from retrain_assets.compute.request import StageResult
from retrain_assets.contract import CustodyError, Gate, RetrainError
from retrain_assets.gates import OfflineEvaluation, TrainingEvidence, offline_gate, training_gate
from retrain_assets.gates.training import recorded as recorded_items


def candidate_results(bench: Bench) -> Iterator[Result]:
    """The stored bundle, the same fitted again, gate training."""
    candidate = bench.stored.known.candidate
    if candidate is None:
        yield skipped(
            CANDIDATE,
            "stored bundle",
            f"the retrain has none ({bench.stored.known.failure or 'it ended before its training'})",
        )
        return
    yield _stored_bundle(bench, candidate.bundle)
    result = bench.stored.stage("training")
    records = gate_records(bench.stored, Gate.TRAINING)
    for record in records:
        if result is None:
            yield skipped(GATES, "gate training, on what was measured", "the stage's result is gone", record.digest, missing=True)
            continue
        evidence = TrainingEvidence.from_json(result.metadata["evidence"])
        contract = bench.contract_of(record)
        verdicts = [*training_gate(evidence, contract=contract), *own_as_recorded(record, contract, Gate.TRAINING)]
        yield judged_again(GATES, "gate training, on what was measured", record, verdicts, _of_result(bench, "training", record))
    if bench.depth is Depth.FAST:
        yield skipped(CANDIDATE, "features → candidate", "--fast fits nothing", candidate.bundle)
        return
    if missing := [name for name in ("dataset", "features") if name not in bench.inputs]:
        yield skipped(
            CANDIDATE, "features → candidate", f"{' and '.join(missing)} not as recorded", candidate.bundle, missing=True
        )
        return
    try:
        made = bench.run(
            "training",
            {name: bench.inputs[name] for name in ("features", "dataset")} | _adopted(bench),
            contract=bench.contract_of(next(iter(records), None)),
        )
    except RetrainError as error:
        yield Result(CANDIDATE, "features → candidate", Status.DIFFERENT, candidate.bundle, None, error.line, bench.causes)
        return
    yield _fitted(bench, made, candidate.bundle)
    for record in records:
        contract = bench.contract_of(record)
        own = {one.check for one in contract.gates.own_in(Gate.TRAINING.value)}
        found = [one for one in made.verdicts_of(Gate.TRAINING) if one.check in own]
        verdicts = [*training_gate(_measured_again(bench, made), contract=contract), *found]
        yield judged_again(
            GATES,
            "gate training, fitted again",
            record,
            verdicts,
            bench.with_contract(record, _of_fit(bench, made)),
            clock=True,
        )


def _adopted(bench: Bench) -> dict[str, Path]:
    """The files of a model that was adopted; they are the input its bundle was made of, and nothing is fitted.

    Raises:
        CustodyError: when they are gone, or not those that were adopted.
    """
    trigger = bench.stored.known.trigger
    if trigger.get("kind") != "adopted":
        return {}
    folder = bench.stored.home.stage_dir(bench.stored.model, bench.stored.retrain, "adopted")
    model = folder / "model"
    if not model.exists() or content_digest(model) != trigger["files"]:
        what = "are not the files that were adopted" if model.exists() else "is gone: the model's files as they were adopted"
        raise CustodyError(what, where=str(model), remedy=f"adopt {trigger['source']} again to fetch them")
    return {"adopted": folder}


def evaluation_results(bench: Bench) -> Iterator[Result]:
    """The stored evaluation, the same made again, gate offline."""
    records = gate_records(bench.stored, Gate.OFFLINE)
    if not records:
        yield skipped(GATES, "gate offline", "it was never judged")
        return
    result = bench.stored.stage("evaluation")
    for record in records:
        if result is None:
            yield skipped(GATES, "gate offline, on what was measured", "the stage's result is gone", record.digest, missing=True)
            continue
        found = OfflineEvaluation.from_json(result.metadata["evaluation"])
        contract = bench.contract_of(record)
        verdicts = [*offline_gate(found, contract), *own_as_recorded(record, contract, Gate.OFFLINE)]
        yield judged_again(GATES, "gate offline, on what was measured", record, verdicts, _of_result(bench, "evaluation", record))
    recorded = result.outputs["evaluation"]["digest"] if result is not None else None
    if recorded is not None:
        yield bench.kept(GATES, "stored evaluation", "evaluation", recorded, file="evaluation.json")
    if bench.depth is Depth.FAST:
        yield skipped(GATES, "candidate → evaluation", "--fast fits no back-tests", recorded)
        return
    yield from _evaluated(bench, records, recorded)


def _stored_bundle(bench: Bench, recorded: str) -> Result:
    try:
        directory, manifest = bench.stored.bundles.verified(recorded)
    except RetrainError as error:
        cause = Cause(CauseKind.STAGE_OUTPUT, error.line)
        return Result(CANDIDATE, "stored bundle", Status.DIFFERENT, recorded, None, causes=(cause,))
    bench.inputs["bundle"] = directory
    return compared(CANDIDATE, "stored bundle", recorded, manifest.digest)


def _fitted(bench: Bench, made: StageResult, recorded: str) -> Result:
    """The bundle fitted again; what its manifest says of the place it was fitted in is the recorded one's, and told."""
    here = Manifest.from_json(made.metadata["manifest"])
    known = bench.stored.manifest
    if known is None:
        return compared(CANDIDATE, "features → candidate", recorded, here.digest, _of_fit(bench, made))
    again = replace(here, code=known.code, environment=known.environment)
    differ = places_differ(bench.stored)
    why = f"made elsewhere, with the place left aside: {', '.join(differ)}" if differ else ""
    files = [name for name in {**known.files, **again.files} if known.files.get(name) != again.files.get(name)]
    if files:
        why = f"files that differ: {', '.join(sorted(files))}" + (f"; {why}" if why else "")
    return compared(CANDIDATE, "features → candidate", recorded, again.digest, _of_fit(bench, made), why=why)


def _measured_again(bench: Bench, made: StageResult) -> TrainingEvidence:
    """What the fit measured; what its manifest says of the place is the recorded one's, as for the bundle."""
    evidence, known = TrainingEvidence.from_json(made.metadata["evidence"]), bench.stored.manifest
    if known is None:
        return evidence
    again = replace(Manifest.from_json(made.metadata["manifest"]), code=known.code, environment=known.environment)
    return replace(evidence, recorded=recorded_items(again.to_json()))


def _evaluated(bench: Bench, records: list[Record], recorded: str | None) -> Iterator[Result]:
    if missing := [name for name in ("dataset", "features", "bundle") if name not in bench.inputs]:
        yield skipped(GATES, "candidate → evaluation", f"{' and '.join(missing)} not as recorded", recorded, missing=True)
        return
    inputs = {"dataset": bench.inputs["dataset"], "features": bench.inputs["features"], "candidate": bench.inputs["bundle"]}
    opponent = records[-1].event.payload["subjects"].get("champion")
    try:
        if opponent is not None:
            inputs["champion"] = bench.stored.bundles.verified(opponent)[0]
        made = bench.run(
            "evaluation", inputs, contract=bench.contract_of(records[-1]), parameters={} if opponent else {"bootstrap": True}
        )
    except RetrainError as error:
        yield Result(GATES, "candidate → evaluation", Status.DIFFERENT, recorded, None, error.line, bench.causes)
        return
    if recorded is not None:
        yield compared(GATES, "candidate → evaluation", recorded, made.outputs["evaluation"]["digest"], bench.causes)
    for record in records:
        verdicts, causes = made.verdicts_of(Gate.OFFLINE), bench.with_contract(record, bench.causes)
        yield judged_again(GATES, "gate offline, evaluated again", record, verdicts, causes, clock=True)


def _of_result(bench: Bench, stage: str, record: Record) -> tuple[Cause, ...]:
    path = bench.stored.output(stage, "result.json")
    changed = Cause(CauseKind.STAGE_OUTPUT, f"{path} was changed: what it says was measured gives other verdicts")
    return bench.with_contract(record, surroundings(bench.stored) or (changed,))


def _of_fit(bench: Bench, made: StageResult) -> tuple[Cause, ...]:
    evidence = TrainingEvidence.from_json(made.metadata["evidence"])
    if evidence.refit_same_digest is False:
        estimator = bench.stored.contract.trainer.estimator
        text = f"two fits of {estimator} on the same rows, here and now, differ from each other"
        return (Cause(CauseKind.NOT_DETERMINISTIC, text), *surroundings(bench.stored))
    return bench.causes
