"""The example of docs/own-metrics.md, as it stands there, through the stages of a retrain."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.contract.paths import in_module
from retrain_assets.reports.evaluation import evaluation_of
from retrain_assets.reports.release_review.quantities import Quantity, _offline
from retrain_assets_tests.pages import blocks
from retrain_assets_tests.simulation import accounts, contract_with

PACKAGE = "own_metrics_team"
KEY, CUTOFF = "2024-03-01", "2024-03-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    """The contract of the simulation with the page's metrics."""
    root = tmp_path_factory.mktemp("own_metrics")
    folder = root / PACKAGE
    folder.mkdir()
    (folder / "metrics.py").write_text(*blocks("own-metrics.md", "python"))
    offline = yaml.safe_load(*blocks("own-metrics.md", "yaml"))["gates"]["offline"]
    accounts(days=90).write_parquet(root / "accounts.parquet")
    values = contract_with(gates__offline=offline, source__uri=str(root / "accounts.parquet"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        yield in_module(values, PACKAGE, folder / "defs.yaml")
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def evaluated(contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> tuple[StageResult, dict[str, str]]:
    """The evaluation against a champion of other parameters, and its inputs."""
    folder = tmp_path_factory.mktemp("own_metrics_run")

    def run(stage: str, inputs: dict[str, str], judged_by: Contract = contract, name: str = "", **parameters: Any) -> str:
        request = StageRequest(stage, "churn", KEY, judged_by.to_json(), inputs, str(folder / (name or stage)), parameters)
        results[stage] = run_stage(request)
        return next(iter(results[stage].outputs.values()))["uri"]

    results: dict[str, StageResult] = {}
    inputs = {"dataset": run("dataset", {}, cutoff=CUTOFF)}
    inputs["features"] = run("features", {"dataset": inputs["dataset"]})
    weak = contract.model_copy(update={"trainer": contract.trainer.model_copy(update={"params": {"C": 0.0005}})})
    inputs["champion"] = run("training", {"features": inputs["features"]}, weak, "champion")
    inputs["candidate"] = run("training", {"features": inputs["features"]})
    run("evaluation", inputs)
    return results["evaluation"], inputs


def test_the_page_s_metrics_are_what_the_functions_say_of_both_models(
    evaluated: tuple[StageResult, dict[str, str]], contract: Contract
) -> None:
    result, inputs = evaluated
    rows = pl.read_parquet(Path(inputs["features"]) / "holdout.parquet")
    labels = rows["churned"].to_numpy()
    found = {one["metric"]: one for one in result.metadata["evaluation"]["metrics"]}
    for who in ("candidate", "champion"):
        called = load_bundle(Path(inputs[who])).score(rows) >= 0.5
        profit = np.where(called & (labels == 1), 30.0, 0.0) - np.where(called, 5.0, 0.0)
        tenure = rows["tenure"].to_numpy()
        assert found["profit_per_account"][who] == pytest.approx(profit.mean())
        assert found["kept_share"][who] == pytest.approx(tenure[(labels == 1) & called].sum() / tenure[labels == 1].sum())
    assert found["profit_per_account"]["improvement"]["lower"] < found["profit_per_account"]["improvement"]["upper"]


def test_they_are_judged_in_limits_slices_and_backtests(evaluated: tuple[StageResult, dict[str, str]]) -> None:
    verdicts = verdicts_of(evaluated[0])
    names = ("meets_profit_per_account", "not_worse_profit_per_account", "meets_kept_share", "not_worse_kept_share")
    for name in (*names, "slices_hold", "backtests_hold"):
        assert verdicts[name].outcome is Outcome.PASS, verdicts[name]
    assert {one["slice"] for one in verdicts["slices_hold"].evidence["slices"]} == {"region=north", "region=south"}
    assert verdicts["not_worse_profit_per_account"].evidence["better"] == "higher"


def test_the_pack_and_the_review_know_which_way_is_better(
    evaluated: tuple[StageResult, dict[str, str]], contract: Contract
) -> None:
    checks = [verdict.to_json() | {"name": verdict.check} for verdict in verdicts_of(evaluated[0]).values()]
    falling = [one | {"evidence": {**one["evidence"], "better": "lower"}} if "profit" in one["check"] else one for one in checks]
    for told, better in ((checks, "higher"), (falling, "lower")):
        page = evaluation_of([{"gate": "offline", "checks": told}])
        assert page is not None
        (row,) = [one for one in page["metrics"] if one["metric"] == "profit_per_account"]
        assert row["better"] == better
    values = contract.to_json()
    values["gates"]["offline"]["own_metrics"]["kept_share"]["direction"] = "decrease"
    sides = {
        name: list[Quantity](_offline(f"meets_{name}", {}, 0.5, values))[0].worse for name in ("profit_per_account", "kept_share")
    }
    assert sides == {"profit_per_account": "lower", "kept_share": "higher"}


def verdicts_of(result: StageResult) -> dict[str, Verdict]:
    return {one.check: one for one in result.verdicts_of(Gate.OFFLINE)}
