"""Own checks and metrics in a contract: their names, their functions, what these take, and which code they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retrain_assets.assets.gate_rules import (
    DATASET_RULES,
    FEATURE_RULES,
    PROMOTION_RULES,
    TRAINING_RULES,
    canary_rules,
    dataset_rules,
    offline_rules,
)
from retrain_assets.contract import Contract, ContractError, digest_of
from retrain_assets.contract.own_checks import SHIPPED_BEGINNINGS, SHIPPED_CHECKS, OwnCheck
from retrain_assets.contract.paths import in_module
from retrain_assets_tests.simulation import contract_with

CHECKS = """
from retrain_assets.gates.own import DataRows, Verdict
from .limits import SEASONS


def seasons_are_covered(evidence: DataRows, *, least: int, words: str = "seasons") -> Verdict:
    return evidence.at_least(SEASONS, least, what=words)


def profit(labels, decisions, *, value=1.0):
    return labels * decisions * value


def anything(evidence, **further):
    return evidence.passes("fine")


def nothing():
    return None
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A contract's folder, with its code beside it."""
    place = tmp_path / "team" / "defs" / "churn"
    place.mkdir(parents=True)
    (place / "checks.py").write_text(CHECKS)
    (place / "limits.py").write_text("SEASONS = 4\n")
    (place / "defs.yaml").write_text("attributes:\n  gates:\n    own:\n      - function: .checks.seasons_are_covered\n")
    return place


def check(**changes: Any) -> dict[str, Any]:
    values = {
        "check": "seasons_are_covered",
        "gate": "data",
        "function": ".checks.seasons_are_covered",
        "parameters": {"least": 4},
    }
    return {**values, **changes}


def loaded(folder: Path, *own: dict[str, Any], **offline: Any) -> Contract:
    contract = contract_with(gates__own=list(own), **{f"gates__offline__{name}": value for name, value in offline.items()})
    return in_module(contract, "team.defs.churn", folder / "defs.yaml")


def test_a_loaded_contract_names_the_function_from_outside_and_the_code_it_is(folder: Path) -> None:
    (own,) = loaded(folder, check()).gates.own
    assert own.function == "team.defs.churn.checks.seasons_are_covered"
    assert own.code is not None
    assert own.code.startswith("sha256:")
    assert loaded(folder, check(code="sha256:what somebody wrote")).gates.own == [own]


@pytest.mark.parametrize(("file", "more"), [("checks.py", "# a comment\n"), ("limits.py", "SUMMER = 1\n")])
def test_changed_code_changes_the_limits_that_verdicts_were_given_by(folder: Path, file: str, more: str) -> None:
    before = loaded(folder, check())
    with (folder / file).open("a") as code:
        code.write(more)
    assert loaded(folder, check()).limits_digest != before.limits_digest
    assert loaded(folder, check()).gates.own[0].code != before.gates.own[0].code


def test_a_file_that_the_function_does_not_import_changes_nothing(folder: Path) -> None:
    before = loaded(folder, check()).limits_digest
    (folder / "features.py").write_text("def build(rows): return rows\n")
    assert loaded(folder, check()).limits_digest == before


def test_other_parameters_are_other_limits(folder: Path) -> None:
    assert loaded(folder, check()).limits_digest != loaded(folder, check(parameters={"least": 3})).limits_digest


def test_limits_without_own_code_are_those_of_contracts_from_before_there_was_any() -> None:
    gates = contract_with().to_json()["gates"]
    assert (gates.pop("own"), gates["offline"].pop("own_metrics")) == ([], {})
    assert contract_with().limits_digest == digest_of(gates)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"function": ".cheks.seasons_are_covered"}, "there is no file "),
        ({"function": "elsewhere.checks.seasons"}, "elsewhere/checks.py"),
        ({"function": ".checks.seasons"}, "checks.py defines no function seasons, it defines seasons_are_covered, profit"),
        ({"function": ".checks.Verdict"}, "only imports Verdict, from retrain_assets.gates.own"),
        (
            {"parameters": {"least": 4, "most": 9}},
            "checks.py:6) does not take the parameter most; correct parameters",
        ),
        ({"parameters": {}}, "checks.py:6) needs the parameter least; add it to parameters: {least: …}"),
        ({"function": ".checks.nothing", "parameters": {}}, "takes no evidence; write def nothing(evidence, …)"),
    ],
)
def test_a_function_that_is_not_there_or_cannot_be_called_so_is_named_with_its_line(
    folder: Path, changes: dict[str, Any], words: str
) -> None:
    written = changes.get("function", ".checks.seasons_are_covered")
    (folder / "defs.yaml").write_text(f"attributes:\n  gates:\n    own:\n      - function: {written}\n")
    with pytest.raises(ContractError) as caught:
        loaded(folder, check(**changes))
    assert caught.value.line.startswith(f"{folder / 'defs.yaml'}:4: gates.own[0].function: ")
    assert words in caught.value.line


def test_a_file_that_is_no_python_is_named_with_its_line(folder: Path) -> None:
    (folder / "checks.py").write_text("def seasons(:\n")
    with pytest.raises(ContractError, match=r"checks.py:1 is not Python"):
        loaded(folder, check())


def test_further_keyword_arguments_are_taken_where_the_function_takes_any(folder: Path) -> None:
    assert loaded(folder, check(function=".checks.anything", parameters={"x": [1, 2]})).gates.own[0].parameters == {"x": [1, 2]}


def test_no_own_check_can_have_a_name_that_ships_with_the_product() -> None:
    contract = contract_with()
    shipped = {
        *DATASET_RULES,
        *FEATURE_RULES,
        *TRAINING_RULES,
        *PROMOTION_RULES,
        *dataset_rules(contract),
        *canary_rules(contract),
    }
    for name in (*shipped, *offline_rules(contract), "groups_are_separate"):
        assert name in SHIPPED_CHECKS or name.startswith(SHIPPED_BEGINNINGS), name
        with pytest.raises(ValidationError, match="take another name"):
            OwnCheck.model_validate(check(check=name))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gates__own": [check(), check()]}, "seasons_are_covered stands there twice"),
        ({"gates__own": [check(gate="promotion")]}, "'data', 'training', 'offline' or 'canary'"),
        ({"gates__own": [check(parameters={"x": 2**60})]}, "write numbers, texts, truth values"),
        (
            {"gates__offline__own_metrics": {"profit": {"function": ".checks.profit", "direction": "increase"}}},
            "own_metrics.profit has no limit",
        ),
        (
            {
                "gates__offline__own_metrics": {"r2": {"function": ".checks.profit", "direction": "increase"}},
                "gates__offline__metrics": {"r2": {"min": 0.1}},
            },
            "'r2' is a metric that ships with the product; take another name",
        ),
        ({"gates__offline__metrics": {"profit": {"min": 0.1}}}, "'profit' is not a metric of binary_classification"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        contract_with(**changes)


def test_an_own_metric_may_have_any_limit_for_nothing_is_known_of_its_range(folder: Path) -> None:
    metrics = {"profit": {"function": ".checks.profit", "direction": "increase", "parameters": {"value": 3.0}}}
    contract = loaded(folder, own_metrics=metrics, metrics={"profit": {"min": -40, "max": 90, "max_regression": 7}})
    assert contract.gates.offline.own_metrics["profit"].function == "team.defs.churn.checks.profit"
    with pytest.raises(ContractError, match="does not take the parameter price"):
        loaded(
            folder,
            own_metrics={"profit": {**metrics["profit"], "parameters": {"price": 1}}},
            metrics={"profit": {"min": 0}},
        )
