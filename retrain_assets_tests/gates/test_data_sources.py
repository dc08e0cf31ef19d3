"""Gate DATA on sound sources other than an even stream: snapshots, seasonal categories, several rows a unit and moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome, Verdict
from retrain_assets_tests.gates.conftest import CUTOFF, verdict
from retrain_assets_tests.gates.data_rows import Windows, judged, windows

Build = Callable[[dict[str, Any]], Contract]


@pytest.fixture
def monthly(contract_with: Build) -> Contract:
    """Labels of a month, so that the 62 days of the hold-out show one or two snapshots."""
    windows_ = {"train": "365d", "holdout": "62d", "backtests": 2}
    return contract_with({"window": windows_, "source.label_delay": "30d", "gates.data.max_age": "32d"})


def snapshots(cutoff: datetime, start: datetime, end: datetime, *, rows: int = 400) -> pl.DataFrame:
    """Rows on the first of each month in [start, end), 2 % more each time."""
    moments = pl.datetime_range(datetime(2022, 1, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC), "1mo", eager=True)
    frames = [
        pl.DataFrame({"parcel": [f"{at}" for at in range(int(rows * 1.02**month))]}).with_columns(
            sent_at=pl.lit(moment, dtype=pl.Datetime("us", "UTC")), weight=1.0, late=pl.int_range(pl.len()) % 3 == 0
        )
        for month, moment in enumerate(moments)
        if start <= moment < end and moment <= cutoff - timedelta(days=30)
    ]
    return pl.concat(frames)


def snapshot_windows(cutoff: datetime, contract: Contract) -> Windows:
    middle = cutoff - contract.window.holdout
    return snapshots(cutoff, middle - contract.window.train, middle), snapshots(cutoff, middle, cutoff)


def check(name: str, frames: Windows, contract: Contract, **changes: Any) -> Verdict:
    return verdict(judged(*frames, contract, **changes), name)


@pytest.mark.parametrize("days", range(0, 30, 3))
def test_a_monthly_snapshot_is_no_odd_day_and_no_odd_volume_whenever_the_windows_begin(monthly: Contract, days: int) -> None:
    cutoff = CUTOFF - timedelta(days=days)
    frames = snapshot_windows(cutoff, monthly)
    for name in ("days_are_complete", "volume_is_steady", "source_keeps_its_cadence"):
        assert check(name, frames, monthly, cutoff=cutoff).passed


def test_a_monthly_snapshot_that_is_doubled_or_comes_on_more_days_fails(monthly: Contract) -> None:
    train, holdout = snapshot_windows(CUTOFF, monthly)
    doubled = check("days_are_complete", (train, pl.concat([holdout, holdout])), monthly)
    assert doubled.outcome is Outcome.FAIL
    daily = pl.concat([holdout.with_columns(pl.col("sent_at") - timedelta(days=day)) for day in range(4)])
    volume = check("volume_is_steady", (train, daily), monthly)
    assert volume.outcome is Outcome.FAIL
    assert "less one batch in 31 days" in volume.message
    assert volume.evidence["days_between_batches"] == 31


def test_one_lost_day_of_training_does_not_excuse_a_lost_day_of_the_holdout(contract: Contract) -> None:
    train, holdout = windows(a_day=200)

    def lost(frame: pl.DataFrame, *days: int) -> pl.DataFrame:
        start = frame["sent_at"].dt.date()[0]
        return frame.filter(~pl.col("sent_at").dt.date().is_in([start + timedelta(days=day) for day in days]))

    once = check("days_are_complete", (lost(train, 8), lost(holdout, 1)), contract)
    assert once.outcome is Outcome.FAIL
    twice = check("days_are_complete", (lost(train, 8, 12), lost(holdout, 1)), contract)
    assert twice.passed
    assert [row["as_in_training"] for row in twice.evidence["days"] if row["rows"] == 0] == [True]


def test_a_category_that_left_within_training_has_not_vanished_now(contract: Contract) -> None:
    train, holdout = windows(a_day=200)
    middle = CUTOFF - timedelta(days=11)
    winter = pl.when(pl.col("sent_at") < middle).then(pl.lit("skis")).otherwise("region")
    frames = train.with_columns(region=winter), holdout
    assert check("categories_are_known", frames, contract).passed
    still = train.with_columns(region=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("skis")).otherwise("region"))
    found = check("categories_are_known", (still, holdout), contract)
    assert found.outcome is Outcome.FAIL
    assert "open_categories" in found.message


def test_a_column_whose_categories_come_and_go_can_be_named(contract_with: Build) -> None:
    train, holdout = windows(a_day=200)
    new = holdout.with_columns(region=pl.lit("version 7"))
    assert check("categories_are_known", (train, new), contract_with({})).outcome is Outcome.FAIL
    named = check("categories_are_known", (train, new), contract_with({"gates.data.open_categories": ["region"]}))
    assert named.passed
    assert named.evidence["open_categories"] == ["region"]


def test_rows_of_one_unit_and_moment_are_told_apart_by_the_key(contract_with: Build) -> None:
    """A shop has a row a day for each of its products."""
    products = pl.DataFrame({"region": ["bread", "milk", "salt"]})
    frames = tuple(frame.drop("region").join(products, how="cross") for frame in windows())
    found = check("keys_are_unique", (frames[0], frames[1]), contract_with({}))
    assert found.outcome is Outcome.FAIL
    assert "source.key" in found.message
    keyed = contract_with({"source.key": ["region"]})
    assert check("keys_are_unique", (frames[0], frames[1]), keyed).passed
    twice = check("keys_are_unique", (frames[0], pl.concat([frames[1], frames[1].head(2)])), keyed)
    assert (twice.outcome, twice.observed) == (Outcome.FAIL, 2)
    assert check("keys_are_unique", (frames[0].drop("region"), frames[1].drop("region")), keyed).outcome is Outcome.ERROR


@pytest.mark.parametrize("name", ["rows", "count", "level", "share", "day", "time"])
def test_a_column_may_be_named_like_one_of_the_gates(contract_with: Build, name: str) -> None:
    frames = [frame.rename({"parcel": name}) for frame in windows()]
    labels = [frame.rename({"late": name}) for frame in windows()]
    for role, (train, holdout) in (("unit", frames), ("label", labels)):
        found = judged(train, holdout, contract_with({f"source.{role}": name}))
        assert {each.check for each in found if not each.passed} == {"schema_holds"}
