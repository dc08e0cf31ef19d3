"""Gate DATA on features: what says nothing, is stuck, or is other data in the hold-out than in training."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome, Verdict, canonical_json
from retrain_assets.gates.features.resemblance import holdout_resembles_training
from retrain_assets.gates.features.variation import features_vary

TRAIN, HOLDOUT = 4000, 800
Windows = tuple[pl.DataFrame, pl.DataFrame]


@pytest.fixture
def windows() -> Windows:
    """A season that goes on, a daily swing, a dry spell now and then, and things without a season."""
    draw = np.random.default_rng(7)
    count = TRAIN + HOLDOUT
    clock = np.arange(count)
    warmth = 50 + 20 * clock / TRAIN + 10 * np.sin(clock / 40) + draw.normal(0, 2, count)
    frame = pl.DataFrame(
        {
            "warmth": warmth,
            "dew": warmth - 8 - draw.gamma(2.0, 1.0, count),
            "distance": draw.gamma(3.0, 300.0, count),
            "rain": np.where((clock // 300) % 5 == 2, draw.gamma(1.0, 1.0, count), 0.0),
            "region": draw.choice(["north", "south", "east"], count, p=[0.5, 0.3, 0.2]),
            "express": draw.random(count) < 0.2,
            "gap": np.where(draw.random(count) < 0.1, np.nan, draw.normal(size=count)),
        }
    )
    return frame.head(TRAIN), frame.tail(HOLDOUT)


def resembles(windows: Windows, contract: Contract) -> Verdict:
    return holdout_resembles_training(*windows, windows[0].columns, contract)


def varies(windows: Windows) -> Verdict:
    return features_vary(*windows, windows[0].columns)


def changed(windows: Windows, **made: Any) -> Windows:
    return windows[0], windows[1].with_columns(**made)


def test_a_season_that_goes_on_is_no_shift(windows: Windows, contract: Contract) -> None:
    found = resembles(windows, contract)
    assert found.passed
    assert {row["feature"] for row in found.evidence["features"]} == set(windows[0].columns)
    assert varies(windows).passed
    assert canonical_json([found.to_json(), varies(windows).to_json()])


@pytest.mark.parametrize(
    ("feature", "made"),
    [
        ("warmth", {"warmth": (pl.col("warmth") - 32) / 1.8}),
        ("distance", {"distance": pl.col("distance") * 1.609}),
        ("distance", {"distance": "rain", "rain": "distance"}),
        ("region", {"region": pl.when(pl.col("region") == "north").then(pl.lit("west")).otherwise("region")}),
        ("express", {"express": ~pl.col("express")}),
        ("gap", {"gap": pl.when(pl.int_range(pl.len()) % 2 == 0).then("gap")}),
    ],
    ids=["degrees", "kilometres", "swapped", "renamed category", "turned truth", "missing"],
)
def test_a_hold_out_of_other_data_is_found_and_the_feature_named(
    windows: Windows, contract: Contract, feature: str, made: dict[str, Any]
) -> None:
    found = resembles(changed(windows, **made), contract)
    assert found.outcome is Outcome.FAIL
    assert feature in {row["feature"] for row in found.evidence["features"] if row["multiple"] > 2.0}
    assert feature in found.message


def test_related_columns_that_are_swapped_are_found_by_their_order(windows: Windows, contract: Contract) -> None:
    found = resembles(changed(windows, warmth="dew", dew="warmth"), contract)
    assert found.outcome is Outcome.FAIL
    assert found.evidence["broken_orders"][0] == {"order": "warmth >= dew", "train_share": 1.0, "holdout_share": 0.0}
    assert "warmth >= dew holds in 100.0% of training and 0% of the hold-out" in found.message


def test_an_order_of_unrelated_features_is_no_rule(windows: Windows, contract: Contract) -> None:
    train, holdout = (frame.select("distance", steady=pl.int_range(pl.len()) % 7 - 20.0) for frame in windows)
    found = resembles((train, holdout.with_columns(steady=pl.col("steady") + 1e6)), contract)
    assert found.evidence["broken_orders"] == []


def test_the_limit_is_the_contracts(windows: Windows, contract_with: Callable[[dict[str, Any]], Contract]) -> None:
    moved = changed(windows, distance=pl.col("distance") * 1.609)
    multiple = resembles(moved, contract_with({})).observed
    assert isinstance(multiple, float)
    assert resembles(moved, contract_with({"gates.data.max_feature_shift": multiple + 0.1})).passed
    assert not resembles(moved, contract_with({"gates.data.max_feature_shift": multiple - 0.1})).passed


def test_noise_stays_below_the_unrest_of_training(contract: Contract) -> None:
    worst = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        frame = pl.DataFrame({"a": draw.normal(size=600), "b": draw.exponential(size=600), "c": draw.integers(0, 2, 600)})
        worst.append(resembles((frame.head(480), frame.tail(120)), contract).observed)
    assert max(worst) < 1.5


@pytest.mark.parametrize(("train", "holdout"), [(79, 800), (4000, 49), (0, 0)])
def test_too_few_rows_to_compare_are_no_data(windows: Windows, contract: Contract, train: int, holdout: int) -> None:
    assert resembles((windows[0].head(train), windows[1].head(holdout)), contract).outcome is Outcome.NO_DATA


def test_odd_columns_are_compared_without_a_traceback(windows: Windows, contract: Contract) -> None:
    odd = [
        frame.select(
            huge=pl.lit(2**63 - 1, dtype=pl.UInt64),
            day=pl.date(2024, 1, 1) + pl.duration(days=pl.int_range(pl.len()) % 9),
            kind=pl.col("region").cast(pl.Categorical),
            price=pl.col("distance").cast(pl.Decimal(12, 2)),
            none=pl.lit(None, dtype=pl.Float64),
            endless=pl.when(pl.int_range(pl.len()) % 2 == 0).then(float("inf")).otherwise(1.0),
            text=pl.col("region") + "ü",
        )
        for frame in windows
    ]
    found = resembles((odd[0], odd[1]), contract)
    assert found.passed
    assert canonical_json(found.to_json())
    assert varies((odd[0], odd[1])).outcome is Outcome.FAIL


@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_feature_without_any_value_fails(windows: Windows, window: int, nothing: float | None) -> None:
    frames = list(windows)
    frames[window] = frames[window].with_columns(warmth=pl.lit(nothing, dtype=pl.Float64))
    found = varies((frames[0], frames[1]))
    assert found.outcome is Outcome.FAIL
    assert f"warmth has no value at all ({'train' if window == 0 else 'holdout'})" in found.message


def test_a_sensor_stuck_in_the_hold_out_fails(windows: Windows) -> None:
    found = varies(changed(windows, warmth=pl.lit(61.5)))
    assert found.outcome is Outcome.FAIL
    assert "warmth is stuck at 61.5 in the hold-out, but varies in training" in found.message


def test_a_dry_hold_out_is_not_stuck_where_training_had_dry_spells(windows: Windows) -> None:
    assert varies(changed(windows, rain=pl.lit(0.0))).passed


@pytest.mark.parametrize("value", [1.5, "x", True])
def test_a_constant_feature_fails_and_is_to_be_removed(windows: Windows, value: Any) -> None:
    found = varies(tuple(frame.with_columns(same=pl.lit(value)) for frame in windows))  # type: ignore[arg-type]
    assert found.outcome is Outcome.FAIL
    assert f"same is constant ({value})" in found.message
    assert "remove the feature" in found.message


def test_two_constants_one_in_each_window_fail(windows: Windows) -> None:
    made = windows[0].with_columns(same=pl.lit(1)), windows[1].with_columns(same=pl.lit(2))
    assert "same is constant in each window, 1 and then 2" in varies(made).message


def test_a_feature_that_wakes_up_in_the_hold_out_is_told_and_passes(windows: Windows) -> None:
    made = windows[0].with_columns(holiday=pl.lit(False)), windows[1].with_columns(holiday=pl.int_range(pl.len()) < 90)
    found = varies(made)
    assert found.passed
    assert found.evidence["constant_in_training_only"] == ["holiday"]


def test_one_value_and_gaps_are_a_difference(windows: Windows) -> None:
    made = [frame.with_columns(flag=pl.when(pl.col("express")).then(1.0)) for frame in windows]
    assert varies((made[0], made[1])).passed


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e25])
def test_an_infinite_or_absurd_number_fails(windows: Windows, value: float) -> None:
    made = changed(windows, distance=pl.when(pl.int_range(pl.len()) == 3).then(value).otherwise("distance"))
    found = varies(made)
    assert found.outcome is Outcome.FAIL
    assert "distance is infinite or beyond 1e+20 (1 row, holdout)" in found.message


def test_nanoseconds_and_hashes_are_numbers(windows: Windows) -> None:
    made = [frame.with_columns(stamp=pl.int_range(pl.len(), dtype=pl.UInt64) + 2**63) for frame in windows]
    assert varies((made[0], made[1])).passed


def test_a_text_of_its_own_for_every_row_is_an_identifier(windows: Windows) -> None:
    made = [frame.with_columns(receipt=pl.int_range(pl.len()).cast(pl.String)) for frame in windows]
    assert "receipt is an identifier (4,000 texts in 4,000 rows)" in varies((made[0], made[1])).message
    few = [frame.with_columns(receipt=(pl.int_range(pl.len()) // 3).cast(pl.String)) for frame in windows]
    assert varies((few[0], few[1])).passed


def test_a_sparse_feature_may_be_empty_in_a_short_hold_out(windows: Windows) -> None:
    """One value in 400 rows of training, none in 800 of the hold-out, is none; a value in every second row and then none is."""
    train, holdout = windows
    now_and_then = train.with_columns(gap=pl.when(pl.int_range(pl.len()) % 400 == 0).then(1.5))
    nothing = holdout.with_columns(gap=pl.lit(None, dtype=pl.Float64))
    assert varies((now_and_then, nothing)).passed
    often = train.with_columns(gap=pl.when(pl.int_range(pl.len()) % 2 == 0).then(1.5))
    assert "gap has no value at all (holdout)" in varies((often, nothing)).message


def timed(windows: Windows, days: int) -> Windows:
    """The windows with an event time, evenly spread over so many days of training up to New Year, and a month."""
    train, holdout = windows
    rows = pl.concat([train, holdout])
    turn = datetime(2024, 1, 1, tzinfo=UTC)
    at = [turn + timedelta(days=days) * (place - train.height) / train.height for place in range(rows.height)]
    rows = rows.with_columns(sent_at=pl.Series(at, dtype=pl.Datetime("us", "UTC")))
    rows = rows.with_columns(month=pl.col("sent_at").dt.month())
    return rows.head(train.height), rows.tail(holdout.height)


def test_a_new_year_is_no_shift_of_the_month(windows: Windows, contract: Contract) -> None:
    train, holdout = timed(windows, 90)
    features = [name for name in train.columns if name != "sent_at"]
    found = holdout_resembles_training(train, holdout, features, contract)
    assert found.passed
    assert found.evidence["calendar_features_not_compared"] == "month"
    assert holdout_resembles_training(train, holdout, ["month"], contract).passed
    only = holdout_resembles_training(train.drop("sent_at"), holdout.drop("sent_at"), ["month"], contract)
    assert only.outcome is Outcome.FAIL


def test_a_rare_flag_is_no_calendar(windows: Windows, contract: Contract) -> None:
    train, holdout = timed(windows, 90)
    rare = train.with_columns(express=pl.int_range(pl.len()) % 97 == 0)
    found = holdout_resembles_training(rare, holdout.with_columns(express=pl.lit(True)), ["express"], contract)
    assert found.outcome is Outcome.FAIL


def test_a_short_hold_out_is_compared_with_stretches_as_short(contract: Contract) -> None:
    """Three days of a weekly swing against a year: a month has all weekdays, three days have not."""
    draw = np.random.default_rng(1)
    hours = np.arange(24 * 365)
    swing = np.sin(2 * np.pi * hours / 168) + draw.normal(0, 0.1, hours.size)
    frame = pl.DataFrame({"swing": swing})
    for start in range(300, 307):
        train, holdout = frame.head(24 * start), frame.slice(24 * start, 72)
        assert holdout_resembles_training(train, holdout, ["swing"], contract).passed


def test_rows_of_one_moment_are_compared_whatever_their_order(contract: Contract) -> None:
    """Six snapshots sorted by unit, the units' age rising with their number: another unit of age is found all the same."""
    moments = [datetime(2024, month, 1, tzinfo=UTC) for month in range(1, 8)]
    frame = pl.concat(
        [pl.DataFrame({"age": np.arange(1000.0) + month}).with_columns(sent_at=pl.lit(at)) for month, at in enumerate(moments)]
    )
    train, holdout = frame.head(6000), frame.tail(1000)
    assert holdout_resembles_training(train, holdout, ["age"], contract).passed
    older = holdout.with_columns(age=pl.col("age") * 1.6)
    assert holdout_resembles_training(train, older, ["age"], contract).outcome is Outcome.FAIL
