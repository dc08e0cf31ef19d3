"""The flights source and what becomes of scored flights."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.home import Home
from retrain_assets.replay.demo import contract_of_flights
from retrain_assets.replay.flights import flights_of_2013
from retrain_assets.replay.lake import land_day
from retrain_assets.replay.outcomes import known_outcomes


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    return flights_of_2013()


def test_every_flight_of_2013_is_one_row(flights: pl.DataFrame) -> None:
    """336,776 departures, each with an identity of its own; 9,430 never arrived and have no label."""
    assert flights.height == flights["flight_id"].n_unique() == 336_776
    assert flights["late"].null_count() == 9_430
    assert flights["scheduled_at"].is_sorted()


def test_weather_is_that_of_the_hour_before(flights: pl.DataFrame) -> None:
    """The first weather of the year at Newark was read at 06:00 UTC, so flights of the hour from 07:00 UTC could know it.

    A flight scheduled at 10:15 UTC on New Year's day sees the reading of 09:00 UTC: 39.92 degrees in the source file.
    """
    first = flights.filter(pl.col("flight_id") == "2013-01-01|UA|1545|EWR").row(0, named=True)
    assert first["scheduled_at"] == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert first["temp"] == pytest.approx(39.92)


def test_the_share_of_late_flights_swings_with_the_season(flights: pl.DataFrame) -> None:
    by_month = flights.group_by(pl.col("date").dt.month()).agg(pl.col("late").mean()).sort("date")["late"]
    assert (round(by_month[6], 2), round(by_month[8], 2), round(by_month[11], 2)) == (0.31, 0.13, 0.33)


def test_a_warning_costs_ten_and_an_unwarned_late_flight_thirty() -> None:
    moment = datetime(2013, 7, 1, 12, tzinfo=UTC)
    units = ["a", "b", "c", "d", "e"]
    scored = pl.DataFrame(
        {
            "flight_id": units,
            "late": pl.Series([1, 1, 0, 0, None], dtype=pl.Int8),
            "request_id": units,
            "unit_id": units,
            "exposed_at": [moment] * 5,
            "_score": [0.5] * 5,
            "_decision": [True, False, True, False, False],
        }
    )
    outcomes = known_outcomes(scored, contract_of_flights())
    assert outcomes["unit_id"].to_list() == ["a", "b", "c", "d"]
    assert outcomes["cost_per_flight"].to_list() == [10.0, 30.0, 10.0, 0.0]
    assert outcomes["missed_late_rate"].to_list() == [0.0, 1.0, 0.0, 0.0]
    assert outcomes["false_warning_rate"].to_list() == [0.0, 0.0, 1.0, 0.0]
    assert set(outcomes["observed_at"]) == {moment + timedelta(days=1)}


def test_landing_a_day_twice_changes_nothing(tmp_path: Path) -> None:
    home, rows = Home(tmp_path), pl.DataFrame({"flight_id": ["a"]})
    path = land_day(home, "flights", rows, date(2013, 7, 1))
    before = path.read_bytes()
    assert land_day(home, "flights", pl.DataFrame({"flight_id": ["other"]}), date(2013, 7, 1)).read_bytes() == before
