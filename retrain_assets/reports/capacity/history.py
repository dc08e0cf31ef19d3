"""What the stages of earlier retrains measured of themselves, read from the evidence that the ledger names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from retrain_assets.compute.request import STAGE_RECORD
from retrain_assets.contract import Contract, CustodyError, digest_of
from retrain_assets.ledger import Event, EventKind, EvidenceStore

MACHINE = ("cpu", "architecture", "usable_cores", "memory_mb", "accelerators")
"""What makes two machines alike, of the facts a stage records."""

NO_MATTER = {"price_per_node_hour", "price_per_hour", "tags", "env", "policy"}
"""Settings of a place that change no time."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """One stage of one retrain as it ran.

    Args:
        retrain: its key.
        stage: its name.
        rows: rows of the training window.
        days: length of that window.
        seconds: the stage took, from its start to its answer.
        fit_s: time of the fit with its calibration, as gate training judges it; of training alone.
        ended_at: aware.
        contract: the contract the retrain was launched under.
        machine: facts of the machine.
        place: what the place of computation told besides; empty for this process.
    """

    retrain: str
    stage: str
    rows: int
    days: float
    seconds: float
    fit_s: float | None
    ended_at: datetime
    contract: Contract
    machine: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cutoff(self) -> datetime:
        """Midnight UTC of the date the retrain's key begins with."""
        return datetime.strptime(self.retrain[:10], "%Y-%m-%d").replace(tzinfo=UTC)

    @property
    def work(self) -> str:
        """Digest of what decides the time besides rows: where the contract has the stage run, its features, trainer and windows'
        number, and the machine."""
        return digest_of({**work_of(self.contract, self.stage), "machine": [self.machine.get(name) for name in MACHINE]})


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a model's stages.

    Args:
        runs: oldest cut-off first, of each retrain and stage the last.
        unread: digests of records that could not be read, each with why.
    """

    runs: Sequence[StageRun]
    unread: Mapping[str, str] = field(default_factory=dict)

    def of(self, stage: str) -> list[StageRun]:
        """The runs of one stage."""
        return [run for run in self.runs if run.stage == stage]


def work_of(contract: Contract, stage: str) -> dict[str, Any]:
    """What of a contract decides how long a stage takes on a given number of rows."""
    asked: dict[str, Any] = {"where": place_of(contract, stage)}
    if stage != "dataset":
        asked["features"] = contract.features
    if stage in ("training", "evaluation"):
        asked["trainer"] = contract.trainer.model_dump(mode="json", by_alias=True)
    if stage == "evaluation":
        asked["backtests"] = contract.window.backtests
    return asked


def place_of(contract: Contract, stage: str) -> dict[str, Any]:
    """Where a contract has a stage run: ``{}`` in the orchestrator's process, otherwise the session, or cluster and engine."""
    there = contract.databricks
    if there is not None and stage in there.stages:
        written = {"cluster": there.cluster, "serverless": there.serverless}
        values = {
            name: part.model_dump(mode="json", exclude=set(NO_MATTER)) for name, part in written.items() if part is not None
        }
        return {"databricks": {**values, "existing_cluster": there.existing_cluster, "engine": there.engine}}
    session = contract.spark
    if session is not None and stage in session.stages:
        return {"spark": {"master": session.master, "conf": dict(session.conf)}}
    return {}


def measured(events: Iterable[Event], evidence: EvidenceStore, *, before: str | None = None) -> Measured:
    """What the stages of a model's retrains recorded of themselves.

    Args:
        events: of the model, in order.
        evidence: the home's.
        before: a retrain that does not count, nor one launched after it.
    """
    contracts: dict[str, Contract] = {}
    records: dict[str, dict[str, Mapping[str, Any]]] = {}
    unread: dict[str, str] = {}

    def read(digest: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = evidence.get(digest)
        except CustodyError as error:
            unread[digest] = error.line
            return {}
        return found

    for event in events:
        retrain = event.retrain
        if event.kind is EventKind.RETRAIN_LAUNCHED and retrain is not None:
            if retrain == before:
                break
            if contract := read(event.payload["contract_digest"]):
                contracts[retrain] = Contract.recorded(contract)
        elif event.kind is EventKind.GATE_EVALUATED and retrain in contracts:
            record = read(digest) if (digest := event.payload["subjects"].get("stage_record")) else {}
            if record.get("schema") == STAGE_RECORD and "seconds" in record["run"]:
                records.setdefault(retrain, {})[record["stage"]] = record
    runs = [
        _as_run(record, retrain, stages["dataset"]["metadata"]["rows"]["train"], contracts[retrain])
        for retrain, stages in records.items()
        if "dataset" in stages
        for record in stages.values()
    ]
    return Measured(tuple(sorted(runs, key=lambda run: (run.cutoff, run.retrain))), unread)


def _as_run(record: Mapping[str, Any], retrain: str, rows: int, contract: Contract) -> StageRun:
    run = record["run"]
    return StageRun(
        retrain=retrain,
        stage=record["stage"],
        rows=rows,
        days=contract.window.train.total_seconds() / 86_400,
        seconds=run["seconds"],
        fit_s=record["metadata"]["evidence"]["duration_s"] if record["stage"] == "training" else None,
        ended_at=datetime.fromisoformat(run["ended_at"]),
        contract=contract,
        machine=run.get("machine") or {},
        place=run.get("databricks") or {},
    )
