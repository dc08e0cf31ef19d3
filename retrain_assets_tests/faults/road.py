"""One retrain of the flights model through the stages, as the road runs them: it ends at the first stage that does not pass."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.stages.dataset import Windows
from retrain_assets.contract import Contract, Gate, Outcome, RetrainError, Verdict
from retrain_assets_tests.faults.contracts import with_trainer
from retrain_assets_tests.faults.fault import (
    Fault,
    InCandidate,
    InEvaluation,
    InFeatures,
    InFile,
    InRows,
    InTraining,
    refused,
)

STAGES = ("dataset", "features", "training", "evaluation")
EARLIER = 5
"""Earlier retrains that gate data compares with, as the asset passes them."""


@dataclass(frozen=True)
class Retrain:
    """One retrain that was run: results by stage, and why it was refused where a stage refused."""

    cutoff: datetime
    folder: Path
    contract: Mapping[str, Any]
    results: dict[str, StageResult] = field(default_factory=dict)
    refusal: tuple[str, str] | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """All verdicts, in the order of the road."""
        return [
            verdict for result in self.results.values() for gate in result.verdicts for verdict in result.verdicts_of(Gate(gate))
        ]

    @property
    def stopped_by(self) -> list[str]:
        """Checks that did not pass, or what stands for a refusing stage; empty when nothing stopped it."""
        failed = [verdict.check for verdict in self.verdicts if verdict.outcome is not Outcome.PASS]
        return failed + ([refused(self.refusal[0])] if self.refusal else [])

    @property
    def message(self) -> str:
        """What the first thing that stopped it says; empty when nothing did."""
        failed = next((verdict.message for verdict in self.verdicts if verdict.outcome is not Outcome.PASS), "")
        return failed or (self.refusal[1] if self.refusal else "")

    def output(self, stage: str, name: str) -> str:
        """Path of what a stage made."""
        return self.results[stage].outputs[name]["uri"]


@dataclass(frozen=True)
class Setting:
    """A clean retrain with all that faults are put into.

    Args:
        flights: the year.
        contract: as JSON.
        clean: the retrain without a fault, through all stages.
        champion: bundle it was compared with.
        history: what gate data compared it with.
    """

    flights: pl.DataFrame
    contract: Mapping[str, Any]
    clean: Retrain
    champion: Path
    history: Sequence[Mapping[str, Any]]


def run_clean(
    flights: pl.DataFrame,
    contract: Mapping[str, Any],
    cutoff: datetime,
    folder: Path,
    champion: Path | None,
    history: Sequence[Mapping[str, Any]],
) -> Retrain:
    """A retrain on the rows as they are; stages after one that does not pass are run as well, so that all verdicts are there."""
    contract = landed(source_rows(flights, contract, cutoff), contract, folder)
    return _run(contract, cutoff, folder, champion=champion, history=history, to_the_end=True)


def run_fault(fault: Fault, setting: Setting, folder: Path) -> Retrain:
    """The retrain with one fault, from the stage it is put into until something stops it."""
    clean, put, contract = setting.clean, fault.put, setting.contract
    rest: dict[str, Any] = {"champion": setting.champion, "history": setting.history}
    if isinstance(put, InRows):
        rows = put.change(
            source_rows(setting.flights, contract, clean.cutoff), Windows.of(Contract.model_validate(contract), clean.cutoff)
        )
        return _run(landed(rows, contract, folder), clean.cutoff, folder, **rest)
    if isinstance(put, InFile):
        contract = landed(source_rows(setting.flights, contract, clean.cutoff), contract, folder)
        put.damage(folder / "source" / "flights.parquet")
        return _run(contract, clean.cutoff, folder, **rest)
    done = {name: clean.results[name] for name in STAGES[: STAGES.index(_stage_of(put))]}
    contract = clean.contract
    if isinstance(put, InFeatures):
        return _run({**contract, "features": put.function}, clean.cutoff, folder, done=done, **rest)
    if isinstance(put, InTraining):
        return _run(with_trainer(contract, put.trainer), clean.cutoff, folder, done=done, **rest)
    inputs = _copies(clean, setting.champion, folder)
    if isinstance(put, InCandidate):
        put.change(Path(inputs["candidate"]))
    else:
        inputs = put.change(inputs)
    return _run(contract, clean.cutoff, folder, done=done, inputs=inputs, **rest)


def source_rows(flights: pl.DataFrame, contract: Mapping[str, Any], cutoff: datetime) -> pl.DataFrame:
    """What the source holds at the cut-off, from nine days before the training window on."""
    start = Windows.of(Contract.model_validate(contract), cutoff).train_start - timedelta(days=9)
    return flights.filter((pl.col("scheduled_at") >= start) & (pl.col("scheduled_at") < cutoff))


def landed(rows: pl.DataFrame, contract: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The contract on a source with these rows."""
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(source / "flights.parquet", compression="lz4")
    return {**contract, "source": {**contract["source"], "uri": f"{source}/*.parquet"}}


