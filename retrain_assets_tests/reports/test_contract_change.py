"""A suggested change is a diff that git applies to the team's own file, and nothing else of it moves."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain_assets.contract import Contract, ContractError
from retrain_assets.contract.paths import in_module
from retrain_assets.reports.release_review.contract_change import Change, ContractFile, contract_file, diff_of
from retrain_assets_tests.conftest import CHECKOUT

FLIGHTS = CHECKOUT / "retrain_assets" / "defs" / "flight_delay" / "defs.yaml"
MODEL = "flight_delay"


def flights() -> Contract:
    attributes = yaml.safe_load(FLIGHTS.read_text())["attributes"]
    return in_module(Contract.model_validate(attributes), "retrain_assets.defs.flight_delay")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with the flights model's contract."""
    root = tmp_path / "team"
    file = root / "models" / MODEL / "defs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(FLIGHTS.read_text())
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def applied(root: Path, *changes: Change, file: Path | None = None) -> dict[str, Any]:
    """The contract after git has applied the diff."""
    path = file or root / "models" / MODEL / "defs.yaml"
    diff = diff_of(contract_file(flights(), path), MODEL, changes)
    subprocess.run(["git", "-C", str(root), "apply", "-"], input=diff, text=True, check=True)
    found: dict[str, Any] = yaml.safe_load(path.read_text())["attributes"]
    return found


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("gates", "offline", "metrics", "roc_auc", "min"), 0.65, "+        roc_auc: {min: 0.65, max_regression: 0.03}"),
        (("gates", "offline", "metrics", "brier_score", "max"), 0.19, "+        brier_score: {max_regression: 0.005, max: 0.19}"),
        (("gates", "offline", "fairness", 0, "max_tpr_difference"), 0.2, "max_tpr_difference: 0.2,"),
        (("gates", "data", "max_label_shift"), 0.1, "+      max_label_shift: 0.1\n"),
        (("gates", "offline", "calibration", "max_slope"), 1.65, "max_slope: 1.65}"),
        (("gates", "offline", "calibration", "max_ece"), 0.00005, "max_ece: 0.00005"),
    ],
)
def test_git_applies_it_and_only_that_limit_changes(checkout: Path, path: tuple[str | int, ...], value: float, line: str) -> None:
    before = yaml.safe_load(FLIGHTS.read_text())["attributes"]
    diff = diff_of(contract_file(flights(), checkout / "models" / MODEL / "defs.yaml"), MODEL, [Change(path, value)])
    assert diff.startswith(f"--- a/models/{MODEL}/defs.yaml\n")
    assert line in diff
    after = applied(checkout, Change(path, value))
    at: Any = before
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    assert after == before


def test_two_changes_are_one_diff_and_comments_stay(checkout: Path) -> None:
    after = applied(
        checkout,
        Change(("gates", "offline", "metrics", "roc_auc", "min"), 0.65),
        Change(("experiment", "expected_units_per_day"), 1200.0),
    )
    assert (after["gates"]["offline"]["metrics"]["roc_auc"]["min"], after["experiment"]["expected_units_per_day"]) == (0.65, 1200)
    text = (checkout / "models" / MODEL / "defs.yaml").read_text()
    assert text.count("#") == FLIGHTS.read_text().count("#")


def test_a_section_that_is_not_there_is_written(checkout: Path) -> None:
    file = checkout / "models" / MODEL / "defs.yaml"
    file.write_text(file.read_text().replace("      stability: {max_flips: 50%, max_slice_flips: 75%}\n", ""))
    after = applied(checkout, Change(("gates", "offline", "stability", "max_flips"), 0.4))
    assert after["gates"]["offline"]["stability"] == {"max_flips": 0.4}


def test_a_file_of_several_models_that_ends_without_a_newline_is_changed_in_the_right_one(checkout: Path) -> None:
    file = checkout / "models" / MODEL / "defs.yaml"
    other = file.read_text().replace("model: flight_delay", "model: arrival_delay")
    file.write_text(f"{other}---\n{file.read_text().rstrip()}")
    diff = diff_of(contract_file(flights(), file), MODEL, [Change(("cadence", "on_drift", "min_rows"), 9500.0)])
    subprocess.run(["git", "-C", str(checkout), "apply", "-"], input=diff, text=True, check=True)
    first, second = yaml.safe_load_all(file.read_text())
    assert first["attributes"]["cadence"]["on_drift"]["min_rows"] == 9000
    assert second["attributes"]["cadence"]["on_drift"]["min_rows"] == 9500


def test_a_change_that_makes_the_contract_invalid_is_refused_with_the_field(checkout: Path) -> None:
    file = contract_file(flights(), checkout / "models" / MODEL / "defs.yaml")
    with pytest.raises(ContractError, match=r"gates\.data\.max_feature_shift"):
        diff_of(file, MODEL, [Change(("gates", "data", "max_feature_shift"), 0.9)])


def test_the_file_of_a_model_is_found_beside_its_features() -> None:
    found = contract_file(flights())
    assert found.text == FLIGHTS.read_text()
    assert found.name.endswith("retrain_assets/defs/flight_delay/defs.yaml")


def test_a_model_whose_file_is_not_known_gets_a_diff_of_its_contract_as_it_stands() -> None:
    contract = flights().model_copy(update={"features": "nowhere.at_all.build"})
    file = contract_file(contract)
    assert isinstance(file, ContractFile)
    diff = diff_of(file, MODEL, [Change(("gates", "offline", "metrics", "roc_auc", "min"), 0.65)])
    assert diff.startswith("--- a/flight_delay.yaml\n")
    assert "-        min: 0.6\n" in diff
    assert "+        min: 0.65\n" in diff
