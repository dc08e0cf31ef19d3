"""The team's own checks and metrics in the stages: what they are given, and that nothing but their own good verdict passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.databricks.code_wheels import team_packages
from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets_tests.compute import own_parcels
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.own_parcels import HERE, contract_with, own
from retrain_assets_tests.compute.parcels import CUTOFF
from retrain_assets_tests.simulation import contract_with as simulated


def run(contract: dict[str, Any], stage: str, folder: Path, inputs: dict[str, str], **parameters: Any) -> StageResult:
    return run_stage(StageRequest(stage, contract["model"], "2024-03-01", contract, inputs, str(folder / stage), parameters))


def at(function: Callable[..., Any], further: int = 0) -> str:
    """File and line of a function, or so many lines further."""
    return f"(own_parcels.py:{inspect.getsourcelines(function)[1] + further})"


def found(result: StageResult, gate: Gate, check: str) -> Verdict:
    return next(one for one in result.verdicts_of(gate) if one.check == check)


@pytest.fixture(scope="module")
def judged(road: Road, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """The verdicts of all checks in one data set, by name."""
    names = ("raises", "says_true", "says_nothing", "says_another", "says_nan", "says_a_text", "says_what_is_no_json")
    checks = [own("data", "depots_are_covered", least=2), own("data", "rows_and_windows"), *(own("data", name) for name in names)]
    contract = contract_with(road, *checks)
    contract["gates"]["own"][-1]["code"] = "sha256:of another time"
    unread = {**checks[2], "check": "own_unread"}
    contract["gates"]["own"].append(unread)
    result = run(contract, "dataset", tmp_path_factory.mktemp("own"), {}, cutoff=CUTOFF.isoformat())
    return {one.check: one for one in result.verdicts_of(Gate.DATA)}


def test_a_check_of_gate_data_is_given_the_rows_of_both_windows(judged: dict[str, Verdict]) -> None:
    covered = judged["own_depots_are_covered"]
    assert (covered.outcome, covered.observed, covered.threshold) == (Outcome.PASS, 3, 2)
    assert covered.message == "depots in training is 3; required is at least 2"
    assert list(judged)[-10:-8] == ["own_depots_are_covered", "own_rows_and_windows"]


def test_of_several_findings_the_worst_is_the_verdict(judged: dict[str, Verdict]) -> None:
    both = judged["own_rows_and_windows"]
    assert (both.outcome, both.message, both.threshold) == (Outcome.FAIL, "parcel_delay 2024-03-01 until 2024-03-01", "a text")
    assert [one["outcome"] for one in both.evidence["findings"]] == ["pass", "fail"]
    assert both.evidence["findings"][0]["observed"] == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", f"{HERE}.raises {at(own_parcels.raises, 2)} raised KeyError: 'parcel a unit is odd'"),
        (
            "says_true",
            f"{HERE}.says_true {at(own_parcels.says_true)} returned bool, not a verdict; return one, such as evidence.passes(…)",
        ),
        ("says_nothing", f"{at(own_parcels.says_nothing)} returned no verdict"),
        ("says_another", "returned a verdict of check data fresh_enough, not of data own_says_another"),
        ("says_nan", f"{at(own_parcels.says_nan)} returned observed nan, not a finite number"),
        ("says_a_text", "returned the outcome 'pass'; take one of Outcome.PASS"),
        ("says_what_is_no_json", f"the code of {HERE}.says_what_is_no_json was changed since the contract was loaded"),
        ("unread", f"the contract does not say which code {HERE}.raises is"),
    ],
)
def test_what_is_no_verdict_of_the_check_is_an_error_that_names_function_and_line(
    judged: dict[str, Verdict], name: str, words: str
) -> None:
    verdict = judged[f"own_{name}"]
    assert verdict.outcome is Outcome.ERROR
    assert words in verdict.message


def test_evidence_that_is_no_json_is_an_error(road: Road, tmp_path: Path) -> None:
    contract = contract_with(road, own("data", "says_what_is_no_json"))
    result = run(contract, "dataset", tmp_path, {}, cutoff=CUTOFF.isoformat())
    verdict = found(result, Gate.DATA, "own_says_what_is_no_json")
    assert verdict.outcome is Outcome.ERROR
    assert "returned evidence that is not JSON" in verdict.message


def test_a_check_of_gate_training_scores_with_the_stored_bundle_and_sees_no_clock(road: Road, tmp_path: Path) -> None:
    contract = contract_with(road, own("training", "scores_spread", at_least=0.05))
    result = run(contract, "training", tmp_path, {"features": road.features.outputs["features"]["uri"]})
    verdict = found(result, Gate.TRAINING, "own_scores_spread")
    assert verdict.outcome is Outcome.PASS, verdict
    assert verdict.observed is not None
    assert 0.05 < float(verdict.observed) < 0.5
    assert verdict.evidence["seconds"] is None
    assert verdict.evidence["features"] == ["depot", "weight", "rain", "heavy"]
    assert set(verdict.evidence["metrics"]) == set(contract["gates"]["offline"]["metrics"])


@pytest.fixture(scope="module")
def evaluated(road: Road, tmp_path_factory: pytest.TempPathFactory) -> StageResult:
    metrics = {
        "row_cost": {"function": f"{HERE}.cost", "direction": "decrease", "parameters": {"miss": 2.0}},
        "weighted": {"function": f"{HERE}.cost_by_weight", "direction": "decrease"},
        "broken": {"function": f"{HERE}.broken_metric", "direction": "increase"},
    }
    limits: dict[str, Any] = {name: {"max": 5.0, "max_regression": 1.0} for name in ("row_cost", "weighted")}
    contract = contract_with(
        road,
        own("offline", "heavy_parcels_are_served", above=4.0),
        own_metrics=metrics,
        metrics={**road.contract["gates"]["offline"]["metrics"], **limits, "broken": {"min": 0.0, "max_regression": 0.1}},
        slices={"columns": ["depot"], "metric": "row_cost", "max_regression": 0.5, "min_support": 50},
        backtests={"metric": "weighted", "max": 1.0},
    )
    inputs = road.inputs()
    return run(contract, "evaluation", tmp_path_factory.mktemp("own_offline"), inputs | {"champion": inputs["candidate"]})


def test_a_check_of_gate_offline_sees_rows_scores_decisions_and_metrics(evaluated: StageResult) -> None:
    verdict = found(evaluated, Gate.OFFLINE, "own_heavy_parcels_are_served")
    assert verdict.outcome is Outcome.PASS, verdict
    for column in ("late", "weight", "transit_hours", "heavy", "candidate_score", "champion_score", "champion_decision"):
        assert column in verdict.evidence["columns"]
    assert verdict.evidence["auc"] == evaluated.metadata["evaluation"]["metrics"][0]["candidate"]
    assert verdict.evidence["champion"] is True


def test_own_metrics_have_limits_slices_and_backtests_like_any_other(evaluated: StageResult) -> None:
    for check in (
        "meets_row_cost",
        "not_worse_row_cost",
        "meets_weighted",
        "not_worse_weighted",
        "slices_hold",
        "backtests_hold",
    ):
        assert found(evaluated, Gate.OFFLINE, check).outcome is Outcome.PASS, check
    assert found(evaluated, Gate.OFFLINE, "not_worse_row_cost").evidence["method"] == "paired bootstrap, 1,000 resamples"
    backtests = found(evaluated, Gate.OFFLINE, "backtests_hold").evidence
    assert (backtests["metric"], len(backtests["backtests"])) == ("weighted", 2)
    assert all(0 < one["value"] < 1 for one in backtests["backtests"])


def test_a_metric_whose_function_fails_is_an_error_of_its_checks_alone(evaluated: StageResult) -> None:
    for check in ("meets_broken", "not_worse_broken"):
        verdict = found(evaluated, Gate.OFFLINE, check)
        assert verdict.outcome is Outcome.ERROR
        place = at(own_parcels.broken_metric, 1)
        assert verdict.message == f"{HERE}.broken_metric {place} raised IndexError: list index out of range"


def test_a_failing_metric_of_slices_and_backtests_is_an_error_there_too(road: Road, tmp_path: Path) -> None:
    contract = contract_with(
        road,
        own_metrics={"broken": {"function": f"{HERE}.broken_metric", "direction": "increase"}},
        metrics={**road.contract["gates"]["offline"]["metrics"], "broken": {"min": 0.0}},
        slices={"columns": ["depot"], "metric": "broken", "max_regression": 0.5, "min_support": 50},
        backtests={"metric": "broken", "max": 1.0},
    )
    result = run(contract, "evaluation", tmp_path, road.inputs(), bootstrap=True)
    for check in ("slices_hold", "backtests_hold"):
        verdict = found(result, Gate.OFFLINE, check)
        assert verdict.outcome is Outcome.ERROR
        assert "raised IndexError" in verdict.message


def test_a_job_on_databricks_gets_the_packages_of_own_checks_and_metrics() -> None:
    check = {"check": "a_rule", "gate": "data", "function": "elsewhere.checks.rule"}
    metric = {"function": "further.metrics.cost", "direction": "decrease"}
    contract = simulated(
        gates__own=[check], gates__offline__own_metrics={"cost": metric}, gates__offline__metrics={"cost": {"max": 3.0}}
    )
    assert team_packages(contract) == ["elsewhere", "further", "retrain_assets_tests"]
