"""A retrain by the Spark session that this process has already: the road of one machine, and a session left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.compute.request import StageResult
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.home import Home
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.compute.spark.equality import assert_close
from retrain_assets_tests.scenarios.conftest import story_in
from retrain_assets_tests.scenarios.story import BETTER, MODEL, RETRAIN, Story, copy_home
from retrain_assets_tests.simulation import contract_with

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COMPUTE = {"spark": {"master": "local[2]", "stages": [*RETRAIN_STAGES, "drift", "canary"]}}


@pytest.fixture(scope="module")
def story(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, bootstrapped_home: Path) -> Iterator[Story]:
    """A champion serves; from here on heavy stages run on Spark."""
    root = tmp_path_factory.mktemp("spark") / "home"
    copy_home(bootstrapped_home, root)
    with story_in(root) as plain:
        yield Story(plain.home, plain.instance, contract_with(compute=COMPUTE))


@pytest.fixture(scope="module")
def settings(spark: SparkSession, story: Story) -> tuple[dict[str, str], dict[str, str]]:
    """The settings of the session before and after a retrain that another thread made, with a look and a drift report."""
    before = dict(spark.conf.getAll)
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(story.retrain).result(), story.failed_step()
    story.look()
    story.serve_days(1, BETTER)
    assert story.engine.run(story.engine.road.drift_job), story.failed_step()
    return before, dict(spark.conf.getAll)


@pytest.fixture(autouse=True)
def in_its_home(story: Story, retrain_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the story's home, not the empty one of the test."""
    monkeypatch.setenv("RETRAIN_HOME", str(story.home.root))


def results(root: Path) -> dict[str, StageResult]:
    """What the stages of the retrain gave."""
    return {stage: StageResult.read(Home(root).stage_dir(MODEL, RETRAIN, stage) / "result.json") for stage in RETRAIN_STAGES}


def outcomes(result: StageResult) -> dict[str, str]:
    """Each check's outcome."""
    return {one["check"]: one["outcome"] for found in result.verdicts.values() for one in found}


def test_the_session_is_used_as_it_is_and_keeps_its_settings(
    settings: tuple[dict[str, str], dict[str, str]], spark: SparkSession
) -> None:
    """Another thread finds the session too; a builder would have put the contract's settings on it."""
    from pyspark.sql import SparkSession as Sessions

    before, after = settings
    assert before["spark.sql.session.timeZone"] == "America/New_York"
    assert after == before
    assert Sessions.active() is spark


def test_both_engines_give_one_retrain(
    settings: tuple[dict[str, str], dict[str, str]], story: Story, evaluated_home: Path
) -> None:
    """What was asked, the digests of data and features, the metrics, and every verdict."""
    here, there = results(story.home.root), results(evaluated_home)
    for stage in RETRAIN_STAGES:
        assert here[stage].request_digest == there[stage].request_digest
        assert outcomes(here[stage]) == outcomes(there[stage])
    for stage in ("dataset", "features"):
        digests = [{name: output["digest"] for name, output in one[stage].outputs.items()} for one in (here, there)]
        assert digests[0] == digests[1], stage
    assert_close(*(made["training"].metadata["holdout_metrics"] for made in (here, there)))
    assert_close(*(made["evaluation"].metadata["evaluation"]["metrics"] for made in (here, there)))
    folder = story.home.stage_dir(MODEL, RETRAIN, "dataset") / "dataset"
    assert (folder / "train.parquet").is_dir(), "the rows are parts, as executors write them"


def test_its_looks_and_its_record_hold_when_one_process_makes_them_again(
    settings: tuple[dict[str, str], dict[str, str]], story: Story
) -> None:
    toggle = story.toggle()
    assert (toggle.state, toggle.stage) == (ToggleStatus.RAMPING, "50")
    again = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN, "--fast"])
    assert again.exit_code == 0, again.output
    assert "look 2" in again.output
    verified = CliRunner().invoke(app, ["audit", "verify"])
    assert verified.exit_code == 0, verified.output