def months(first: tuple[int, int], last: tuple[int, int]) -> list[datetime]:
    """The firsts of the months from one to another, both given as year and month."""
    found = range(first[0] * 12 + first[1] - 1, last[0] * 12 + last[1])
    return [datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in found]


def _stage_of(put: InFeatures | InTraining | InCandidate | InEvaluation) -> str:
    return {InFeatures: "features", InTraining: "training"}.get(type(put), "evaluation")


def _copies(clean: Retrain, champion: Path, folder: Path) -> dict[str, str]:
    """The inputs of the evaluation, copied so that they can be damaged."""
    originals = {
        "dataset": Path(clean.output("dataset", "dataset")),
        "features": Path(clean.output("features", "features")),
        "candidate": Path(clean.output("training", "bundle")),
        "champion": champion,
    }
    for name, path in originals.items():
        shutil.copytree(path, folder / "inputs" / name)
    return {name: str(folder / "inputs" / name) for name in originals}


def _run(
    contract: Mapping[str, Any],
    cutoff: datetime,
    folder: Path,
    *,
    champion: Path | None,
    history: Sequence[Mapping[str, Any]],
    done: Mapping[str, StageResult] | None = None,
    inputs: Mapping[str, str] | None = None,
    to_the_end: bool = False,
) -> Retrain:
    retrain = Retrain(cutoff, folder, contract, dict(done or {}))
    for stage in STAGES[len(retrain.results) :]:
        request = StageRequest(
            stage=stage,
            model=str(contract["model"]),
            retrain=cutoff.date().isoformat(),
            contract=contract,
            inputs=inputs or _inputs(stage, retrain, champion),
            output_dir=str(folder / stage),
            parameters=_parameters(stage, cutoff, history, champion),
        )
        try:
            result = run_stage(request)
        except RetrainError as error:
            return Retrain(cutoff, folder, contract, retrain.results, (stage, error.line.replace(f"{folder}/", "")))
        retrain.results[stage] = result
        if retrain.stopped_by and not to_the_end:
            break
    return retrain


def _inputs(stage: str, retrain: Retrain, champion: Path | None) -> dict[str, str]:
    made = {"dataset": "dataset", "features": "features", "training": "bundle"}
    named = {"training": "candidate"}
    wanted = {"features": ("dataset",), "training": ("features",), "evaluation": ("dataset", "features", "training")}.get(
        stage, ()
    )
    found = {named.get(name, name): retrain.output(name, made[name]) for name in wanted}
    return found | ({"champion": str(champion)} if stage == "evaluation" and champion is not None else {})


def _parameters(stage: str, cutoff: datetime, history: Sequence[Mapping[str, Any]], champion: Path | None) -> dict[str, Any]:
    if stage == "dataset":
        return {"cutoff": cutoff.isoformat(), "history": [dict(one) for one in history[-EARLIER:]]}
    return {"bootstrap": True} if stage == "evaluation" and champion is None else {}
