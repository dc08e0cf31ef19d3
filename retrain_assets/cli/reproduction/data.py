"""Steps 1 and 2: the data set and its features, and gate data on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrain_assets.cli.reproduction.as_of import Moment, ways
from retrain_assets.cli.reproduction.bench import DATA, FEATURES, GATES, Bench
from retrain_assets.cli.reproduction.causes import feature_code
from retrain_assets.cli.reproduction.results import Cause, CauseKind, Depth, Result, Status, compared, skipped
from retrain_assets.cli.reproduction.rows_changed import rows_changed
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.cli.reproduction.verdicts import Record, gate_records, judged_again
from retrain_assets.compute.code import source_digest
from retrain_assets.compute.local import content_digest
from retrain_assets.compute.request import StageResult
from retrain_assets.compute.stages.source import only_files
from retrain_assets.contract import Gate, RetrainError
from retrain_assets.contract.unit_names import UnitNames


def dataset_results(bench: Bench) -> Iterator[Result]:
    """The stored snapshot, the same taken again, gate data on the source rows."""
    recorded = bench.stored.subjects.get("dataset")
    if recorded is None:
        yield skipped(DATA, "stored snapshot", f"the retrain has none ({bench.stored.known.failure or 'its stage was not run'})")
        return
    yield bench.kept(DATA, "stored snapshot", "dataset", recorded)
    if bench.depth is Depth.FULL:
        yield from _from_source(bench, recorded)
    else:
        yield skipped(DATA, "taken from the source again", "--full takes it", recorded)
        yield from _judged_from_snapshot(bench)


def feature_results(bench: Bench) -> Iterator[Result]:
    """The feature code, the stored features, the same built again, gate data on them."""
    result, pipeline = bench.stored.stage("features"), bench.stored.subjects.get("features")
    if pipeline is None:
        yield skipped(
            FEATURES, "stored snapshot", f"the retrain has none ({bench.stored.known.failure or 'it ended before them'})"
        )
        return
    code = tuple(feature_code(bench.stored))
    try:
        yield compared(FEATURES, "feature code", pipeline, source_digest(bench.stored.contract.features, "features"), code)
    except RetrainError as error:
        yield Result(FEATURES, "feature code", Status.DIFFERENT, pipeline, None, error.line, code)
    recorded = result.outputs["features"]["digest"] if result is not None else None
    if recorded is None:
        yield skipped(FEATURES, "stored snapshot", "the stage's result is gone", missing=True)
    else:
        yield bench.kept(FEATURES, "stored snapshot", "features", recorded)
    if "dataset" not in bench.inputs:
        yield skipped(FEATURES, "data set → features", "the data set is not what was recorded", recorded, missing=True)
        return
    record = next((one for one in gate_records(bench.stored, Gate.DATA) if "features" in one.event.payload["subjects"]), None)
    try:
        made = bench.run("features", {"dataset": bench.inputs["dataset"]}, contract=bench.contract_of(record))
    except RetrainError as error:
        yield Result(FEATURES, "data set → features", Status.DIFFERENT, recorded, None, error.line, bench.causes)
        return
    digest = made.outputs["features"]["digest"]
    if recorded is not None:
        yield compared(FEATURES, "data set → features", recorded, digest, bench.causes)
        if digest == recorded:
            bench.inputs.setdefault("features", Path(made.outputs["features"]["uri"]))
    if record is not None:
        yield judged_again(
            GATES, "gate data, features", record, made.verdicts_of(Gate.DATA), bench.with_contract(record, bench.causes)
        )


def _from_source(bench: Bench, recorded: str) -> Iterator[Result]:
    """The snapshot again, and its gate on it, from the files of the source that were there when it was taken."""
    record = next((one for one in gate_records(bench.stored, Gate.DATA) if "features" not in one.event.payload["subjects"]), None)
    event = record.event if record is not None else bench.stored.events[0]
    source, best = bench.stored.contract.source, None
    for way in ways():
        try:
            with only_files(Moment.of(event).keeps(way, source.event_time, source.label_delay)):
                made = bench.run(
                    "dataset", {}, contract=bench.contract_of(record), parameters=_asked(bench), folder=f"dataset {way.name}"
                )
        except RetrainError as error:
            if best is None:
                failed = skipped(DATA, "taken from the source again", error.line, recorded, missing=True)
            continue
        gate = _data_gate(bench, record, made) if record is not None else None
        if best is None or (made.outputs["dataset"]["digest"] == recorded):
            best = (made, gate)
        if made.outputs["dataset"]["digest"] == recorded and (gate is None or gate.status is Status.EQUAL):
            break
    if best is None:
        yield failed
        return
    made, gate = best
    digest, folder = made.outputs["dataset"]["digest"], Path(made.outputs["dataset"]["uri"])
    causes = () if digest == recorded else (rows_changed(bench.inputs.get("dataset"), folder, source), *bench.causes)
    yield compared(DATA, "taken from the source again", recorded, digest, causes)
    if digest == recorded:
        bench.inputs.setdefault("dataset", folder)
    if gate is not None:
        yield gate


def _data_gate(bench: Bench, record: Record, made: StageResult) -> Result:
    causes = (Cause(CauseKind.SOURCE, "rows that the snapshot left out are others now"), *bench.causes)
    return judged_again(GATES, "gate data, source rows", record, made.verdicts_of(Gate.DATA), bench.with_contract(record, causes))


def _judged_from_snapshot(bench: Bench) -> Iterator[Result]:
    """Gate data on the snapshot and the rows it left out, where they are kept."""
    from retrain_assets.compute.frames import read_tables
    from retrain_assets.compute.stages.dataset import judged_dataset, read_left_out

    for record in gate_records(bench.stored, Gate.DATA):
        if "features" in record.event.payload["subjects"]:
            continue
        what, left_out = "gate data, source rows", bench.stored.output("dataset", "left_out")
        if "dataset" not in bench.inputs:
            yield skipped(GATES, what, "its snapshot is not what was recorded", record.digest, missing=True)
        elif not left_out.is_dir():
            yield skipped(
                GATES, what, "the rows the snapshot left out were not kept then; --full reads the source", record.digest
            )
        else:
            contract, result = bench.contract_of(record), bench.stored.stage("dataset")
            changed = _changed(left_out, result, "left_out")
            tables, names = read_tables(bench.inputs["dataset"]), UnitNames(bench.stored.unit_key)
            history, retrain = _asked(bench)["history"], bench.stored.retrain
            verdicts = judged_dataset(tables, read_left_out(left_out), contract, history, names, retrain=retrain)
            yield judged_again(GATES, what, record, verdicts, (*changed, *bench.with_contract(record, bench.causes)))


def _asked(bench: Bench) -> dict[str, Any]:
    """What the data set stage was asked: its cut-off, and the earlier data sets it was compared with."""
    result = bench.stored.stage("dataset")
    told = result.metadata if result is not None else {}
    history = []
    for key in told.get("compared_with", ()):
        earlier = Stored(bench.stored.home, bench.stored.model, key, bench.stored.ledger).stage("dataset")
        history += [earlier.metadata["as_history"]] if earlier is not None else []
    window = told.get("window") or (bench.stored.manifest.window if bench.stored.manifest is not None else {})
    asked = {"cutoff": window.get("holdout_end", f"{bench.stored.retrain[:10]}T00:00:00+00:00"), "history": history}
    source = told.get("source")
    return asked if source is None else {**asked, "source_version": source["version"]}


def _changed(path: Path, result: StageResult | None, name: str) -> tuple[Cause, ...]:
    if result is None or name not in result.outputs or content_digest(path) == result.outputs[name]["digest"]:
        return ()
    return (Cause(CauseKind.STAGE_OUTPUT, f"{path} was changed"),)
