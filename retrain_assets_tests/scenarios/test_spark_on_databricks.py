"""Every stage of a retrain, its look and the drift report by Spark on Databricks: the road and the record of one machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.compute.databricks.order import Order
from retrain_assets.compute.dispatch import run_stage
from retrain_assets.compute.request import StageResult
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.home import Home
from retrain_assets.release import Ending, ToggleStatus
from retrain_assets_tests.compute.spark.equality import assert_close
from retrain_assets_tests.scenarios.databricks_story import VOLUME, DatabricksStory, contract_there, databricks_story_in
from retrain_assets_tests.scenarios.story import BETTER, MODEL, RETRAIN, RUTH, copy_home
from retrain_assets_tests.simulation import accounts
from retrain_assets_tests.simulation.traffic import arrivals
from retrain_assets_tests.workspace.workspace import Workspace

STAGES = [*RETRAIN_STAGES, "drift", "canary"]
A_DAY = 2000


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, bootstrapped_home: Path, java: None) -> Iterator[DatabricksStory]:
    """A retrain, one look after a day of traffic, and a drift report, by tasks that each have a Spark session."""
    folder = tmp_path_factory.mktemp("databricks")
    copy_home(bootstrapped_home, folder / "home")
    with Workspace(folder / "workspace") as workspace:
        workspace.add_volume("main.retrain.state")
        contract = contract_there(settings={"engine": "spark", "stages": STAGES})
        with databricks_story_in(folder / "home", workspace, contract) as story:
            assert story.retrain(), story.failed_step()
            controller, now = story.controller, story.clock.now()
            toggle = controller.register_and_arm(story.contract, RETRAIN, RUTH, "its offline gates passed")
            controller.step(toggle.name, RUTH, "enter the ramp")
            story.write_source(pl.concat([accounts(days=90).filter(pl.col("seen_at") < now), arrivals(now, A_DAY)]))
            story.serve_days(1, BETTER, A_DAY)
            assert story.engine.run(story.engine.road.drift_job), story.failed_step()
            yield story


@pytest.fixture(autouse=True)
def in_its_home(story: DatabricksStory, retrain_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and stages find the story's home, not the empty one of the test."""
    monkeypatch.setenv("RETRAIN_HOME", str(story.home.root))


def outcomes(result: StageResult) -> dict[str, str]:
    """Each check's outcome."""
    return {one["check"]: one["outcome"] for found in result.verdicts.values() for one in found}


def test_its_results_and_verdicts_are_those_of_one_machine(story: DatabricksStory, evaluated_home: Path) -> None:
    for stage in RETRAIN_STAGES:
        there = story.result(stage)
        here = StageResult.read(Home(evaluated_home).stage_dir(MODEL, RETRAIN, stage) / "result.json")
        assert there.request_digest == here.request_digest
        assert outcomes(there) == outcomes(here)
        if stage in ("dataset", "features"):
            digests = [{name: output["digest"] for name, output in made.outputs.items()} for made in (there, here)]
            assert digests[0] == digests[1], stage
        if stage == "training":
            assert_close(there.metadata["holdout_metrics"], here.metadata["holdout_metrics"])
        if stage == "evaluation":
            assert_close(there.metadata["evaluation"]["metrics"], here.metadata["evaluation"]["metrics"])
    assert (Path(story.result("dataset").outputs["dataset"]["uri"]) / "train.parquet").is_dir(), "parts of executors came home"


def test_a_retrain_a_look_and_a_drift_report_cost_a_cluster_start_each_and_a_tick_without_a_look_none(
    story: DatabricksStory,
) -> None:
    assert len(story.there.cluster_starts) == story.asked("/jobs/run-now") == 3
    asked = len(story.there.requests)
    assert story.look() == []
    assert len(story.there.requests) == asked, "whether a look is due is seen here"


@pytest.mark.parametrize("asset", ["canary_report", "drift_report"])
def test_the_page_says_where_it_was_counted_and_what_that_cost(story: DatabricksStory, asset: str) -> None:
    page = story.page(asset)
    assert "#job/" in str(page["run page url"].value)
    assert "0.6 an hour for 1 nodes" in str(page["cost on Databricks"].value)


@pytest.mark.parametrize("stage", ["canary", "drift"])
def test_one_process_counts_and_sketches_the_same(
    story: DatabricksStory, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's own order again, without Spark."""
    monkeypatch.setenv("RETRAIN_VOLUMES", str(story.there.root))
    (path,) = [one.parent for one in story.there.path(f"{VOLUME}/orders/{MODEL}").glob(f"*/*/{stage}/result.json")]
    order = Order.parsed(str(path.parent), (path.parent / "order.json").read_bytes())
    here = run_stage(replace(order.requests[stage], engine="single_node", output_dir=str(tmp_path / "here")))
    told = json.loads((path / "result.json").read_text())["result"]
    if stage == "drift":
        assert_close(told["metadata"]["report"], here.metadata["report"])
        assert here.metadata["report"]["rows"] > 900
        return
    texts = (story.there.path(told["outputs"]["data"]["uri"]), Path(here.outputs["data"]["uri"]))
    there, local = (json.loads(one.read_bytes()) for one in texts)
    assert_close(there, local)
    assert there["exposures"] == A_DAY


def test_its_record_verifies_and_is_made_again_by_one_process(story: DatabricksStory) -> None:
    """A person takes it back; the evidence pack is written, and every step of it is equal when computed here."""
    assert (story.toggle().state, story.toggle().stage) == (ToggleStatus.RAMPING, "50")
    story.controller.rollback(story.toggle().name, RUTH, "The service desk is not ready.")
    story.decide()
    assert story.retrain_state().ended is Ending.ROLLED_BACK
    assert (story.home.reports_dir(MODEL) / f"{RETRAIN}.html").exists()
    verified = CliRunner().invoke(app, ["audit", "verify"])
    assert verified.exit_code == 0, verified.output
    again = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN])
    assert again.exit_code == 0, again.output
    assert "look 1" in again.output
