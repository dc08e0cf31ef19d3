"""What the candidate was made of and how: data, features, code, environment, machine, training and its cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.contract import Gate
from retrain_assets.ledger import EventKind
from retrain_assets.reports.lineage.field import (
    NO_CANDIDATE,
    Field,
    Fields,
    Source,
    contract_of,
    manifest_source,
    of_event,
    stage_source,
    without_manifest,
    without_stage,
)
from retrain_assets.reports.record import Record

_STAGES = ("dataset", "features", "training", "evaluation")


def data_fields(record: Record) -> Fields:
    """Where the rows come from, which ones, what is predicted."""
    source, contract = record.contract.get("source", {}), contract_of(record)
    dataset = record.stages["dataset"].metadata if "dataset" in record.stages else {}
    window = record.manifest.get("window") or dataset.get("window") or {}
    where = manifest_source(record) if record.manifest else stage_source(record, "dataset")
    from_stage, why = stage_source(record, "dataset"), without_stage(record, "dataset")
    unreadable = "the contract cannot be read"
    yield Field("data.source", "Source", source.get("table") or source.get("uri"), contract, unreadable)
    files = "files have no versions" if "dataset" in record.stages else why
    yield Field("data.source_version", "Version of the source", _version(dataset.get("source")), from_stage, files)
    yield Field("data.schema", "Schema of the source", source.get("schema"), contract, unreadable)
    yield Field("data.unit", "Unit of a row", source.get("unit"), contract, unreadable)
    yield Field("data.label", "Label", _label(record), contract, unreadable)
    late = "no column is declared as known only after the prediction"
    yield Field(
        "data.known_later", "Columns known only after the prediction", source.get("known_after_prediction"), contract, late
    )
    yield Field("data.dataset", "Data set digest", *_subject(record, "dataset"), "no data set was made")
    for key, name, end in (
        ("data.train_start", "Training window starts", "train_start"),
        ("data.train_end", "Training window ends", "train_end"),
        ("data.holdout_end", "Held-out window ends", "holdout_end"),
    ):
        yield Field(key, name, window.get(end), where, why)
    rows = dataset.get("rows") or {}
    yield Field("data.train_rows", "Training rows", rows.get("train"), from_stage, why)
    yield Field("data.holdout_rows", "Held-out rows", rows.get("holdout"), from_stage, why)
    yield Field("data.left_out", "Rows left out, and why", dataset.get("left_out"), from_stage, why)
    none = "there was no earlier data set to compare with" if "dataset" in record.stages else why
    yield Field("data.compared_with", "Earlier data sets it was compared with", dataset.get("compared_with"), from_stage, none)


def _version(source: Mapping[str, Any] | None) -> str | None:
    """The version of a Delta table that was read, with what tells it from another; None where the source has none."""
    if source is None:
        return None
    made = f", {source['operation']} of {source['committed_at']}" if source.get("operation") else ""
    return f"{source['version']} of table {source['table_id']}{made}"


def code_fields(record: Record) -> Fields:
    """The code that made it."""
    manifest, where, why = record.manifest, manifest_source(record), without_manifest(record)
    features = record.stages["features"].metadata if "features" in record.stages else {}
    made = where if manifest else stage_source(record, "features")
    gone = without_stage(record, "features")
    function = manifest.get("feature_function") or features.get("feature_function")
    yield Field("features.function", "Feature function", function, made, gone)
    yield Field("features.pipeline", "Feature pipeline digest", *_subject(record, "features"), "no features were built")
    yield Field("features.names", "Features", manifest.get("feature_names") or features.get("feature_names"), made, gone)
    code, dirty = manifest.get("code") or {}, (manifest.get("code") or {}).get("dirty")
    checkout = record.stages["training"].metadata.get("checkout") if "training" in record.stages else None
    unknown = (checkout or {}).get("unknown")
    no_commit = f"not recorded: {unknown or 'outside a git checkout'}" if code else why
    yield Field("code.commit", "Code commit", code.get("commit"), where, no_commit)
    clean = None if dirty is None else "no: there were changes that are not in the commit" if dirty else "yes"
    yield Field("code.clean", "Working tree clean", clean, where, no_commit)
    repository = (checkout or {}).get("repository")
    no_origin = "not recorded: the checkout has no remote named origin" if checkout and not unknown else no_commit
    from_training = stage_source(record, "training")
    yield Field("code.repository", "Code repository", repository, from_training, no_origin)
    stage = next((name for name in _STAGES[::-1] if name in record.stages), None)
    product = record.stages[stage].run.get("product_digest") if stage else None
    yield Field("code.product", "Digest of the product's own code", product, stage_source(record, stage or "training"), why)


def environment_fields(record: Record) -> Fields:
    """What it ran in and on."""
    environment, where, why = record.manifest.get("environment") or {}, manifest_source(record), without_manifest(record)
    lock = environment.get("lock")
    locked = lock.get("digest") if lock else None
    no_lock = "not recorded: no lock file beside the code; the digest of the installed packages stands for it" if lock else why
    yield Field("environment.lock", "Lock file digest", locked, where, no_lock)
    yield Field("environment.lock_file", "Lock file", lock.get("file") if lock else None, where, no_lock)
    stage = "training" if "training" in record.stages else next((name for name in _STAGES if name in record.stages), "training")
    run: Mapping[str, Any] = record.stages[stage].run if stage in record.stages else {}
    from_stage, gone = stage_source(record, stage), without_stage(record, stage)
    installed = run.get("installed") or {}
    yield Field("environment.installed", "Digest of all installed packages", installed.get("digest"), from_stage, gone)
    count = len(installed.get("packages") or {}) or None
    yield Field("environment.installed_count", "Installed packages, listed in the evidence", count, from_stage, gone)
    python = environment.get("python") or run.get("python")
    yield Field("environment.python", "Python", python, where if environment else from_stage, why)
    yield Field(
        "environment.platform", "Platform", run.get("platform") or environment.get("platform"), from_stage if run else where, why
    )
    yield Field("environment.packages", "Packages that decide what it computes", environment.get("packages"), where, why)
    machine = run.get("machine") or {}
    yield Field("hardware.cpu", "Processor", machine.get("cpu"), from_stage, gone)
    cores = {"cores": machine["cores"], "usable": machine["usable_cores"]} if machine else None
    yield Field("hardware.cores", "Cores", cores, from_stage, gone)
    memory = machine.get("memory_mb")
    yield Field("hardware.memory", "Memory", None if memory is None else f"{memory:,} MiB", from_stage, gone)
    accelerators = (machine.get("accelerators") or "none") if machine else None
    yield Field("hardware.accelerators", "Accelerators", accelerators, from_stage, gone)
    yield from _databricks_fields(record)


def _databricks_fields(record: Record) -> Fields:
    """Job, run and cluster of each stage that Databricks ran."""
    told = {name: facts for name, stage in record.stages.items() if (facts := stage.run.get("databricks"))}
    where = Source("stage records")
    why = "no stage ran on Databricks" if record.stages else without_stage(record, "dataset")
    for key, name, fact in (
        ("databricks.jobs", "Databricks jobs", "job_id"),
        ("databricks.runs", "Databricks runs", "run_id"),
        ("databricks.clusters", "Databricks clusters", "cluster_id"),
    ):
        found = {stage: facts[fact] for stage, facts in told.items() if facts.get(fact) is not None}
        yield Field(key, name, found, where, "Databricks named none" if told else why)


def training_fields(record: Record) -> Fields:
    """What was fitted, how long that took and what it cost."""
    manifest, where, why = record.manifest, manifest_source(record), without_manifest(record)
    yield Field("training.estimator", "Estimator", manifest.get("estimator"), where, why)
    yield Field("training.library", "Estimator's library", (manifest.get("code") or {}).get("estimator"), where, why)
    yield Field("training.parameters", "Parameters", manifest.get("params"), where, why)
    yield Field("training.seed", "Seed", manifest.get("seed"), where, why)
    yield Field("training.threads", "Threads of the fit", (manifest.get("environment") or {}).get("threads"), where, why)
    yield Field("training.calibration", "Calibration", manifest.get("calibration"), where, why)
    decision = "the task takes no decision" if manifest else why
    yield Field("training.decision", "Decision rule", manifest.get("decision"), where, decision)
    yield Field("bundle.files", "Files of the bundle with their SHA-256", manifest.get("files"), where, why)
    stage = record.stages.get("training")
    from_stage, gone = stage_source(record, "training"), without_stage(record, "training")
    run: Mapping[str, Any] = stage.run if stage else {}
    yield Field("training.started", "Training stage began", run.get("started_at"), from_stage, gone)
    yield Field("training.ended", "Training stage ended", run.get("ended_at"), from_stage, gone)
    evidence = (stage.metadata.get("evidence") or {}) if stage else {}
    seconds = evidence.get("duration_s")
    yield Field("training.time", "Training time", None if seconds is None else f"{seconds:.1f} s", from_stage, gone)
    memory = evidence.get("memory_mb")
    yield Field("training.memory", "Memory at its peak", None if memory is None else f"{memory:,.0f} MiB", from_stage, gone)
    cost = stage.metadata.get("cost") if stage else None
    free = "not recorded: the contract has no economics" if stage and record.contract.get("economics") is None else gone
    yield Field("training.cost", "Training cost", _cost(cost), from_stage, free)
    judged = record.known.verdicts.get(Gate.TRAINING)
    refit = judged.checks.get("refit_reproduces") if judged else None
    said = refit.verdict.message if refit else None
    yield Field(
        "training.refit", "Whether a second fit gave the same", said, of_event(refit.sequence if refit else None), NO_CANDIDATE
    )


def _label(record: Record) -> dict[str, Any]:
    source = record.contract.get("source", {})
    known = {"column": source.get("label"), "known after": source.get("label_delay")}
    classes = list(record.manifest.get("classes") or ())
    return {**known, **({"classes": classes} if classes else {})} if source else {}


def _cost(cost: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not cost:
        return None
    return {"amount": round(cost["amount"], 6), "currency": cost["currency"], "an hour": cost["per_hour"]}


def _subject(record: Record, name: str) -> tuple[str | None, Source]:
    """The newest digest the ledger holds of a subject, and where: of the candidate, else of the gates."""
    registered = record.last(EventKind.CANDIDATE_REGISTERED)
    if registered is not None and name in record.known.subjects:
        return record.known.subjects[name], of_event(registered)
    found = [
        (gate.subjects[name], of_event(gate.latest.sequence)) for gate in record.known.verdicts.values() if name in gate.subjects
    ]
    return found[-1] if found else (None, of_event(None))
