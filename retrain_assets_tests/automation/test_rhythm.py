"""When a look is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.automation.canary_sensor import look_due, step_due
from retrain_assets.home import Home, ReplayClock
from retrain_assets.release import LookRecord, ToggleState
from retrain_assets.serving import ExposureLog
from retrain_assets_tests.automation.toggles import ramping_toggle

ARMED = datetime(2024, 3, 1, 6, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with one exposure an hour for three days."""
    found = Home(tmp_path / "home")
    moments = [ARMED + hour * HOUR for hour in range(72)]
    rows = pl.DataFrame(
        {
            "request_id": [f"r{hour}" for hour in range(72)],
            "model": "churn",
            "unit_id": [f"u{hour}" for hour in range(72)],
            "toggle": "churn-2024-03-01",
            "revision": 3,
            "stage": "50",
            "arm": "champion",
            "version": "1",
            "bundle": "sha256:1",
            "exposed_at": moments,
            "latency_ms": 1.0,
            "error": False,
            "score": 0.5,
            "shadow_score": None,
        },
        schema_overrides={"exposed_at": pl.Datetime("us", "UTC"), "revision": pl.Int64, "shadow_score": pl.Float64},
    )
    ExposureLog(found).append_exposures("churn", rows, "three-days")
    return found


def toggle_looked_at(at: datetime | None, *, again_at: datetime | None = None, **changes: object) -> ToggleState:
    look = LookRecord("sha256:look", "hold", "", "50", 3, at, 9, again_at) if at is not None else None
    return ramping_toggle(
        contract=changes, status_since=ARMED, armed_at=ARMED, stage_started={3: ARMED}, shares={3: 0.5}, last_look=look
    )


def test_a_look_is_due_when_outcomes_have_matured_since_the_last_one(home: Home) -> None:
    clock = ReplayClock(home.replay_clock_path)
    clock.set(ARMED + 12 * HOUR)
    assert look_due(home, toggle_looked_at(None)) is None, "nothing has matured yet"
    clock.set(ARMED + 2 * DAY)
    assert look_due(home, toggle_looked_at(None)) == "matured-2024-03-02T06:00:00"
    assert look_due(home, toggle_looked_at(ARMED + DAY)) == "matured-2024-03-02T06:00:00"


def test_looks_keep_their_distance_so_that_an_approval_can_be_given_on_one(home: Home) -> None:
    """With traffic maturing every minute, a look a minute would void every approval before it is acted on."""
    ReplayClock(home.replay_clock_path).set(ARMED + 2 * DAY)
    recent = ARMED + 2 * DAY - HOUR
    assert look_due(home, toggle_looked_at(recent)) is None
    assert look_due(home, toggle_looked_at(recent, experiment__look_every="1h")) is not None


def test_one_run_is_asked_for_a_look_however_much_matures_until_it_is_made(home: Home) -> None:
    """Also while the run is under way, and again in the next hour when all its attempts died."""
    clock, toggle = ReplayClock(home.replay_clock_path), toggle_looked_at(ARMED + DAY)
    asked = set()
    for minutes in range(0, 60, 5):
        clock.set(ARMED + 2 * DAY + timedelta(minutes=minutes))
        asked.add(step_due(home, toggle))
    assert len(asked) == 1
    clock.set(ARMED + 2 * DAY + HOUR)
    assert step_due(home, toggle) not in {*asked, None}


def test_the_longest_duration_asks_for_a_last_look_even_without_traffic(home: Home) -> None:
    ReplayClock(home.replay_clock_path).set(ARMED + 15 * DAY)
    just_made = ARMED + 14 * DAY + HOUR
    assert look_due(home, toggle_looked_at(ARMED + 13 * DAY)) == "max-duration"
    assert look_due(home, toggle_looked_at(just_made, experiment__look_every="1h")) is None, "it was made"


def test_a_last_look_dated_in_the_future_keeps_no_canary_waiting_for_that_date(home: Home) -> None:
    """The clock was a year ahead when it was made, and has been set right since."""
    ReplayClock(home.replay_clock_path).set(ARMED + 2 * DAY)
    assert look_due(home, toggle_looked_at(ARMED + 365 * DAY)) is not None


def test_an_extended_experiment_is_looked_at_when_each_of_its_durations_ends(home: Home) -> None:
    clock = ReplayClock(home.replay_clock_path)
    for end in (14, 20):
        clock.set(ARMED + end * DAY + HOUR)
        terms = {"experiment__extend_to": "20d", "experiment__look_every": "1h"}
        before = toggle_looked_at(ARMED + end * DAY - HOUR, **terms, toggle__expires_after="25d", toggle__remove_after="60d")
        assert look_due(home, before) == "max-duration"


def test_a_look_that_saw_harm_is_confirmed_when_it_asked_to_be_whatever_the_rhythm(home: Home) -> None:
    clock, looked = ReplayClock(home.replay_clock_path), ARMED + 2 * DAY
    again = looked + HOUR
    clock.set(again - timedelta(minutes=1))
    assert look_due(home, toggle_looked_at(looked, again_at=again)) is None
    clock.set(again)
    assert look_due(home, toggle_looked_at(looked, again_at=again)) == "again-2024-03-03T07:00:00"
    assert look_due(home, toggle_looked_at(again, again_at=again)) is None, "it was made"


def test_silence_is_looked_at_once_a_day(home: Home) -> None:
    """The log ended after three days and all of it was looked at: that nothing comes any more is seen, and not every minute."""
    clock = ReplayClock(home.replay_clock_path)
    clock.set(ARMED + 7 * DAY)
    assert look_due(home, toggle_looked_at(ARMED + 6 * DAY + HOUR, experiment__look_every="1h")) is None
    assert look_due(home, toggle_looked_at(ARMED + 6 * DAY, experiment__look_every="1h")) == "silence"


def test_records_that_cannot_be_read_are_looked_at_and_do_not_end_the_tick(home: Home) -> None:
    ReplayClock(home.replay_clock_path).set(ARMED + 2 * DAY)
    (home.exposures_dir("churn") / "half-written.parquet").write_bytes(b"PAR1 and no more")
    assert look_due(home, toggle_looked_at(ARMED + DAY)) == "unreadable"
