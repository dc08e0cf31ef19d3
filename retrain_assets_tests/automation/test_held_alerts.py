"""What is told of retrains that the cadence holds back: once for each set of reasons, until one is launched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from retrain_assets.assets import Platform, Road
from retrain_assets.automation.cadence import Hold, Rule
from retrain_assets.automation.held_alarms import held_before, observation, observation_of_schedule
from retrain_assets.automation.held_alerts import held_alerts
from retrain_assets.automation.schedules import cadence_schedule
from retrain_assets.drift import DriftAlarm
from retrain_assets.home import ReplayClock
from retrain_assets.release import ModelState, RetrainState
from retrain_assets.routing import VersionRef
from retrain_assets_tests.automation.watch import contract_telling

ROAD = Road(
    contract_telling(
        "${CHAT_URL}", cadence={"on_drift": {"window": "14d", "limits": {"calibration_bias": 0.1}}, "cron": "0 6 1 * *"}
    )
)
DAY = timedelta(days=1)
MONDAY = datetime(2024, 3, 4, 6, tzinfo=UTC)
WAIT = Hold(Rule.MIN_INTERVAL, "less than min_interval 35d ago", MONDAY + 30 * DAY)
FREEZE = Hold(Rule.FREEZE, "change freeze (audit)", MONDAY + 10 * DAY)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def state(*, champion: str = "1", launched: datetime = MONDAY - 30 * DAY) -> ModelState:
    retrain = RetrainState("2024-02-03", ROAD.model, {}, "system:retrain_assets", launched, "sha256:c")
    return ModelState(ROAD.model, champion=VersionRef(champion, "sha256:1"), retrains={retrain.key: retrain})


def alarmed(instance: dg.DagsterInstance, at: datetime, *holds: Hold, champion: str = "1") -> None:
    alarm = DriftAlarm("calibration_bias", 0.2, 0.1, (at - 14 * DAY, at), 2, 3)
    instance.report_runless_asset_event(observation(ROAD, champion, [alarm], holds, at, MONDAY + 30 * DAY))


def keys(instance: dg.DagsterInstance, **changes: object) -> list[str]:
    return [alert.key for alert in held_alerts(instance, ROAD, state(**changes))]  # type: ignore[arg-type]


def test_weekly_windows_with_the_same_reasons_are_one_alert_and_another_reason_is_another(instance: dg.DagsterInstance) -> None:
    alarmed(instance, MONDAY, WAIT)
    first = keys(instance)
    alarmed(instance, MONDAY + 7 * DAY, WAIT)
    assert keys(instance) == first
    alarmed(instance, MONDAY + 14 * DAY, WAIT, FREEZE)
    assert keys(instance) != first
    assert len(keys(instance)) == 1


def test_a_launch_and_another_champion_settle_it(instance: dg.DagsterInstance) -> None:
    alarmed(instance, MONDAY, WAIT)
    assert keys(instance, launched=MONDAY + DAY) == []
    assert keys(instance, champion="2") == []


def test_it_says_what_drifted_why_it_waits_and_until_when(instance: dg.DagsterInstance) -> None:
    alarmed(instance, MONDAY, WAIT)
    (alert,) = held_alerts(instance, ROAD, state())
    text = " ".join(alert.lines)
    assert "calibration_bias" in text
    assert "less than min_interval 35d ago" in text
    assert "at the earliest on 2024-04-03 06:00 UTC" in text


def test_a_scheduled_retrain_that_is_held_back_is_told_beside_and_is_no_alarm(instance: dg.DagsterInstance) -> None:
    alarmed(instance, MONDAY, WAIT)
    for months in range(2):
        at = MONDAY + (months * 30 + 1) * DAY
        instance.report_runless_asset_event(observation_of_schedule(ROAD, "0 6 1 * *", [FREEZE], at))
    alerts = held_alerts(instance, ROAD, state())
    assert [alert.headline for alert in alerts] == [
        "drift asks for a retrain, which is held back by min interval",
        "the scheduled retrain is held back by freeze",
    ]
    assert [one["by"] for one in held_before(instance, ROAD, "1", None)] == ["min_interval"]


def test_the_schedule_records_that_it_was_held_back(retrain_home: Path) -> None:
    """A freeze of the contract; nothing was launched yet."""
    freeze = {"start": "2024-04-01", "end": "2024-04-02", "reason": "audit"}
    road = Road(contract_telling(cadence={"cron": "0 6 1 * *", "freeze": [freeze]}))
    ReplayClock(retrain_home / "clock.json").set(datetime(2024, 4, 1, 6, tzinfo=UTC))
    with dg.DagsterInstance.local_temp() as instance:
        context = dg.build_schedule_context(instance=instance, resources={"platform": Platform()})
        assert isinstance(cadence_schedule(road, "0 6 1 * *")(context), dg.SkipReason)
        (seen,) = instance.fetch_observations(road.key("drift_report"), limit=5).records
    assert seen.asset_observation is not None
    assert "change freeze 2024-04-01 to 2024-04-02 (audit)" in str(seen.asset_observation.description)
