"""One file, a contract for each environment: what may differ, how it is laid over, where a fault is told."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from retrain_assets.cli.contracts import contract_of
from retrain_assets.contract import Contract, ContractError
from retrain_assets.contract.data import Source
from retrain_assets.contract.environments import MAY_DIFFER, PLACE_OF_SOURCE, SAME_EVERYWHERE, laid_over
from retrain_assets_tests.cli.world import ATTRIBUTES, MODEL, write_project
from retrain_assets_tests.release.world import CONTRACT


def written(**environments: Any) -> dict[str, Any]:
    return {**deepcopy(CONTRACT), "environments": environments}


def faults(**environments: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        Contract.model_validate(written(**environments))
    return {".".join(map(str, one["loc"])): one["msg"] for one in caught.value.errors()}


def test_mappings_are_joined_lists_replaced_and_null_takes_a_field_away() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 4, "e": "local"}
    assert laid_over(base, {"a": {"c": [3]}, "d": None, "e": {"f": 1, "g": None}}) == {"a": {"b": 1, "c": [3]}, "e": {"f": 1}}


def test_every_environment_has_the_rest_of_the_contract_and_a_digest_of_its_own_policy() -> None:
    contract = Contract.model_validate(written(dev=None, staging={"approval": {"required": 2}}))
    staging = contract.in_environment("staging")
    assert (staging.approval.required, staging.approval.approvers) == (2, contract.approval.approvers)
    assert contract.in_environment("dev").digest == contract.digest == Contract.model_validate(CONTRACT).digest != staging.digest
    assert staging.environments == contract.in_environment("default").environments == {}


def test_null_takes_a_part_away_that_the_contract_has() -> None:
    values = written(dev={"economics": None})
    values["economics"] = {"value_per_unit": 1.0, "currency": "EUR"}
    contract = Contract.model_validate(values)
    assert contract.economics is not None
    assert contract.in_environment("dev").economics is None


def test_a_contract_that_names_environments_is_refused_in_another_and_one_without_is_the_same_everywhere() -> None:
    with pytest.raises(ContractError, match=r"no environment 'prodution'; set RETRAIN_ENVIRONMENT to one of dev, production"):
        Contract.model_validate(written(dev={}, production={})).in_environment("prodution")
    plain = Contract.model_validate(CONTRACT)
    assert plain.in_environment("anything") is plain


@pytest.mark.parametrize("part", SAME_EVERYWHERE)
def test_what_the_model_is_does_not_differ(part: str) -> None:
    assert "is the same in every environment" in faults(staging={part: CONTRACT.get(part, {})})[f"environments.staging.{part}"]


@pytest.mark.parametrize("field", sorted({one.alias or name for name, one in Source.model_fields.items()} - {*PLACE_OF_SOURCE}))
def test_what_the_rows_mean_does_not_differ(field: str) -> None:
    assert "says what the rows mean" in faults(staging={"source": {field: "x"}})[f"environments.staging.source.{field}"]


def test_every_part_of_a_contract_either_may_differ_or_is_the_same() -> None:
    assert {*MAY_DIFFER} | {*SAME_EVERYWHERE} == {*Contract.model_fields}
    assert not {*MAY_DIFFER} & {*SAME_EVERYWHERE}


def test_faults_of_every_environment_are_told_at_their_place() -> None:
    found = faults(dev={"gates": {"dat": {}}}, staging={"toggle": {"expires_after": "2d"}}, production={"promoted_from": "pre"})
    assert found["environments.dev.gates.dat"] == "Extra inputs are not permitted"
    assert "toggle.expires_after must be longer" in found["environments.staging"]
    assert (
        "'pre' is no other environment of this contract; write one of dev, staging"
        in found["environments.production.promoted_from"]
    )


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        (
            {"gates": {"data": {"min_rowz": 5}}},
            "environments.dev.gates.data.min_rowz: there is no such field; did you mean min_rows?",
        ),
        ({"gats": {}}, "environments.dev.gats: there is no such field; did you mean gates?"),
        ({"approval": {"required": 9}}, "environments.dev"),
        ({"toggle": {"expires_after": "2d"}}, "environments.dev.toggle.expires_after must be longer"),
        ({"model": "other"}, "environments.dev.model: is the same in every environment"),
    ],
)
def test_the_command_names_the_line_inside_the_environment(overlay: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = write_project(tmp_path, {**ATTRIBUTES, "environments": {"staging": {}, "dev": overlay}})
    with pytest.raises(ContractError) as caught:
        contract_of(MODEL, tmp_path)
    lines = file.read_text().splitlines()
    number = int(caught.value.where.rpartition(":")[2])
    assert said in caught.value.line
    assert lines[number - 1].strip().split(":")[0] == caught.value.what.split(":")[0].split(" ")[0].rpartition(".")[2]
    assert number > lines.index("  environments:")


def test_the_schema_for_editors_and_dg_knows_the_fields_of_an_environment() -> None:
    schema = Contract.model_json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    parts = {name: CONTRACT[name] for name in MAY_DIFFER if name in CONTRACT and name != "source"}
    assert not list(validator.iter_errors(written(dev={**parts, "economics": None}, staging=None)))
    wrong = written(
        dev={"gates": {"data": {"min_rowz": 1}}, "source": {"label": "x"}, "trainer": {}, "experiment": {"ramp": "all"}}
    )
    assert {".".join(map(str, one.path)) for one in validator.iter_errors(wrong)} == {
        "environments.dev",
        "environments.dev.gates.data",
        "environments.dev.source",
        "environments.dev.experiment.ramp",
    }


def test_the_process_gets_the_contract_of_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_project(tmp_path, {**ATTRIBUTES, "environments": {"staging": {"approval": {"required": 2}}, "dev": {}}})
    assert yaml.safe_load(file.read_text())["attributes"]["environments"]
    assert contract_of(MODEL, tmp_path).approval.required == 1
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", "staging")
    assert contract_of(MODEL, tmp_path).approval.required == 2
    assert contract_of(MODEL, tmp_path, "dev").approval.required == 1
