from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.cli.contracts import contract_of
from retrain_assets.contract import ContractError

from .conftest import Run
from .world import ATTRIBUTES, MODEL, World, write_project


def changed(path: str, value: Any = None) -> dict[str, Any]:
    """The attributes with one value replaced; None removes it."""
    attributes = copy.deepcopy(ATTRIBUTES)
    *sections, last = path.split(".")
    part = attributes
    for name in sections:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return attributes


def test_the_projects_contract_is_found_from_any_folder_below_it(tmp_path: Path) -> None:
    write_project(tmp_path)
    deep = tmp_path / "shop" / "notebooks"
    deep.mkdir()
    contract = contract_of(MODEL, deep)
    assert contract.features == "shop.defs.churn.features.build"
    assert contract.source.schema_ == "shop.defs.churn.schema.Accounts"


def test_a_project_in_src_with_a_defs_module_of_its_own(tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "shop" / "defs").rename(tmp_path / "src" / "shop" / "models")
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write('defs_module = "shop.models"\n')
    assert contract_of(MODEL, tmp_path).features == "shop.models.churn.features.build"


def test_without_a_project_the_models_that_ship_are_meant(tmp_path: Path) -> None:
    assert contract_of("flight_delay", tmp_path).features == "retrain_assets.defs.flight_delay.features.build"
    with pytest.raises(
        ContractError, match=r"there is no contract of model 'churn'.*contracts here: .*flight_delay; no dg project is around"
    ):
        contract_of(MODEL, tmp_path)


def test_one_file_may_hold_several_documents(tmp_path: Path) -> None:
    file = write_project(tmp_path)
    file.write_text("type: dagster.DefsFolderComponent\nattributes: {}\n---\n" + file.read_text())
    assert contract_of(MODEL, tmp_path).model == MODEL


def test_two_contracts_of_one_model_are_refused(tmp_path: Path) -> None:
    file = write_project(tmp_path)
    other = file.parent.with_name("copy") / "defs.yaml"
    other.parent.mkdir()
    other.write_text(file.read_text())
    with pytest.raises(ContractError, match="model churn has two contracts"):
        contract_of(MODEL, tmp_path)


def test_the_fault_of_another_model_stands_in_nobodys_way(tmp_path: Path) -> None:
    file = write_project(tmp_path)
    other = file.parent.with_name("broken") / "defs.yaml"
    other.parent.mkdir()
    other.write_text("type: [")
    assert contract_of(MODEL, tmp_path).model == MODEL
    with pytest.raises(ContractError, match=r"broken/defs.yaml:\d+: is not YAML"):
        contract_of("delay", tmp_path)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (changed("window.trian", "1d"), "window.trian: there is no such field; did you mean train?"),
        (changed("experiment.guardrails.complaint.margn", 1), "complaint.margn: there is no such field; did you mean margin?"),
        (changed("source.scheme", ".x"), "source.scheme: there is no such field; did you mean schema?"),
        (changed("owners.release"), "owners.release: is required; add it (Gate 5; fallback: the champion stays)"),
        (
            changed("owners.data", "bob"),
            "owners.data: 'bob' is not written as it has to be; write team:NAME or an e-mail address",
        ),
        (changed("window.train", "soon"), "window.train: 'soon' is not a duration; write a number and a unit"),
        (changed("experiment.ramp", [50, 5, 100]), "experiment.ramp: [50, 5, 100] must ascend"),
        (changed("toggle.owner"), "toggle.owner: is required"),
        (changed("toggle.purpose", ""), "toggle.purpose: string should have at least 1 character"),
        (changed("toggle.expires_after"), "toggle.expires_after: is required"),
        (changed("toggle.rollback", "nowhere"), "toggle.rollback: input should be 'previous_champion'"),
        (changed("experiment.guardrails", {}), "experiment.guardrails: dictionary should have at least 1 item"),
        (changed("toggle.expires_after", "10d"), "toggle.expires_after must be longer than experiment.max_duration"),
        (changed("purpose", "{{ env.PURPOSE }}"), "{{ env.PURPOSE }} is resolved by Dagster only; write the value itself"),
    ],
)
def test_a_bad_contract_is_one_line_with_file_line_and_field(
    run: Run, tmp_path: Path, attributes: dict[str, Any], told: str
) -> None:
    file = write_project(tmp_path, attributes)
    result = run("plan", MODEL, code=3)
    where, _, line = result.stderr.removeprefix("retrain: ").split(": ", 1)[0].partition(":")
    assert told in result.stderr
    assert where == str(file.relative_to(tmp_path))
    written = file.read_text().splitlines()[int(line) - 1]
    assert any(f"{name}:" in written for name in (*re.findall(r"\w+", told)[:4], "purpose"))


def test_a_rule_across_parts_points_to_the_field_it_is_about(tmp_path: Path) -> None:
    lines = write_project(tmp_path, changed("experiment.min_stage.units", 5000)).read_text().splitlines()
    with pytest.raises(ContractError, match=r"experiment.min_stage: with 100 units a day the ramp needs") as caught:
        contract_of(MODEL, tmp_path)
    assert caught.value.where.endswith(f"defs.yaml:{lines.index('    min_stage:') + 1}")


def test_the_line_is_that_of_the_field_or_of_the_section_that_lacks_it(tmp_path: Path) -> None:
    lines = write_project(tmp_path, changed("owners.release")).read_text().splitlines()
    with pytest.raises(ContractError) as caught:
        contract_of(MODEL, tmp_path)
    assert caught.value.where.endswith(f"defs.yaml:{lines.index('  owners:') + 1}")


def test_further_faults_are_named_with_their_lines(tmp_path: Path) -> None:
    attributes = changed("owners.release")
    attributes["toggle"]["remove_afterr"] = attributes["toggle"].pop("remove_after")
    write_project(tmp_path, attributes)
    with pytest.raises(ContractError, match=r"further faults: toggle.remove_afterr \(line \d+\)"):
        contract_of(MODEL, tmp_path)


def test_the_recorded_contract_serves_where_the_project_is_not_at_hand(
    run: Run, ramping: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "pyproject.toml").unlink()
    monkeypatch.chdir(elsewhere)
    assert "# churn: what to do at 3 a.m." in run("runbook", MODEL).stdout
    assert "there is no contract of model 'other'" in run("runbook", "other", code=3).stderr
