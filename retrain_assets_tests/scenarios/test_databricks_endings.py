"""Retrains on Databricks that end before traffic: stopped by a gate, refused for their cost, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrain_assets.assets.requests import retrain_request
from retrain_assets.assets.road import cutoff_of
from retrain_assets.cli.app import app
from retrain_assets.compute.request import StageResult
from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets_tests.scenarios.databricks_story import DatabricksStory, contract_there, databricks_story_in
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN, copy_home, morning_of
from retrain_assets_tests.workspace.workspace import Workspace

LEAKY = "retrain_assets_tests.simulation.features.build_with_leak"


@pytest.fixture
def story(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, bootstrapped_home: Path, retrain_home: Path
) -> Iterator[DatabricksStory]:
    """A champion made locally; what is launched from now on runs on Databricks."""
    copy_home(bootstrapped_home, retrain_home)
    with Workspace(tmp_path / "workspace", wheels=tmp_path_factory.getbasetemp() / "wheels") as workspace:
        workspace.add_volume("main.retrain.state")
        with databricks_story_in(retrain_home, workspace) as made:
            yield made


def test_a_gate_that_closes_stops_the_run_there_and_what_is_too_large_stays_there(story: DatabricksStory) -> None:
    """A leaking feature: the tasks behind it compute nothing, nothing is registered, the record is complete without the files."""
    before, versions = story.activation, story.registry.list_versions(MODEL)

    assert not story.retrain(contract=contract_there(features=LEAKY, settings={"fetch_up_to_mb": 0}))

    assert story.retrain_state().verdicts[Gate.DATA].outcome is Outcome.FAIL
    assert "no_single_feature_separates_label" in story.failed_checks()
    assert story.asked("/jobs/run-now") == 1
    volume = story.there.path("/Volumes/main/retrain/state/stages") / MODEL / RETRAIN
    assert sorted(path.name for path in volume.iterdir() if path.is_dir()) == ["dataset", "features"]
    folder = story.home.stage_dir(MODEL, RETRAIN, "dataset")
    assert [path.name for path in folder.iterdir()] == ["result.json"]
    assert story.result("dataset").outputs["dataset"]["uri"].startswith("/Volumes/main/retrain/state/stages/")
    story.decide()
    assert story.retrain_state().ended == "stopped"
    assert (story.activation, story.registry.list_versions(MODEL)) == (before, versions)
    assert json.loads((story.home.reports_dir(MODEL) / f"{RETRAIN}.json").read_text())
    assert "no forecast: 2 retrains measured, 4 are needed" in str(story.page("capacity_forecast")["forecast"].value)

    told = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN])
    assert told.exit_code == 3, told.output
    assert "stayed on the volume, which is not mounted here (RETRAIN_VOLUMES)" in told.output
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRAIN_VOLUMES", str(story.there.root))
        mounted = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN])
    assert mounted.exit_code == 0, mounted.output


def test_a_fit_that_is_expected_to_go_beyond_its_budget_is_not_submitted(story: DatabricksStory) -> None:
    """Four weeks of records say that the fit takes ten minutes and five are allowed: one line, and no call of the jobs API."""
    for week in range(4, 0, -1):
        _measured(story, f"{cutoff_of(RETRAIN) - timedelta(weeks=week):%Y-%m-%d}.9", fit_s=600.0)

    assert not story.retrain(contract=contract_there())

    (event,) = story.events(EventKind.STAGE_FAILED)
    message = event.payload["message"]
    assert "the fit is expected to take 10 min" in message
    assert "max_duration allows 5 min; nothing was submitted" in message
    assert "\n" not in message
    assert story.failed_step() == message
    assert story.asked("/jobs/run-now") == story.asked("/jobs/create") == 0

    story.decide()
    assert story.retrain_state().ended == "failed"
    page = story.page("capacity_forecast")
    assert "the fit is expected to take 10 min" in str(page["budget"].value)
    assert "no forecast of the whole, as features and evaluation ran too seldom" in str(page["forecast"].value)
    assert str(page["plots"].value).count("data:image/svg+xml") == 3


def test_an_interrupted_run_is_cancelled_there_and_the_next_launch_finishes(story: DatabricksStory, tmp_path: Path) -> None:
    """The orchestrator is stopped while the data set is taken: the job's run ends as cancelled, nothing stays half done."""
    script = tmp_path / "launch.py"
    script.write_text(LAUNCH)
    story.travel(max(morning_of(RETRAIN), story.clock.now()))
    told = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, str(script), str(story.home.root)], env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while story.asked("/jobs/runs/get") < 2 and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)

    assert story.asked("/jobs/runs/cancel") == 1, output
    assert "RUN_FAILURE" in output or "interrupted" in output.lower(), output
    (run,) = [one for one in story.there.client().jobs.list_runs() if one.state is not None]
    assert run.state is not None
    assert run.state.result_state is not None
    assert run.state.result_state.value == "CANCELED"
    assert not (story.home.stage_dir(MODEL, RETRAIN, "dataset") / "result.json").exists()

    story.instance.add_dynamic_partitions(f"{MODEL}_retrains", [RETRAIN])
    assert story.materialize("dataset").success
    assert story.asked("/jobs/run-now") == 2
    assert story.retrain_state().verdicts[Gate.DATA]


LAUNCH = """
import sys
from pathlib import Path

import dagster as dg

from retrain_assets.home import Home
from retrain_assets.replay.engine import Engine
from retrain_assets_tests.scenarios.databricks_story import contract_there
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN

if __name__ == "__main__":
    home = Home(Path(sys.argv[1]))
    with dg.DagsterInstance.ephemeral() as instance:
        Engine(contract_there(), home, instance).launch(RETRAIN, person="dana@example.org", why="a story")
        (run,) = instance.get_runs(limit=1)
        print("run ended as", run.status, [e.message for e in instance.all_logs(run.run_id)][-3:])
"""


def _measured(story: DatabricksStory, key: str, fit_s: float) -> None:
    """A retrain of which only the records of its data set and of its training are there."""
    controller, contract = story.controller, contract_there()
    controller.ensure_launched(contract, key, {"kind": "manual run"}, SYSTEM)
    moment = f"{cutoff_of(key):%Y-%m-%d}T06:00:00+00:00"
    run = {"started_at": moment, "ended_at": moment, "seconds": 2 * fit_s, "machine": {"cpu": "a node"}}
    facts = {"dataset": {"rows": {"train": 2400, "holdout": 600}}, "training": {"evidence": {"duration_s": fit_s}}}
    for stage, gate in (("dataset", Gate.DATA), ("training", Gate.TRAINING)):
        digest = retrain_request(story.engine.platform, story.engine.road, key, "dataset").digest
        record = StageResult(stage, {}, facts[stage], {}, digest, run).record
        verdict = Verdict(gate, "measured", Outcome.PASS, "as told")
        controller.record_gate(MODEL, key, gate, [verdict], {"stage_record": story.evidence.put(record)})
