"""The flights model in a home of its own: champion and challenger trained on flights of 2013, registered, ready to be armed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.load.plan import REQUEST_ID
from retrain_assets.compute.dispatch import run_stage
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, Actor
from retrain_assets.registry import Registry
from retrain_assets.release import ReleaseController
from retrain_assets.replay.demo import contract_of_flights
from retrain_assets.replay.flights import flights_of_2013

CUTOFF = date(2013, 4, 16)
RUTH = Actor("person", "ruth.release@flights.example")
FIRST, SECOND = "2013-04-16", "2013-04-16.2"


@dataclass(frozen=True)
class Flights:
    """A home that serves the flights model.

    Args:
        home: where everything is.
        contract: the shipped contract, with one cohort attribute and a ramp of one stage.
        controller: the home's release controller.
        rows: features of flights to be scored.
    """

    home: Home
    contract: Contract
    controller: ReleaseController
    rows: pl.DataFrame

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.contract.model

    def arm(self, retrain: str) -> str:
        """Arm a candidate and give it the share of the first stage; the toggle."""
        toggle = self.controller.register_and_arm(self.contract, retrain).name
        self.controller.step(toggle, SYSTEM, "the benchmark begins")
        return toggle

    def prepare(self, retrain: str) -> None:
        """One more retrain with the second candidate's bundle, its gates passed, ready to be armed."""
        known = self.controller.state(self.model).retrains[SECOND]
        assert known.candidate is not None
        self.controller.launch_retrain(self.contract, retrain, {"kind": "person", "reason": "benchmark"}, SYSTEM)
        self.controller.register_candidate(self.model, retrain, known.candidate.version, dict(known.subjects))
        self._pass_gates(retrain)

    def gateway_bodies(self) -> list[str]:
        """One request of one row for each flight, as the gateway takes it."""
        bodies = []
        for number, features in enumerate(self.rows.to_dicts()):
            row = {"request_id": REQUEST_ID, "unit": f"flight {number}", "features": features}
            bodies.append(json.dumps(row, separators=(",", ":")))
        return bodies

    def mlflow_bodies(self) -> list[str]:
        """The same rows as MLflow's scoring server takes them."""
        columns = self.rows.columns
        return [
            json.dumps({"dataframe_split": {"columns": columns, "data": [list(row)]}}, separators=(",", ":"))
            for row in self.rows.iter_rows()
        ]

    def _pass_gates(self, retrain: str) -> None:
        state = self.controller.state(self.model)
        subjects = dict(state.retrains[retrain].subjects)
        for gate in (Gate.DATA, Gate.TRAINING, Gate.OFFLINE):
            against = {"champion": state.champion.bundle} if gate is Gate.OFFLINE and state.champion else {}
            passed = [Verdict(gate, "holds", Outcome.PASS, "a benchmark judges nothing", 0.0, 0.0)]
            self.controller.record_gate(self.model, retrain, gate, passed, {**subjects, **against})


def flights_home(root: Path, *, share: float = 50.0, rows: int = 2000, **serving: Any) -> Flights:
    """Train two small candidates on the flights of the first months of 2013, register both, make the first one champion.

    Args:
        root: the home, a new directory.
        share: per cent of the ramp's only stage.
        rows: flights to be scored.
        serving: terms of the gateway that differ from the contract's.
    """
    home = Home(root)
    root.mkdir(parents=True, exist_ok=True)
    source = root / "flights.parquet"
    flights_of_2013().filter(pl.col("date") < CUTOFF).drop("date").write_parquet(source)
    contract = _contract(source, share, serving)
    dataset, features = _shared_stages(home, contract)
    controller = ReleaseController.open(home)
    flights = Flights(home, contract, controller, _features_of(features, rows, contract))
    for retrain, seed in ((FIRST, 7), (SECOND, 11)):
        made = _with(contract, trainer={"seed": seed})
        inputs = {"features": features.outputs["features"]["uri"], "dataset": dataset.outputs["dataset"]["uri"]}
        bundle = _run(home, made, retrain, "training", inputs)
        manifest, found = bundle.metadata["manifest"], bundle.outputs["bundle"]
        registry = Registry(home.mlflow_uri, home.mlflow_artifacts)
        version = registry.register(Path(found["uri"]), manifest, found["digest"], tags={"retrain": retrain})
        subjects = {"dataset": manifest["dataset"], "features": manifest["feature_pipeline"], "bundle": found["digest"]}
        controller.launch_retrain(contract, retrain, {"kind": "person", "reason": "benchmark"}, SYSTEM)
        controller.register_candidate(contract.model, retrain, version, subjects)
        flights._pass_gates(retrain)
        if retrain == FIRST:
            controller.bootstrap(contract, retrain, RUTH, "first champion")
    return flights


def _contract(source: Path, share: float, serving: dict[str, Any]) -> Contract:
    shipped = contract_of_flights()
    return _with(
        shipped,
        source={"uri": str(source)},
        experiment={
            "cohort": {"distance": {"at_least": 0}, "origin": {"in": ["EWR", "JFK", "LGA"]}},
            "ramp": [share, 100],
            "looks": None,
        },
        serving=serving,
        approval={"allowed_signers": None},
    )


def _with(contract: Contract, **sections: dict[str, Any]) -> Contract:
    values = contract.to_json()
    for name, changes in sections.items():
        values[name] = {**(values[name] or {}), **changes}
    return Contract.model_validate(values)


def _shared_stages(home: Home, contract: Contract) -> tuple[StageResult, StageResult]:
    dataset = _run(home, contract, FIRST, "dataset", {})
    return dataset, _run(home, contract, FIRST, "features", {"dataset": dataset.outputs["dataset"]["uri"]})


def _run(home: Home, contract: Contract, retrain: str, stage: str, inputs: dict[str, str]) -> StageResult:
    cutoff = datetime.combine(CUTOFF, time(), tzinfo=UTC) + timedelta(hours=6)
    return run_stage(
        StageRequest(
            stage=stage,
            model=contract.model,
            retrain=retrain,
            contract=contract.to_json(),
            inputs=inputs,
            output_dir=str(home.stage_dir(contract.model, retrain, stage)),
            parameters={"cutoff": cutoff.isoformat()},
        )
    )


def _features_of(features: StageResult, rows: int, contract: Contract) -> pl.DataFrame:
    holdout = pl.read_parquet(Path(features.outputs["features"]["uri"]) / "holdout.parquet")
    return holdout.select(features.metadata["feature_names"]).head(rows)
