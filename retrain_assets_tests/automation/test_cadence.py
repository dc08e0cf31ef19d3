"""What holds a retrain back, which launcher it binds, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retrain_assets.automation.cadence import Hold, Launcher, Rule, earliest, holds, in_words
from retrain_assets.contract import Cadence
from retrain_assets.release import ModelState, RetrainState
from retrain_assets_tests.automation.toggles import ramping_toggle

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MARCH = datetime(2024, 3, 1, 6, tzinfo=UTC)
HOLIDAYS = {"start": "2024-12-20", "end": "2025-01-02", "reason": "holidays"}
WINTER = {"start": "12-15", "end": "01-10", "reason": "winter timetable"}
CALENDAR: dict[str, Any] = {"on_drift": {"window": "14d"}, "seasons": [WINTER], "freeze": [HOLIDAYS]}
IDLE = ModelState("churn")


def cadence(**changes: Any) -> Cadence:
    return Cadence.model_validate({"min_interval": "7d", **changes})


def retrained(at: datetime, by: str = "system:retrain_assets", ended: str | None = "rejected") -> ModelState:
    retrain = RetrainState(f"{at:%Y-%m-%d}", "churn", {}, by, at, "sha256:c")
    return replace(IDLE, retrains={retrain.key: replace(retrain, ended=ended)})


def ramping() -> ModelState:
    """A retrain in its ramp."""
    toggle = ramping_toggle(status_since=MARCH)
    return replace(retrained(MARCH, ended=None), toggles={toggle.name: toggle})


def rules(found: list[Hold]) -> list[str]:
    return [hold.rule.value for hold in found]


@pytest.mark.parametrize("launcher", Launcher)
def test_an_idle_model_outside_every_rule_may_be_retrained(launcher: Launcher) -> None:
    assert holds(cadence(**CALENDAR), IDLE, MARCH, launcher) == []


def test_every_reason_is_told_not_only_the_first() -> None:
    """Whoever mends one of them must not find the next one only afterwards."""
    now = datetime(2024, 12, 24, 6, tzinfo=UTC)
    state = retrained(now - DAY, ended=None)
    found = holds(cadence(**CALENDAR, cron="0 6 10 1 *", wait_for_cron="30d"), state, now, Launcher.DRIFT)
    assert rules(found) == ["freeze", "season", "open_retrain", "min_interval", "wait_for_cron"]
    words = in_words(found)
    for part in (
        "holidays",
        "winter timetable",
        "retrain 2024-12-23 has not ended",
        "less than min_interval 7d ago",
        "2025-01-10",
    ):
        assert part in words


def test_a_schedule_obeys_freezes_and_intervals_but_no_season_and_not_itself() -> None:
    now = datetime(2024, 12, 24, 6, tzinfo=UTC)
    found = holds(cadence(**CALENDAR, cron="0 6 25 * *", wait_for_cron="5d"), retrained(now - DAY), now, Launcher.CRON)
    assert rules(found) == ["freeze", "min_interval"]
    assert holds(cadence(**CALENDAR), IDLE, datetime(2024, 12, 16, tzinfo=UTC), Launcher.CRON) == []


def test_a_freeze_ends_after_its_last_day_and_neighbouring_freezes_are_one() -> None:
    more = {"start": "2025-01-03", "end": "2025-01-05", "reason": "stocktaking"}
    found = holds(cadence(freeze=[HOLIDAYS, more]), IDLE, datetime(2024, 12, 24, 6, tzinfo=UTC), Launcher.CRON)
    assert [hold.until for hold in found] == [datetime(2025, 1, 6, tzinfo=UTC)]


def test_a_season_over_the_new_year_ends_in_the_next_one() -> None:
    season = cadence(on_drift={"window": "14d"}, seasons=[WINTER])
    for now in (datetime(2024, 12, 15, tzinfo=UTC), datetime(2025, 1, 10, 23, 59, tzinfo=UTC)):
        assert [hold.until for hold in holds(season, IDLE, now, Launcher.DRIFT)] == [datetime(2025, 1, 11, tzinfo=UTC)]
    assert holds(season, IDLE, datetime(2025, 1, 11, tzinfo=UTC), Launcher.DRIFT) == []


def test_the_minimum_interval_counts_from_the_systems_own_launches() -> None:
    recent = holds(cadence(), retrained(MARCH), MARCH + 3 * DAY, Launcher.DRIFT)
    assert (rules(recent), recent[0].until) == (["min_interval"], MARCH + 7 * DAY)
    assert holds(cadence(), retrained(MARCH), MARCH + 7 * DAY, Launcher.DRIFT) == []
    assert holds(cadence(), retrained(MARCH, "person:dana@example.org"), MARCH + 3 * DAY, Launcher.DRIFT) == []


def test_one_challenger_at_a_time() -> None:
    """The toggle is named; its own retrain, which is open as long as it ramps, is not a reason of its own."""
    (hold, _) = holds(cadence(), ramping(), MARCH + DAY, Launcher.DRIFT)
    assert (hold.rule, hold.until) == (Rule.TOGGLE, None)
    assert "churn-2024-03-01 is ramping; one challenger at a time" in hold.reason


def test_a_retrain_whose_run_waits_in_the_queue_holds_the_next_one_back() -> None:
    """Its launch is recorded only when the run begins; a queue may keep it for longer than a day."""
    (hold,) = holds(cadence(), IDLE, MARCH, Launcher.CRON, under_way=["2024-02-29", "2024-02-29"])
    assert hold.reason == "the run of retrain 2024-02-29 is under way"
    assert rules(holds(cadence(), retrained(MARCH - 9 * DAY), MARCH, Launcher.CRON, ["2024-02-21"])) == [], "recorded, and ended"


def monthly(**changes: Any) -> Cadence:
    """A retrain on the 10th of the month at six, and drift that waits up to three days for it."""
    return cadence(**{"cron": "0 6 10 * *", "wait_for_cron": "3d", "on_drift": {"window": "14d"}} | changes)


TENTH = datetime(2024, 3, 10, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (TENTH - 3 * DAY - HOUR, False),
        (TENTH - 3 * DAY, True),
        (TENTH - HOUR, True),
        (TENTH, True),
        (TENTH + timedelta(seconds=59), True),
        (TENTH + timedelta(minutes=1), False),
        (TENTH + HOUR, False),
    ],
    ids=str,
)
def test_drift_waits_for_a_scheduled_retrain_that_is_near(now: datetime, due: bool) -> None:
    """Also in the very minute of the tick, when the schedule may not have answered yet."""
    found = holds(monthly(), IDLE, now, Launcher.DRIFT)
    assert [(hold.rule, hold.until) for hold in found] == ([(Rule.WAIT_FOR_CRON, TENTH)] if due else [])


def test_drift_does_not_wait_for_a_schedule_that_will_be_held_back_itself() -> None:
    frozen = monthly(freeze=[{"start": "2024-03-10", "end": "2024-03-10", "reason": "x"}])
    assert holds(frozen, IDLE, TENTH - DAY, Launcher.DRIFT) == []
    weekly = monthly(cron="0 6 * * *", wait_for_cron="20h", min_interval="7d")
    recently = retrained(TENTH - 5 * DAY)
    assert rules(holds(weekly, recently, TENTH - HOUR, Launcher.DRIFT)) == ["min_interval"], "the tick is within it too"


def test_no_wait_without_a_cron_or_with_a_wait_of_nothing() -> None:
    assert holds(monthly(cron=None), IDLE, TENTH - HOUR, Launcher.DRIFT) == []
    assert holds(monthly(wait_for_cron="0s"), IDLE, TENTH, Launcher.DRIFT) == []


def test_the_earliest_retrain_comes_after_every_rule_that_begins_meanwhile() -> None:
    """From the interval's end into a freeze, from there into a season, and out of it."""
    rule = cadence(**CALENDAR)
    assert earliest(rule, retrained(datetime(2024, 12, 10, tzinfo=UTC)), datetime(2024, 12, 12, tzinfo=UTC)) == datetime(
        2025, 1, 11, tzinfo=UTC
    )
    assert earliest(rule, IDLE, MARCH) == MARCH


def test_the_earliest_retrain_is_the_scheduled_one_where_that_comes_first() -> None:
    assert earliest(monthly(), IDLE, TENTH - DAY) == TENTH
    assert earliest(monthly(), retrained(TENTH - 8 * DAY), TENTH - 2 * DAY) == TENTH


def test_a_scheduled_retrain_needs_no_season_to_end() -> None:
    """Seasons bind drift only: the tick comes first, and answers the drift."""
    spring = {"start": "03-01", "end": "03-31", "reason": "spring timetable"}
    both = monthly(seasons=[spring])
    assert rules(holds(both, IDLE, TENTH - DAY, Launcher.DRIFT)) == ["season", "wait_for_cron"]
    assert earliest(both, IDLE, TENTH - DAY) == TENTH
    assert earliest(both, IDLE, TENTH + DAY) == datetime(2024, 4, 1, tzinfo=UTC), "no tick is near"


def test_without_an_end_in_sight_no_earliest_retrain_is_promised() -> None:
    forever = cadence(freeze=[{"start": "2024-01-01", "end": "2099-01-01", "reason": "sold"}])
    assert earliest(forever, IDLE, MARCH) is None
