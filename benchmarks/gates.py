"""All checks of gates data, training and offline on one million flights, against fitting the demo's model on them. Wall time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from benchmarks.measure import Row, Target, compared, interleaved
from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.clean_process import in_clean_process
from retrain_assets.compute.code import import_path
from retrain_assets.compute.fitting import fit_model
from retrain_assets.compute.frames import read_tables
from retrain_assets.compute.stages.candidate import TrainingRows
from retrain_assets.compute.stages.dataset import Windows, split
from retrain_assets.compute.stages.features import judged_features
from retrain_assets.compute.stages.latency import latency_of
from retrain_assets.compute.stages.source import read_source
from retrain_assets.contract import Contract, Outcome, Verdict
from retrain_assets.gates import (
    EarlierDataset,
    TrainingEvidence,
    data_gate,
    evaluate,
    offline_gate,
    training_gate,
)
from retrain_assets.replay.flights import flights_of_2013

NAME = "gates"
ROWS = 1_000_000
YEAR = timedelta(days=364)
"""A shift that keeps the day of the week."""
WARMING = 0.01
"""Degrees Fahrenheit by which a copied year is warmer than the one before it, so that no row of features stands twice."""
CUTOFF = datetime(2014, 1, 2, tzinfo=UTC)
HOLDOUT = timedelta(days=156)
MODEL = "retrain_assets.defs.flight_delay"
ALL = "all checks of gates 1 to 3 on what the stages hold in memory, s"
AGAINST = "fitting the demo's model on the same rows"


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return _measured(Path(folder))


def _measured(folder: Path) -> list[Row]:
    contract = _contract(folder)
    made = _road(folder, contract)
    gates = _gates(contract, made)
    bundle, features = made["training"].outputs["bundle"], made["features"].outputs["features"]
    clean = partial(in_clean_process, Path(bundle["uri"]), bundle["digest"], Path(features["uri"]) / "holdout.parquet")
    for name, work in gates.items():
        if broken := [verdict for verdict in work() if verdict.outcome is Outcome.ERROR]:
            raise RuntimeError(f"{name} was not judged: {broken[0].message}")
    if error := clean().error:
        raise RuntimeError(f"the clean process failed: {error}")
    rows = TrainingRows.of(_request(folder, contract, "training", made), contract)
    fit = partial(fit_model, contract, rows.encoding, rows.matrix, rows.labels)
    took = interleaved({"fit": fit, "clean": clean, **gates}, rounds=5, seconds=90)
    count = sum(made["dataset"].metadata["rows"].values())
    total = sum(took[name] for name in gates)
    return [
        compared(NAME, ALL, ours=total, against=AGAINST, peer=took["fit"], target=Target(0.4), rows=count),
        *(compared(NAME, f"{name}, s", ours=took[name], against=AGAINST, peer=took["fit"], rows=count) for name in gates),
        compared(
            NAME,
            "the stored bundle in a clean process, s",
            ours=took["clean"],
            against=AGAINST,
            peer=took["fit"],
            rows=made["features"].metadata["rows"]["holdout"],
            note="runs beside the refit; not in the sum",
        ),
        *_refits(made, took["fit"], count),
    ]


def _refits(made: dict[str, StageResult], fit_s: float, rows: int) -> list[Row]:
    """The refits, reported apart: as the stages took them once, side by side where the cores allowed."""
    seconds = made["training"].metadata["seconds"]
    backtests = made["evaluation"].metadata["seconds"]
    taken = {"refit of the reproducibility check": seconds["refit"], "refits of the back-tests": sum(backtests.values())}
    return [
        compared(NAME, f"{name}, s", ours=value, against=AGAINST, peer=fit_s, rows=rows, note="one run inside its stage")
        for name, value in taken.items()
    ]


def _contract(folder: Path) -> Contract:
    """The shipped contract on three years of flights: the year 2013 and copies of it, a little colder, as the years before."""
    flights = flights_of_2013().drop("date")
    years = [
        flights.with_columns(
            pl.col("scheduled_at") - YEAR * k,
            pl.col("flight_id").str.replace("2013", str(2013 - k), literal=True),
            pl.col("temp") - WARMING * k,
            pl.col("dewp") - WARMING * k,
        )
        for k in range(4)
    ]
    rows = pl.concat(years).sort("scheduled_at", "flight_id").tail(ROWS)
    rows.write_parquet(folder / "flights.parquet")
    path = Path(import_path(f"{MODEL}.features.build", "features").__code__.co_filename).with_name("defs.yaml")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))["attributes"]
    values["source"] |= {"uri": str(folder / "flights.parquet"), "schema": f"{MODEL}.schema.Flights"}
    values["features"] = f"{MODEL}.features.build"
    days = (CUTOFF - HOLDOUT - rows["scheduled_at"].min()) // timedelta(days=1)  # type: ignore[operator]
    values["window"] = {"train": f"{days}d", "holdout": f"{HOLDOUT.days}d", "backtests": 4}
    return Contract.model_validate(values)


def _request(folder: Path, contract: Contract, stage: str, made: dict[str, StageResult], **parameters: Any) -> StageRequest:
    outputs = {"dataset": "dataset", "features": "features", "training": "bundle"}
    inputs = {name: made[name].outputs[output]["uri"] for name, output in outputs.items() if name in made}
    if "training" in inputs:
        inputs |= {"candidate": inputs.pop("training"), "champion": str(folder / "champion")}
    return StageRequest(stage, contract.model, "2014-01-02", contract.to_json(), inputs, str(folder / stage), parameters)


def _road(folder: Path, contract: Contract) -> dict[str, StageResult]:
    """The stages once; the champion is a copy of the candidate, so that everything is compared."""
    made: dict[str, StageResult] = {}
    made["dataset"] = run_stage(_request(folder, contract, "dataset", made, cutoff=CUTOFF.isoformat()))
    made["features"] = run_stage(_request(folder, contract, "features", made))
    made["training"] = run_stage(_request(folder, contract, "training", made))
    shutil.copytree(made["training"].outputs["bundle"]["uri"], folder / "champion")
    made["evaluation"] = run_stage(_request(folder, contract, "evaluation", made))
    return made


def _gates(contract: Contract, made: dict[str, StageResult]) -> dict[str, Callable[[], list[Verdict]]]:
    """Each gate's work from rows in memory to verdicts, probes and scoring included."""
    source = contract.source
    schema = import_path(source.schema_, "source.schema")
    windows = Windows.of(contract, CUTOFF)
    source_rows = split(read_source(source, schema, windows.train_start, windows.cutoff), contract, windows)
    data, tables = (read_tables(Path(made[stage].outputs[stage]["uri"])) for stage in ("dataset", "features"))
    names = tables.about["feature_names"]
    earlier = EarlierDataset.from_json(made["dataset"].metadata["as_history"])
    bundle = made["training"].outputs["bundle"]
    candidate = load_bundle(Path(bundle["uri"]), bundle["digest"])
    evidence = TrainingEvidence.from_json(made["training"].metadata["evidence"])

    def offline() -> list[Verdict]:
        scores, theirs = candidate.score(tables.holdout), candidate.score(tables.holdout)
        latency = latency_of(candidate.score, tables.holdout)
        found = evaluate(
            data.holdout.hstack(tables.holdout.select(name for name in names if name not in data.holdout.columns)),
            scores,
            theirs,
            contract=contract,
            seed=contract.trainer.seed,
            classes=candidate.manifest.classes or None,
            latency_ms=latency.median_ms if latency else None,
        )
        return offline_gate(found, contract)

    return {
        "gate data on the rows": lambda: data_gate(source_rows, schema=schema, history=[earlier]),
        "gate data on the features": lambda: judged_features(tables, data, contract),
        "gate training": lambda: training_gate(evidence, contract=contract),
        "gate offline, scoring of both models included": offline,
    }
