"""The whole road with ``compute: databricks``: the same as locally, but for where the heavy stages ran."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.compute.request import StageResult
from retrain_assets.contract import Gate, Outcome
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.home import Home
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.scenarios.conftest import story_in
from retrain_assets_tests.scenarios.databricks_story import DatabricksStory, databricks_story_in
from retrain_assets_tests.scenarios.story import BETTER, MODEL, RETRAIN, copy_home
from retrain_assets_tests.workspace.workspace import Workspace


@pytest.fixture(scope="module", autouse=True)
def outside_a_checkout() -> Iterator[None]:
    """The commit is part of a bundle; of a checkout that somebody works in it would not be the same all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_DIR", os.devnull)
        yield


@pytest.fixture(scope="module")
def made_here(tmp_path_factory: pytest.TempPathFactory, bootstrapped_home: Path, outside_a_checkout: None) -> Home:
    """The same retrain, made on this machine."""
    root = tmp_path_factory.mktemp("here") / "home"
    copy_home(bootstrapped_home, root)
    with story_in(root) as story:
        assert story.retrain()
    return Home(root)


@pytest.fixture(scope="module")
def promoted(
    tmp_path_factory: pytest.TempPathFactory, bootstrapped_home: Path, outside_a_checkout: None
) -> Iterator[DatabricksStory]:
    """A champion made locally; then a retrain on Databricks, from its launch to its promotion."""
    folder = tmp_path_factory.mktemp("databricks")
    copy_home(bootstrapped_home, folder / "home")
    with Workspace(folder / "workspace", wheels=tmp_path_factory.getbasetemp() / "wheels") as workspace:
        workspace.add_volume("main.retrain.state")
        with databricks_story_in(folder / "home", workspace) as story:
            assert story.retrain(), story.failed_step()
            story.look()
            story.serve_days(2, BETTER)
            story.approve()
            story.decide()
            yield story


@pytest.fixture(autouse=True)
def in_its_home(promoted: DatabricksStory, retrain_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and assets find the story's home, not the empty one of the test."""
    monkeypatch.setenv("RETRAIN_HOME", str(promoted.home.root))


def test_a_retrain_is_promoted_after_all_its_gates(promoted: DatabricksStory) -> None:
    """Data, features, training and evaluation there; canary, approval and promotion here."""
    retrain = promoted.retrain_state()
    assert promoted.toggle().state is ToggleStatus.PROMOTED
    assert promoted.state.champion == retrain.candidate
    assert retrain.ended == "promoted"
    assert {gate: record.outcome for gate, record in retrain.verdicts.items()} == dict.fromkeys(
        (Gate.DATA, Gate.TRAINING, Gate.OFFLINE, Gate.CANARY), Outcome.PASS
    )
    assert len(promoted.registry.list_versions(MODEL)) == 2


def test_all_stages_of_the_retrain_were_one_run_on_one_cluster(promoted: DatabricksStory) -> None:
    told = [promoted.result(stage).run["databricks"] for stage in RETRAIN_STAGES]
    ids = {name: {one[name] for one in told} for name in ("job_id", "run_id", "cluster_id", "order")}
    assert {name: len(found) for name, found in ids.items()} == dict.fromkeys(ids, 1), told
    assert promoted.asked("/jobs/run-now") == 1
    assert told[0]["cluster_events"]["counts"]["CREATING"] == 1


def test_it_gives_the_digests_that_this_machine_gives(promoted: DatabricksStory, made_here: Home) -> None:
    """Data set, features, bundle and evaluation, and what was asked: equal to those of the same retrain made here."""
    for stage in RETRAIN_STAGES:
        there, local = promoted.result(stage), StageResult.read(made_here.stage_dir(MODEL, RETRAIN, stage) / "result.json")
        assert there.metadata.get("manifest") == local.metadata.get("manifest")
        digests = [{name: output["digest"] for name, output in one.outputs.items()} for one in (there, local)]
        assert digests[0] == digests[1], stage
        assert there.request_digest == local.request_digest


def test_the_gates_are_checks_of_their_assets_and_say_what_the_ledger_says(promoted: DatabricksStory) -> None:
    """As many checks as locally, each blocking, with the recorded verdict; no step of its own beside the asset."""
    road = promoted.engine.road
    for asset, gate in (("dataset", Gate.DATA), ("candidate_model", Gate.TRAINING), ("evaluation_report", Gate.OFFLINE)):
        checks = {name: told for name, told in promoted.checks(asset).items() if name != "experiment_can_conclude"}
        recorded = promoted.retrain_state().verdicts[gate].checks
        assert checks
        assert {name: passed for name, (passed, _) in checks.items()} == {name: recorded[name].verdict.passed for name in checks}
        assert {partition for _, partition in checks.values()} == {RETRAIN}
    assert not [name for name in promoted.steps(road.retrain_job) if "gate" in name]


def test_pages_say_where_the_stage_ran_and_what_it_cost(promoted: DatabricksStory) -> None:
    page = promoted.page("candidate_model")
    facts = promoted.result("training").run["databricks"]
    assert page["run page url"].value == facts["run_page_url"]
    assert f"run {facts['run_id']} of job {facts['job_id']}, cluster {facts['cluster_id']}, try 1" in str(
        page["run on Databricks"].value
    )
    assert "0.6 an hour for 1 nodes" in str(page["cost on Databricks"].value)
    assert "creating" in str(page["cluster events"].value)
    assert page["cost_amount"].value == pytest.approx(facts["cost"]["amount"])


def test_the_record_verifies_and_the_retrain_reproduces_here(promoted: DatabricksStory) -> None:
    verified = CliRunner().invoke(app, ["audit", "verify"])
    assert verified.exit_code == 0, verified.output
    again = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN])
    assert again.exit_code == 0, again.output


def test_running_the_retrain_again_starts_nothing(promoted: DatabricksStory) -> None:
    """Decided or not, its results are stored: no call of the jobs API, no second version."""
    before, events = Counter(promoted.there.requests), promoted.events()
    assert promoted.retrain()
    assert Counter(promoted.there.requests) == before
    assert promoted.events() == events


def test_every_call_that_a_retrain_makes_is_in_the_list_a_platform_engineer_grants_by(promoted: DatabricksStory) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "databricks.md").read_text(encoding="utf-8")
    listed = [
        (method, re.compile(re.escape(path).replace("…", ".+")))
        for methods, path in re.findall(r"^\| `([A-Z, ]+) (/\S+)` \|", page, flags=re.MULTILINE)
        for method in methods.split(", ")
    ]
    asked = sorted(set(promoted.there.requests))
    assert len(listed) > 20
    assert ("POST", "/api/2.2/jobs/run-now") in asked
    assert [one for one in asked if not any(one[0] == method and path.fullmatch(one[1]) for method, path in listed)] == []
