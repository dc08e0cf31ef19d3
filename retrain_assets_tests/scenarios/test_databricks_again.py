"""Retrains on Databricks that go on after a stop: an asset that failed here, a gate that two approvers overrode."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import Gate, Outcome
from retrain_assets.release import Ending
from retrain_assets_tests.scenarios.databricks_story import VOLUME, DatabricksStory, contract_there, databricks_story_in
from retrain_assets_tests.scenarios.story import MODEL, PAUL, RETRAIN, RUTH, copy_home
from retrain_assets_tests.workspace import SlowAnswer
from retrain_assets_tests.workspace.workspace import Workspace

TOO_MANY = 10_000_000


@pytest.fixture
def story(
    tmp_path: Path, bootstrapped_home: Path, retrain_home: Path, request: pytest.FixtureRequest
) -> Iterator[DatabricksStory]:
    """A champion made locally; what is launched from now on runs on Databricks, under the contract of the test."""
    copy_home(bootstrapped_home, retrain_home)
    with Workspace(tmp_path / "workspace") as workspace:
        workspace.add_volume("main.retrain.state")
        with databricks_story_in(retrain_home, workspace, contract_there(**request.param)) as made:
            yield made


def runs(story: DatabricksStory) -> list[str]:
    """How the runs of the job ended, in their order."""
    found = sorted(story.there.client().jobs.list_runs(), key=lambda run: run.run_id or 0)
    return [run.state.result_state.value for run in found if run.state is not None and run.state.result_state is not None]


@pytest.mark.parametrize("story", [{"settings": {"fetch_up_to_mb": 0, "secret_scope": "retrain"}}], indirect=True)
def test_what_was_sent_ahead_is_cancelled_when_an_asset_fails_here_and_the_next_launch_goes_on_from_there(
    story: DatabricksStory,
) -> None:
    """The bundle stays on the volume, so that nothing can be registered; the evaluation waits for its secret meanwhile."""
    scopes: Any = story.there.parts["secrets"]
    scopes.put("retrain", "unit_key", b64encode(b"k" * 32))
    story.there.misbehave(SlowAnswer(300), on="GET /api/2.0/secrets/get", after=3)

    assert not story.retrain()

    assert "the bundle stayed on the volume" in story.failed_step()
    assert runs(story) == ["CANCELED"]
    made = story.there.path(f"{VOLUME}/stages/{MODEL}/{RETRAIN}")
    assert sorted(path.parent.name for path in made.glob("*/result.json")) == ["dataset", "features", "training"]

    again = contract_there(settings={"secret_scope": "retrain"})
    assert story.retrain(contract=again), story.failed_step()
    assert runs(story) == ["CANCELED", "SUCCESS"]
    assert story.retrain_state().verdicts[Gate.OFFLINE].outcome is Outcome.PASS
    assert len(story.registry.list_versions(MODEL)) == 2


@pytest.mark.parametrize("story", [{"gates__data__min_rows": TOO_MANY}], indirect=True)
def test_a_retrain_that_was_stopped_and_overridden_goes_on_by_one_run_of_the_job(story: DatabricksStory) -> None:
    """The data set that was judged stays; features, candidate and evaluation are made, and launching it again makes nothing."""
    assert not story.retrain()
    story.decide()
    assert story.retrain_state().ended is Ending.STOPPED
    judged = (story.home.stage_dir(MODEL, RETRAIN, "dataset") / "result.json").read_bytes()
    for actor in (RUTH, PAUL):
        story.controller.override(MODEL, RETRAIN, "data.enough_rows", actor, "the limit is a typing error, see the incident")

    assert story.decide() == []
    (key,) = story.engine.tick("override_sensor")

    assert f":override-{story.retrain_state().reopened}" in key
    assert story.asked("/jobs/run-now") == 2
    gates = {gate: record.outcome for gate, record in story.retrain_state().verdicts.items()}
    assert gates == {Gate.DATA: Outcome.FAIL, Gate.TRAINING: Outcome.PASS, Gate.OFFLINE: Outcome.PASS}
    assert (story.home.stage_dir(MODEL, RETRAIN, "dataset") / "result.json").read_bytes() == judged
    assert story.retrain(), story.failed_step()
    assert story.asked("/jobs/run-now") == 2
    assert story.look() == [f"{MODEL}:{RETRAIN}:arm"]
