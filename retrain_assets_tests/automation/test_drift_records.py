"""What Dagster keeps of drift: the reports that count as windows, and the alarms that were held back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from retrain_assets.assets import Road
from retrain_assets.assets.drift_history import reports_of
from retrain_assets.automation.cadence import Hold, Rule
from retrain_assets.automation.drift_sensor import TAG_BYTES, tag_of, trigger_of
from retrain_assets.automation.held_alarms import held_before, is_recorded, observation
from retrain_assets.drift import DriftAlarm, DriftReport
from retrain_assets_tests.simulation import contract_with

ROAD = Road(contract_with())
METRIC = "calibration_bias"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MONDAY = datetime(2024, 3, 4, 6, tzinfo=UTC)
FREEZE = Hold(Rule.FREEZE, "change freeze 2024-03-01 to 2024-03-31 (audit)", datetime(2024, 4, 1, tzinfo=UTC))
RAMP = Hold(Rule.TOGGLE, "toggle churn-2024-02-20 is ramping; one challenger at a time", None)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def report(end: datetime, value: float = 0.2) -> DriftReport:
    return DriftReport(start=end - 14 * DAY, end=end, rows=500, metrics={"calibration_bias": value})


def made(instance: dg.DagsterInstance, *reports: DriftReport, champion: str = "1") -> None:
    for one in reports:
        metadata: dict[str, Any] = {"report": dg.MetadataValue.json(one.to_json()), "champion": champion}
        instance.report_runless_asset_event(dg.AssetMaterialization(ROAD.key("drift_report"), metadata=metadata))


def alarm(end: datetime, value: float = 0.2) -> DriftAlarm:
    return DriftAlarm(METRIC, value, 0.1, (end - 14 * DAY, end), 2, 3)


def held(
    instance: dg.DagsterInstance,
    at: datetime,
    *holds: Hold,
    champion: str = "1",
    end: datetime | None = None,
    metric: str = METRIC,
) -> None:
    about = replace(alarm(end or at), metric=metric)
    instance.report_runless_asset_event(observation(ROAD, champion, [about], holds or (FREEZE,), at, None))


def test_weekly_reports_are_windows_of_their_own_oldest_first(instance: dg.DagsterInstance) -> None:
    ends = [MONDAY + week * 7 * DAY for week in range(4)]
    made(instance, *map(report, ends))
    assert [one.end for one in reports_of(instance, ROAD, "1", 3)] == ends[1:]


def test_a_report_made_again_on_the_same_day_is_no_second_window(instance: dg.DagsterInstance) -> None:
    """Two clicks on a bad day are not two windows of two; the later one counts."""
    made(instance, report(MONDAY - 7 * DAY), report(MONDAY, 0.2), report(MONDAY + HOUR, 0.3), report(MONDAY + 5 * HOUR, 0.4))
    assert [(one.end, one.metrics["calibration_bias"]) for one in reports_of(instance, ROAD, "1", 3)] == [
        (MONDAY - 7 * DAY, 0.2),
        (MONDAY + 5 * HOUR, 0.4),
    ]


def test_reports_that_share_most_of_their_window_are_one_window(instance: dg.DagsterInstance) -> None:
    """A report every two hours of a window of a day: the latest counts, and what ends at least a quarter of a day before it."""
    for hour in range(0, 20, 2):
        end = MONDAY + hour * HOUR
        made(instance, DriftReport(start=end - DAY, end=end, rows=500, metrics={"calibration_bias": 0.2}))
    assert [one.end - MONDAY for one in reports_of(instance, ROAD, "1", 3)] == [6 * HOUR, 12 * HOUR, 18 * HOUR]


def test_reports_of_an_earlier_champion_are_not_its_windows(instance: dg.DagsterInstance) -> None:
    """Nor are its own of an earlier reign, before another one served."""
    made(instance, report(MONDAY - 21 * DAY))
    made(instance, report(MONDAY - 14 * DAY), champion="2")
    made(instance, report(MONDAY))
    assert [one.end for one in reports_of(instance, ROAD, "1", 10)] == [MONDAY]


def test_many_reports_of_one_day_do_not_hide_the_weeks_before(instance: dg.DagsterInstance) -> None:
    made(instance, report(MONDAY - 7 * DAY), *(report(MONDAY + minutes * timedelta(minutes=1)) for minutes in range(7)))
    assert len(reports_of(instance, ROAD, "1", 2)) == 2


def test_a_held_back_alarm_is_recorded_once_for_each_window_and_set_of_reasons(instance: dg.DagsterInstance) -> None:
    def asked(at: datetime, *holds: Hold, end: datetime = MONDAY) -> bool:
        record = observation(ROAD, "1", [alarm(end)], holds, at, None)
        known = is_recorded(instance, record)
        if not known:
            instance.report_runless_asset_event(record)
        return known

    assert not asked(MONDAY, FREEZE)
    assert asked(MONDAY + HOUR, FREEZE)
    assert not asked(MONDAY + 2 * HOUR, FREEZE, RAMP), "a second reason"
    assert not asked(MONDAY + 3 * HOUR, FREEZE), "it has gone"
    assert not asked(MONDAY + 7 * DAY, FREEZE, end=MONDAY + 7 * DAY), "the next window"


def test_the_record_of_a_held_back_alarm_tells_the_whole_story(instance: dg.DagsterInstance) -> None:
    """Metric, value, limit, window, every reason and when a retrain may come, on the page of the drift report."""
    opens = datetime(2024, 4, 1, tzinfo=UTC)
    record = observation(ROAD, "1", [alarm(MONDAY)], [FREEZE, RAMP], MONDAY, opens)
    assert record.asset_key == ROAD.key("drift_report")
    words = str(record.description)
    for part in (
        "calibration_bias is 0.2, above 0.1",
        "freeze: change freeze 2024-03-01",
        "active_toggle: toggle churn-2024-02-20",
    ):
        assert part in words
    assert record.metadata["earliest_retrain"].value == opens.isoformat()
    assert record.metadata["held_back_by"].value == "freeze, active_toggle"


def test_a_trigger_groups_neighbouring_windows_that_were_held_back_alike(instance: dg.DagsterInstance) -> None:
    for week in range(3):
        held(instance, MONDAY + week * 7 * DAY, FREEZE)
    held(instance, MONDAY + 21 * DAY, RAMP)
    first, second = held_before(instance, ROAD, "1", None)
    assert (first["by"], first["windows"], first["first"][:10], first["last"][:10]) == ("freeze", 3, "2024-03-04", "2024-03-18")
    assert (second["by"], second["windows"], second["because"]) == ("active_toggle", 1, f"active_toggle: {RAMP.reason}")


def test_what_was_observed_twice_of_one_window_is_one_window(instance: dg.DagsterInstance) -> None:
    """Another metric is the worst in the same window, an hour later, held back by the same rule."""
    held(instance, MONDAY)
    held(instance, MONDAY + HOUR, end=MONDAY, metric="feature_psi")
    held(instance, MONDAY + 7 * DAY)
    (group,) = held_before(instance, ROAD, "1", None)
    assert (group["windows"], group["first"], group["last"]) == (2, MONDAY.isoformat(), (MONDAY + 7 * DAY).isoformat())


def test_however_often_an_alarm_was_held_back_every_window_counts(instance: dg.DagsterInstance) -> None:
    for week in range(25):
        held(instance, MONDAY + week * 7 * DAY)
    assert [group["windows"] for group in held_before(instance, ROAD, "1", None)] == [25]


def test_what_an_earlier_retrain_answered_or_another_champion_caused_is_left_out(instance: dg.DagsterInstance) -> None:
    held(instance, MONDAY - 14 * DAY, champion="0")
    held(instance, MONDAY - 7 * DAY)
    held(instance, MONDAY)
    assert [one["windows"] for one in held_before(instance, ROAD, "1", None)] == [2]
    assert [one["first"][:10] for one in held_before(instance, ROAD, "1", MONDAY - 7 * DAY)] == ["2024-03-04"]
    assert held_before(instance, ROAD, "2", None) == []


@pytest.mark.parametrize(("letter", "reports"), [("x", 6), ("ü", 30)])
def test_a_trigger_stays_small_enough_for_an_indexed_run_tag(instance: dg.DagsterInstance, letter: str, reports: int) -> None:
    """PostgreSQL refuses a tag whose index row is above 2,704 bytes, and with it the run; the latest is kept."""
    long = [Hold(Rule.FREEZE, letter * 300, None), RAMP, Hold(Rule.MIN_INTERVAL, letter * 300, None)]
    for week in range(12):
        held(instance, MONDAY + week * 7 * DAY, *long[: 1 + week % 3])
    history = [report(MONDAY + week * 7 * DAY, 0.123456789012345) for week in range(reports)]
    trigger = trigger_of([alarm(MONDAY)] * 6, history, "1", held_before(instance, ROAD, "1", None))
    assert len(trigger["held_back"]) == 4
    tag = tag_of(trigger)
    assert len(tag.encode()) <= TAG_BYTES == 2600
    kept = json.loads(tag)
    assert kept["held_back"][-1] == trigger["held_back"][-1]
    assert kept["history"][-1] == trigger["history"][-1]
    assert {name: kept[name] for name in kept if name not in ("held_back", "history")} == {
        name: trigger[name] for name in trigger if name not in ("held_back", "history")
    }


def test_a_trigger_that_is_short_is_told_whole() -> None:
    trigger = trigger_of(
        [alarm(MONDAY)], [report(MONDAY - 7 * DAY), report(MONDAY)], "1", [{"by": "freeze", "because": "Prüfung"}]
    )
    assert json.loads(tag_of(trigger)) == trigger
