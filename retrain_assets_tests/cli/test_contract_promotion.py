"""A contract goes from staging to production on proof that it ran there, signed by an approver; without it nothing starts."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.cli.contracts import contract_of
from retrain_assets.cli.opening import controller_of
from retrain_assets.contract import Refused
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets_tests.release.people import key_of, line_of

from .conftest import Run
from .world import ATTRIBUTES, MODEL, RUTH, write_project

PRODUCTION = {"promoted_from": "staging", "approval": {"required": 2}}


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """Two homes and the contract of both."""
    write_project(tmp_path, {**deepcopy(ATTRIBUTES), "environments": {"staging": {}, "production": PRODUCTION}})
    return {name: {"RETRAIN_ENVIRONMENT": name, "RETRAIN_HOME": str(tmp_path / name)} for name in ("staging", "production")}


def launch(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, retrain: str = "2024-04-01") -> None:
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        controller_of(Home.from_environment()).launch_retrain(contract_of(MODEL), retrain, {"kind": "schedule"}, SYSTEM)


def proven(environments: dict[str, dict[str, str]], run: Run, tmp_path: Path) -> dict[str, Any]:
    said = run("contract", "proof", MODEL, **environments["staging"]).stdout
    (tmp_path / "proof.json").write_text(said)
    return json.loads(said)


def promoting(*more: str) -> tuple[str, ...]:
    options = ("--from", "staging", "--to", "production", "--proof", "proof.json", "--reason", "it held", "--as", RUTH.name)
    return ("contract", "promote", MODEL, *options, *more)


def test_a_contract_that_was_not_promoted_is_not_launched_and_then_it_is(
    environments: dict[str, dict[str, str]], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(
        Refused, match="was not promoted from staging; retrain contract promote churn --from staging --to production"
    ):
        launch(environments["production"], monkeypatch)
    launch(environments["staging"], monkeypatch)
    proof = proven(environments, run, tmp_path)
    event = json.loads(run(*promoting("--json"), **environments["production"]).stdout)
    assert event["kind"] == EventKind.CONTRACT_PROMOTED
    assert event["payload"]["environment"] == "production"
    assert event["payload"]["origin"] == proof
    assert proof["head"].startswith("1:")
    assert {one["field"]: one["tendency"] for one in event["payload"]["changes"]} == {
        "approval.required": "stricter",
        "promoted_from": "stricter",
    }
    launch(environments["production"], monkeypatch)
    verified = run("audit", "verify", code=3, **environments["production"]).stdout  # the registry is not there yet
    assert "approvals:   holds: 1 by name alone" in verified


def test_a_changed_contract_needs_its_own_run_and_promotion(
    environments: dict[str, dict[str, str]], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launch(environments["staging"], monkeypatch)
    proven(environments, run, tmp_path)
    file = tmp_path / "shop" / "defs" / MODEL / "defs.yaml"
    file.write_text(file.read_text().replace("min_rows: 500", "min_rows: 400"))
    refused = run(*promoting(), code=1, **environments["production"])
    assert "run this very contract in staging first" in refused.stderr
    assert "no retrain ran under this contract" in run("contract", "proof", MODEL, code=1, **environments["staging"]).stderr
    assert not (tmp_path / "production" / "environment").exists()


def test_it_is_promoted_once_by_an_approver_in_its_own_environment(
    environments: dict[str, dict[str, str]], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launch(environments["staging"], monkeypatch)
    proven(environments, run, tmp_path)
    assert "this process is of environment staging" in run(*promoting(), code=1, **environments["staging"]).stderr
    eve = ("--as", "eve@example.org")
    assert "is not an approver of churn" in run(*promoting(*eve), code=1, **environments["production"]).stderr
    said = run(*promoting(), **environments["production"]).stdout
    assert "approval.required: 1 -> 2 (stricter)" in said
    assert "was promoted already" in run(*promoting(), code=1, **environments["production"]).stderr


def test_a_file_that_is_no_proof_is_refused(environments: dict[str, dict[str, str]], run: Run, tmp_path: Path) -> None:
    missing = run(*promoting(), code=3, **environments["production"]).stderr
    assert "proof.json: cannot be read" in missing
    assert "retrain contract proof" in missing
    for text in ("{", "{}", json.dumps({"schema": "retrain_assets/contract-proof/1"})):
        (tmp_path / "proof.json").write_text(text)
        assert "retrain contract proof" in run(*promoting(), code=3, **environments["production"]).stderr


def test_where_the_contract_names_keys_the_promotion_is_signed_also_as_the_first_event_of_its_ledger(
    environments: dict[str, dict[str, str]], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signers = "".join(line_of(name) + "\n" for name in (RUTH.name, "paul@example.org"))
    approval = {**PRODUCTION["approval"], "allowed_signers": signers}
    written = {"staging": {}, "production": {**PRODUCTION, "approval": approval}}
    shutil.rmtree(tmp_path / "shop")
    write_project(tmp_path, {**deepcopy(ATTRIBUTES), "environments": written})
    launch(environments["staging"], monkeypatch)
    proven(environments, run, tmp_path)
    key_of(RUTH.name).write_private_key(str(tmp_path / "key"))
    (tmp_path / "key").chmod(0o600)
    wrong = tmp_path / "wrong"
    key_of("eve@example.org").write_private_key(str(wrong))
    wrong.chmod(0o600)
    run(*promoting("--key", str(wrong)), code=1, **environments["production"])
    event = json.loads(run(*promoting("--json", "--key", str(tmp_path / "key")), **environments["production"]).stdout)
    assert event["payload"]["signed"]["statement"]["act"] == "promote_contract"
    launch(environments["production"], monkeypatch)
    verified = run("audit", "verify", code=3, **environments["production"]).stdout
    assert "approvals:   holds: 1 signature" in verified
