"""Checks and metrics of the team's own give the same verdicts whether Spark or one process made their evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrain_assets.compute import StageRequest, run_stage
from retrain_assets.contract import Gate, Verdict
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.own_parcels import HERE, contract_with, own
from retrain_assets_tests.compute.parcels import CUTOFF

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def contract(road: Road) -> dict[str, Any]:
    metrics = {
        "row_cost": {"function": f"{HERE}.cost", "direction": "decrease", "parameters": {"miss": 2.0}},
        "weighted": {"function": f"{HERE}.cost_by_weight", "direction": "decrease"},
    }
    limits = {name: {"max": 5.0, "max_regression": 1.0} for name in metrics}
    return contract_with(
        road,
        own("data", "depots_are_covered"),
        own("data", "rows_and_windows"),
        own("training", "scores_spread", at_least=0.05),
        own("offline", "heavy_parcels_are_served", above=4.0),
        own_metrics=metrics,
        metrics={**road.contract["gates"]["offline"]["metrics"], **limits},
        backtests={"metric": "weighted", "max": 1.0},
    )


@pytest.mark.parametrize(
    ("stage", "gate", "checks"),
    [
        ("dataset", Gate.DATA, 2),
        ("training", Gate.TRAINING, 1),
        ("evaluation", Gate.OFFLINE, 6),
    ],
)
def test_both_engines_give_the_same_verdicts(
    spark: SparkSession, road: Road, contract: dict[str, Any], tmp_path: Path, stage: str, gate: Gate, checks: int
) -> None:
    found = [own_verdicts(road, contract, tmp_path, stage, gate, engine) for engine in ("spark", "single_node")]
    assert len(found[0]) == checks
    for there, here in zip(*found, strict=True):
        assert (there.check, there.outcome, there.message) == (here.check, here.outcome, here.message)
        assert there.outcome != "error", there.message


def own_verdicts(road: Road, contract: dict[str, Any], folder: Path, stage: str, gate: Gate, engine: Any) -> list[Verdict]:
    inputs = road.inputs()
    reads = {"dataset": (), "training": ("dataset", "features"), "evaluation": tuple(inputs)}[stage]
    given = {name: inputs[name] for name in reads}
    parameters = {"cutoff": CUTOFF.isoformat()} if stage == "dataset" else {}
    if stage == "evaluation":
        given["champion"] = inputs["candidate"]
    request = StageRequest(stage, "parcel_delay", "2024-03-01", contract, given, str(folder / engine), parameters, engine)
    verdicts = run_stage(request).verdicts_of(gate)
    return [
        one for one in verdicts if one.check.startswith("own_") or one.check.endswith(("row_cost", "weighted", "backtests_hold"))
    ]
