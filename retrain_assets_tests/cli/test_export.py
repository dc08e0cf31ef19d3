"""``retrain export databricks``: the ledger's split on a serving endpoint."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrain_assets.contract import digest_of
from retrain_assets.ledger import EventKind
from retrain_assets_tests.serving.databricks_workspace import Workspace, listening

from .conftest import Run, parsed
from .world import MODEL, RUTH, SECOND, TOGGLE, World

EXPORT = ("export", "databricks", MODEL, "--endpoint", "churn", "--entity", "main.shop.churn")


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    found = Workspace()
    with listening(found) as address:
        monkeypatch.setenv("DATABRICKS_HOST", address)
        monkeypatch.setenv("DATABRICKS_TOKEN", "secret")
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
        yield found


def test_the_split_is_exported_with_its_reason_and_the_note_that_it_is_not_sticky(
    act: Run, ramping: World, workspace: Workspace
) -> None:
    text = act(*EXPORT, "--ignore-cohort").stdout
    assert "churn: version 1 of main.shop.churn: not served → 50 %\n" in text
    assert "note: Databricks draws the version anew for every request: not sticky per unit" in text
    assert workspace.served("churn") == {"1": 50, "2": 50}
    tags = {tag.key: tag.value for tag in workspace.endpoints["churn"].tags or []}
    assert tags == {
        "retrain_split": f"{TOGGLE} revision {ramping.toggle.stage_revision}",
        "retrain_by": "person:ruth@example.org",
        "retrain_reason": "because of the test",
    }
    again = parsed(act(*EXPORT, "--ignore-cohort", "--json"))
    assert (again["changed"], again["served"], again["sticky"]) == ([], {"1": 50, "2": 50}, False)


def test_what_was_exported_is_on_record_once(act: Run, run: Run, ramping: World, workspace: Workspace) -> None:
    text = act(*EXPORT, "--ignore-cohort").stdout
    act(*EXPORT, "--ignore-cohort")
    (event,) = [one for one in ramping.controller.ledger.events() if one.kind is EventKind.SPLIT_EXPORTED]
    assert f"recorded: event {event.sequence} split_exported" in text
    told = event.payload
    assert (told["endpoint"], told["entity"], told["share"]) == ("churn", "main.shop.churn", 0.5)
    assert told["revision"] == ramping.toggle.stage_revision
    assert told["digest"] == digest_of(told["served"])
    assert (event.toggle, event.retrain, event.reason, event.actor.name) == (TOGGLE, SECOND, "because of the test", RUTH.name)
    said = "endpoint churn serves main.shop.churn: version 1 50 %, version 2 50 %, of revision"
    assert said in run("audit", "show", MODEL).stdout


def test_what_databricks_accepted_is_on_record_also_when_its_update_fails(act: Run, ramping: World, workspace: Workspace) -> None:
    workspace.updates_fail = "Container image creation failed"
    act(*EXPORT, "--ignore-cohort", code=3)
    kinds = [event.kind for event in ramping.controller.ledger.events()]
    assert kinds.count(EventKind.SPLIT_EXPORTED) == 1


def test_a_dry_run_prints_what_would_change(act: Run, ramping: World, workspace: Workspace) -> None:
    text = act(*EXPORT, "--ignore-cohort", "--dry-run").stdout
    assert "churn: version 2 of main.shop.churn: not served → 50 % (not done)" in text
    assert workspace.writes() == []
    assert all(event.kind is not EventKind.SPLIT_EXPORTED for event in ramping.controller.ledger.events())


def test_a_cohort_is_not_dropped_silently(act: Run, ramping: World, workspace: Workspace) -> None:
    assert "the cohort (region) cannot be kept" in act(*EXPORT, code=1).stderr
    assert workspace.calls == []


def test_versions_of_a_local_registry_are_not_taken_for_those_on_databricks(act: Run, ramping: World) -> None:
    refused = act("export", "databricks", MODEL, "--endpoint", "churn", code=1).stderr
    assert "this home's registry is not Databricks'" in refused


def test_a_version_that_is_not_the_recorded_bundle_is_not_exported(act: Run, ramping: World, workspace: Workspace) -> None:
    with sqlite3.connect(ramping.home.root / "mlflow.db") as database:
        database.execute("UPDATE model_version_tags SET value = 'sha256:other' WHERE key = 'bundle_digest' AND version = 2")
    database.close()
    assert "the registry says sha256:other" in act(*EXPORT, "--ignore-cohort", code=4).stderr
    assert workspace.calls == []


def test_without_a_workspace_the_remedy_is_named(
    act: Run, ramping: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    assert "set DATABRICKS_HOST with DATABRICKS_CLIENT_ID" in act(*EXPORT, "--ignore-cohort", code=3).stderr
