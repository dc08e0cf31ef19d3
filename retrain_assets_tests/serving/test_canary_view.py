"""The view of a toggle: what cannot be read becomes a note; a look never fails because of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import RetrainError
from retrain_assets.experiment import Action, HealthCheck, Look, MeasureResult, MeasureSpec, MeasureState
from retrain_assets.gates.technical_side import Health
from retrain_assets.home import Home
from retrain_assets.release import ToggleState, ToggleStatus
from retrain_assets.routing import VersionRef
from retrain_assets.serving.canary_view import canary_view
from retrain_assets_tests.simulation.accounts import START, contract_with

ARMED = START + timedelta(days=60)


def toggle() -> ToggleState:
    return ToggleState(
        name="churn-2024-03-01", model="churn", retrain="2024-03-01", state=ToggleStatus.RAMPING, revision=4, stage_revision=4,
        stage="50", share=0.5, salt="salt", challenger=VersionRef("2", "sha256:b"), previous_champion=VersionRef("1", "sha256:a"),
        contract=contract_with().to_json(), owner="team:accounts", purpose="compare", status_since=ARMED, armed_at=ARMED,
        stage_started={4: ARMED}, shares={4: 0.5},
    )  # fmt: skip


def look() -> Look:
    cost = MeasureSpec("cost", "success", "decrease")
    result = MeasureResult(cost, MeasureState.WORSE, 10.0, 12.0, 2.0, 1.0, 3.0, 0.2, 0.1, 0.3, 500, 500, "cost is worse")
    return Look(ARMED, "50", 4, (result,), (HealthCheck("counts", True, "fine"),), action=Action.ROLL_BACK, reason="harm")


def test_a_home_without_traffic_and_registry_shows_the_business_side_and_says_what_is_missing(retrain_home: Path) -> None:
    found = canary_view(Home(retrain_home), toggle(), look(), ARMED + timedelta(days=1))
    assert found.total.health is Health.UNKNOWN
    assert found.sentence == "technically not to be judged yet, worse commercially: cost 10 → 12 (+20.0%)"
    assert sum("bundle cannot be read" in note for note in found.notes) == 2


def test_a_file_that_is_no_traffic_does_not_stop_the_look(retrain_home: Path) -> None:
    home = Home(retrain_home)
    home.exposures_dir("churn").mkdir(parents=True)
    (home.exposures_dir("churn") / "broken.parquet").write_bytes(b"not parquet")
    found = canary_view(home, toggle(), look(), ARMED + timedelta(days=1))
    assert found.notes[0].startswith("the technical side cannot be shown: ")
    assert found.failure(look()).sentence.startswith("the challenger is weaker")


def test_a_toggle_that_was_never_armed_has_no_view(retrain_home: Path) -> None:
    with pytest.raises(RetrainError, match="has not been armed"):
        canary_view(Home(retrain_home), replace(toggle(), armed_at=None), look(), ARMED)
