"""What the page of an evaluation and the names of its checks tell in the Dagster UI."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from retrain_assets.assets.evaluation_report import evaluation_tables
from retrain_assets.assets.faces import check_result
from retrain_assets.assets.gate_rules import offline_rules
from retrain_assets.contract import Contract, canonical_json
from retrain_assets.gates import offline_checks, offline_gate
from retrain_assets.reports.words import NOTHING
from retrain_assets_tests.reports.sample_evidence import CONTRACT, evaluation


def contract_with(**offline: object) -> Contract:
    values = CONTRACT.to_json()
    values["gates"]["offline"] |= offline
    return Contract.model_validate(values)


@pytest.mark.parametrize(
    "offline",
    [
        {},
        {"calibration": None},
        {"stability": None, "max_size_mb": None},
        {"backtests": None, "max_latency_ms": None, "fairness": []},
    ],
)
def test_the_names_in_the_ui_are_the_checks_of_the_gate(offline: dict[str, object]) -> None:
    contract = contract_with(**offline)
    assert tuple(offline_rules(contract)) == offline_checks(contract)


def test_the_page_shows_calibration_threshold_flips_and_spread_as_tables() -> None:
    shown = evaluation_tables(json.loads(canonical_json(evaluation().to_json())), CONTRACT)
    for name in ("calibration", "decision_threshold", "flips", "backtests", "backtest_spread"):
        assert shown[name].records, name
    for name in ("decision_threshold", "flips"):
        assert shown[name].schema.columns[0].type == "string"
    assert shown["flips"].records[0].data["rows of"] == "all rows"
    assert "Against the champion" in shown["decision_threshold_in_words"]


def test_a_first_champion_has_a_page_too() -> None:
    shown = evaluation_tables(json.loads(canonical_json(evaluation(bootstrap=True).to_json())), CONTRACT)
    assert "flips" not in shown
    assert list(shown["decision_threshold"].records[0].data) == ["per row", "candidate"], "no empty columns"


def test_a_failed_check_tells_limit_amount_and_rows_without_a_log() -> None:
    verdicts = {verdict.check: verdict for verdict in offline_gate(evaluation(too_high=0.1), CONTRACT)}
    result = check_result(verdicts["calibrated"], asset=_key(), owner="team:data-science", fallback="it stays registered")
    assert result.passed is False
    assert result.description is not None
    assert "too high on average on 12,874 hold-out rows" in result.description
    limits = [record.data for record in result.metadata["limits"].value.records]
    assert [limit["outcome"] for limit in limits] == ["fail", "fail", "pass", "pass", "fail"]
    assert next(iter(limits[0])) == "limit of"
    assert result.metadata["slices"].value.records[0].data["slice"].startswith(("origin=", "carrier="))
    assert NOTHING != result.metadata["observed"].value == pytest.approx(0.1, abs=0.01)


def _key() -> dg.AssetKey:
    return dg.AssetKey(["sample_delay", "evaluation_report"])
