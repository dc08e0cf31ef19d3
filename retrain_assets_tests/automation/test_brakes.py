"""What kill switches, declared freezes and owners who left hold back of what starts by itself, and that it starts afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retrain_assets.assets import Road
from retrain_assets.automation.canary_sensor import canary_sensor
from retrain_assets.automation.decision_sensor import decision_sensor
from retrain_assets.automation.drift_sensor import drift_sensor
from retrain_assets.automation.schedules import cadence_schedule
from retrain_assets.drift import DriftReport
from retrain_assets.ledger import Actor
from retrain_assets_tests.automation.watch import RETRAIN, Watch, WorldPlatform, contract_telling, watching
from retrain_assets_tests.release.world import MODEL, RUTH

OPS = Actor("person", "ops@flights.example")
RULE = {"window": "14d", "limits": {"calibration_bias": 0.1}, "at_least": 1, "of_last": 1, "min_rows": 1}


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with watching(tmp_path, contract_telling(cadence={"cron": "0 6 1 * *", "wait_for_cron": "0s", "on_drift": RULE})) as found:
        yield found


def ticked(watch: Watch, make: Any) -> list[dg.RunRequest] | str:
    """What a sensor asks for, or why it asks for nothing."""
    platform = WorldPlatform(root=str(watch.world.root))
    answer = make([Road(watch.contract)])(dg.build_sensor_context(instance=watch.instance, resources={"platform": platform}))
    assert isinstance(answer, dg.SensorResult)
    return list(answer.run_requests or []) or str(answer.skip_reason and answer.skip_reason.skip_message)


def asked_for(watch: Watch) -> list[str | None]:
    """The retrains whose decision is asked for."""
    asked = ticked(watch, decision_sensor)
    return [] if isinstance(asked, str) else [request.partition_key for request in asked]


def freeze(watch: Watch, days: int = 3) -> None:
    today = watch.world.clock.now().date()
    watch.world.controller.declare_freeze(today, today + timedelta(days=days - 1), OPS, "data centre moves")


def test_a_candidate_is_armed_when_the_kill_switch_is_released_and_not_before(watch: Watch) -> None:
    watch.world.bootstrap()
    watch.world.candidate(RETRAIN)
    watch.world.controller.engage_kill_switch(None, OPS, "prices are wrong")
    held = ticked(watch, canary_sensor)
    assert isinstance(held, str)
    assert held.startswith("2013-07-01 is not armed: the kill switch of all models is engaged")
    watch.world.controller.release_kill_switch(None, OPS, "mended")
    (request,) = ticked(watch, canary_sensor)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == RETRAIN


def test_an_armed_toggle_enters_its_ramp_after_the_freeze(watch: Watch) -> None:
    watch.world.arm()
    freeze(watch)
    held = ticked(watch, canary_sensor)
    assert isinstance(held, str)
    assert "does not enter its ramp" in held
    assert "data centre moves" in held
    watch.world.clock.forward(days=3)
    assert isinstance(ticked(watch, canary_sensor), list)


@pytest.mark.parametrize("brake", ["freeze", "owner"])
def test_an_approval_is_acted_on_once_nothing_stops_the_promotion(watch: Watch, brake: str) -> None:
    """A decision that is asked for too early is a run key that is spent."""
    watch.world.awaiting()
    watch.world.controller.approve(MODEL, RETRAIN, RUTH, "clear win")
    if brake == "freeze":
        freeze(watch, days=2)
    else:
        watch.world.controller.mark_owner_left("team:product", RUTH, "dissolved")
    assert RETRAIN not in asked_for(watch)
    if brake == "freeze":
        watch.world.clock.forward(days=2)
    else:
        watch.world.controller.mark_owner_back("team:product", RUTH, "it is not")
    assert RETRAIN in asked_for(watch)


def test_a_declared_freeze_holds_back_the_schedule_and_drift_as_one_of_the_contract_does(watch: Watch) -> None:
    watch.world.bootstrap()
    watch.world.clock.forward(days=8)
    freeze(watch)
    road, now = Road(watch.contract), watch.world.clock.now()
    report = DriftReport(start=now - timedelta(days=14), end=now, rows=500, metrics={"calibration_bias": 0.2})
    metadata = {"report": dg.MetadataValue.json(report.to_json()), "champion": "1"}
    watch.instance.report_runless_asset_event(dg.AssetMaterialization(road.key("drift_report"), metadata=metadata))
    held = ticked(watch, drift_sensor)
    assert isinstance(held, str)
    assert "data centre moves" in held

    schedule = cadence_schedule(road, "0 6 1 * *")
    platform = WorldPlatform(root=str(watch.world.root))
    with dg.DagsterInstance.local_temp() as instance:
        context = dg.build_schedule_context(instance=instance, resources={"platform": platform})
        skipped = schedule(context)
        assert isinstance(skipped, dg.SkipReason)
        assert "data centre moves" in str(skipped.skip_message)
        watch.world.clock.forward(days=3)
        assert isinstance(schedule(context), dg.RunRequest)
