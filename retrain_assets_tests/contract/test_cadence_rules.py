"""When a cadence lets drift launch a retrain, and which cadences never would."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrain_assets.contract import Cadence
from retrain_assets.contract.control import Season, _pauses_longer

ON_DRIFT: dict[str, Any] = {"min_interval": "7d", "on_drift": {"window": "14d"}}


def test_a_season_covers_its_first_and_last_day_in_every_year() -> None:
    easter = Season(start="04-01", end="04-15", reason="x")
    for year in (2023, 2024):
        covered = [day for day in days_of(year) if easter.covers(day)]
        assert (covered[0], covered[-1], len(covered)) == (date(year, 4, 1), date(year, 4, 15), 15)


def test_a_season_may_go_over_the_new_year() -> None:
    holidays = Season(start="12-20", end="01-05", reason="x")
    assert [holidays.covers(date(2024, 12, day)) for day in (19, 20, 31)] == [False, True, True]
    assert [holidays.covers(date(2025, 1, day)) for day in (1, 5, 6)] == [True, True, False]


def test_the_29th_of_february_may_begin_or_end_a_season() -> None:
    season = Season(start="02-29", end="03-02", reason="x")
    assert sum(map(season.covers, days_of(2024))) == 3
    assert sum(map(season.covers, days_of(2023))) == 2


def test_the_season_in_force_is_that_of_the_utc_day() -> None:
    cadence = Cadence(**ON_DRIFT, seasons=[{"start": "07-01", "end": "07-31", "reason": "summer"}])
    zone = datetime.fromisoformat("2024-08-01T01:00:00+02:00")
    assert cadence.season_at(zone) is cadence.seasons[0], "it is still the 31st in UTC"
    assert cadence.season_at(zone + timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seasons": [{"start": "01-01", "end": "12-31", "reason": "x"}]}, "cover the whole year"),
        (
            {"seasons": [{"start": "03-01", "end": "11-30", "reason": "x"}, {"start": "11-15", "end": "02-29", "reason": "y"}]},
            "cover the whole year",
        ),
        ({"on_drift": None, "seasons": [{"start": "03-01", "end": "03-30", "reason": "x"}]}, "on_drift is not set"),
        ({"seasons": [{"start": "13-01", "end": "12-31", "reason": "x"}]}, "is not a day of the year"),
        ({"seasons": [{"start": "02-30", "end": "12-31", "reason": "x"}]}, "is not a day of the year"),
        ({"seasons": [{"start": "2-3", "end": "12-31", "reason": "x"}]}, "pattern"),
        ({"cron": "0 6 * * *"}, r"due at least every 1d, so with wait_for_cron 1d drift would never launch.*shorten"),
        ({"cron": "0 6 * * 1", "wait_for_cron": "7d"}, "drift would never launch"),
        ({"cron": "0 6 1 * *", "wait_for_cron": "31d"}, "drift would never launch"),
    ],
    ids=str,
)
def test_a_cadence_under_which_drift_could_never_launch_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Cadence(**{**ON_DRIFT, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"seasons": [{"start": "03-01", "end": "11-30", "reason": "x"}, {"start": "12-02", "end": "02-29", "reason": "y"}]},
        {"cron": "0 6 * * *", "wait_for_cron": "23h"},
        {"cron": "0 6 * * *", "wait_for_cron": "0s"},
        {"cron": "0 6 * * *", "on_drift": None},
        {"cron": "* 9-17 * * 1-5"},
        {"cron": "0 6 1 * *", "wait_for_cron": "30d"},
        {"cron": "0 0 29 2 *", "wait_for_cron": "52w"},
    ],
    ids=str,
)
def test_a_cadence_that_leaves_drift_a_day_is_accepted(changes: dict[str, Any]) -> None:
    Cadence(**{**ON_DRIFT, **changes})


@settings(max_examples=25, deadline=None)
@given(
    minute=st.sampled_from(["0", "*/15", "5,50"]),
    hour=st.sampled_from(["6", "*/7", "9-17", "*"]),
    weekday=st.sampled_from(["*", "1", "1-5", "2,6"]),
    period=st.timedeltas(min_value=timedelta(minutes=1), max_value=timedelta(days=8)),
)
def test_the_longest_pause_of_a_cron_is_found_without_walking_every_tick(
    minute: str, hour: str, weekday: str, period: timedelta
) -> None:
    cron = f"{minute} {hour} * * {weekday}"
    ticks, end = [], datetime(2000, 2, 1, tzinfo=UTC)
    for tick in CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)):
        ticks.append(tick)
        if tick > end:
            break
    assert _pauses_longer(cron, period) == any(later - earlier > period for earlier, later in pairwise(ticks))


def days_of(year: int) -> list[date]:
    count = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    return [date(year, 1, 1) + timedelta(days=day) for day in range(count)]
