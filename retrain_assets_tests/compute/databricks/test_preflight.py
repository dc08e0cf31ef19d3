"""What a workspace lacks for a contract is told before the first retrain, a line each, and nothing is left behind there."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from retrain_assets.compute.databricks.preflight import PROBE, Finding, preflight
from retrain_assets.contract import Contract
from retrain_assets_tests.simulation import contract_with
from retrain_assets_tests.workspace import ServerError, Workspace

VOLUME = "/Volumes/main/retrain/state"
UNIT_KEY = bytes(range(32))
CLUSTER = {"node_type": "i3.xlarge"}


def contract_on(**changes: Any) -> Contract:
    source = changes.pop("source", {})
    compute = {"databricks": {"volume": VOLUME, "cluster": CLUSTER, **changes}}
    return contract_with(compute=compute, **{f"source__{name}": value for name, value in source.items()})


def findings(workspace: Workspace, contract: Contract) -> dict[str, Finding]:
    settings = contract.databricks
    assert settings is not None
    return {one.subject: one for one in preflight(contract, settings, workspace.client(), UNIT_KEY)}


def put_key(workspace: Workspace, key: bytes) -> None:
    workspace.parts["secrets"].put("retrain", "unit_key", base64.b64encode(key))


def test_a_workspace_that_has_everything_holds_and_is_left_as_it_was(workspace: Workspace) -> None:
    put_key(workspace, UNIT_KEY)
    found = findings(workspace, contract_on(secret_scope="retrain"))
    assert [one.subject for one in found.values() if not one.holds] == []
    assert "engineer@example.com" in found["identity"].said
    assert found[f"volume {VOLUME}"].said == "can be written and read"
    assert "cores" in found["node type i3.xlarge"].said
    assert not (workspace.path(VOLUME) / PROBE).exists()


def test_a_volume_that_may_only_be_read_is_told_with_the_grant_that_is_missing(workspace: Workspace) -> None:
    workspace.add_volume("main.retrain.closed", permissions={workspace.user: {"READ_VOLUME"}})
    (one,) = [
        one
        for one in findings(workspace, contract_on(volume="/Volumes/main/retrain/closed")).values()
        if one.subject.startswith("volume")
    ]
    assert not one.holds
    assert "WRITE VOLUME" in one.said


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"volume": "/Volumes/main/retrain/nowhere"}, "volume /Volumes/main/retrain/nowhere"),
        ({"cluster": {"node_type": "none.small"}}, "node type none.small"),
        ({"cluster": {**CLUSTER, "spark_version": "1.0.x-scala2.13"}}, "runtime 1.0.x-scala2.13"),
        ({"cluster": {"instance_pool": "no-pool"}}, "instance pool no-pool"),
        ({"cluster": {**CLUSTER, "policy": "NOPOLICY"}}, "cluster policy NOPOLICY"),
        ({"cluster": None, "existing_cluster": "0000-none"}, "cluster 0000-none"),
        ({"job": 999}, "job 999"),
        ({"secret_scope": "nowhere"}, "secret nowhere/unit_key"),
        ({"warehouse": "nowhere"}, "warehouse nowhere"),
        ({"source": {"uri": None, "table": "main.shop.nothing"}}, "table main.shop.nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_there_is_the_one_thing_that_does_not_hold(
    workspace: Workspace, changes: dict[str, Any], subject: str
) -> None:
    found = findings(workspace, contract_on(**changes))
    assert [one.subject for one in found.values() if not one.holds] == [subject]


def test_a_table_without_the_contracts_columns_is_told_with_their_names(workspace: Workspace, tmp_path: Path) -> None:
    pl.DataFrame({"account": ["a"], "churned": [1]}).write_delta(tmp_path / "table")
    workspace.parts["unity_catalog"].add_table("main.shop.accounts", tmp_path / "table")
    found = findings(workspace, contract_on(source={"uri": None, "table": "main.shop.accounts"}))
    assert "has no column seen_at" in found["table main.shop.accounts"].said


def test_a_secret_of_another_home_is_told_as_units_would_be_called_otherwise(workspace: Workspace) -> None:
    put_key(workspace, bytes(32))
    said = findings(workspace, contract_on(secret_scope="retrain"))["secret retrain/unit_key"]
    assert (said.holds, "not this home's unit key" in said.said) == (False, True)


def test_a_fault_that_passes_is_no_finding(workspace: Workspace) -> None:
    workspace.misbehave(ServerError(500), on="*spark-versions*")
    assert all(one.holds for one in findings(workspace, contract_on()).values())


def test_the_schema_of_the_registry_is_asked_for(workspace: Workspace) -> None:
    workspace.parts["unity_catalog"].add_schema("main.models")
    contract = contract_on()
    settings = contract.databricks
    assert settings is not None
    for schema, holds in (("main.models", True), ("main.nothing", False)):
        found = list(preflight(contract, settings, workspace.client(), UNIT_KEY, schema))
        assert [one.holds for one in found if one.subject == f"registry {schema}"] == [holds]


def test_who_is_not_known_is_told_that_alone(workspace: Workspace) -> None:
    contract = contract_on()
    settings = contract.databricks
    assert settings is not None
    (one,) = preflight(contract, settings, workspace.client(token="dapi0"), UNIT_KEY)
    assert (one.subject, one.holds) == ("identity", False)
    assert "does not accept the credentials" in one.said


def test_a_secret_that_is_not_there_is_told_with_what_to_put_where(workspace: Workspace) -> None:
    said = findings(workspace, contract_on(secret_scope="nowhere"))["secret nowhere/unit_key"].said
    assert "put the home's unit key into nowhere/unit_key" in said
