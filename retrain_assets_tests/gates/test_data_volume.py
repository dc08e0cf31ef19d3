"""Gate DATA on silences and days: daily batches and dense sources, sparse ones, odd days, chance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from retrain_assets.contract import Contract, Outcome, Verdict
from retrain_assets.gates import LeftOut
from retrain_assets.gates.data.volume import _deviation
from retrain_assets_tests.gates.conftest import CUTOFF, verdict
from retrain_assets_tests.gates.data_rows import Windows, judged, windows

Build = Callable[[dict[str, Any]], Contract]
START = CUTOFF - timedelta(days=25)
HOLDOUT = CUTOFF - timedelta(days=5)


def check(name: str, frames: Windows, contract: Contract, **changes: Any) -> Verdict:
    return verdict(judged(*frames, contract, **changes), name)


def without(frame: pl.DataFrame, start: Any, hours: float) -> pl.DataFrame:
    return frame.filter(~pl.col("sent_at").is_between(start, start + timedelta(hours=hours)))


def batches(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("sent_at").dt.truncate("1d"))


def counted_days(counts: dict[date, int]) -> pl.DataFrame:
    """Rows at noon of each day, as many as asked."""
    days = [day for day, count in counts.items() for _ in range(count)]
    frame = pl.DataFrame({"sent_at": pl.Series(days, dtype=pl.Date).cast(pl.Datetime("us", "UTC")) + timedelta(hours=12)})
    return frame.with_columns(parcel=pl.int_range(pl.len()).cast(pl.String), weight=1.0, late=pl.int_range(pl.len()) % 2 == 0)


class TestCadence:
    def test_a_hole_longer_than_the_limit_fails_and_is_named(self, contract: Contract) -> None:
        train, holdout = windows()
        train = without(train, START + timedelta(days=3), 5)
        hole = HOLDOUT + timedelta(days=1)
        found = check("source_keeps_its_cadence", (train, without(holdout, hole, 24)), contract)
        assert found.outcome is Outcome.FAIL
        assert found.evidence["silences_above_limit"] == 1
        longest = found.evidence["longest_in_holdout"][0]
        assert longest["from"].startswith(str((hole - timedelta(hours=1)).date()))
        assert found.observed == pytest.approx(longest["hours"] / found.evidence["longest_in_training"][0]["hours"], rel=1e-3)
        assert check("source_keeps_its_cadence", (train, without(holdout, hole, 12)), contract).passed

    def test_a_source_that_stops_before_the_known_labels_fails(self, contract: Contract) -> None:
        train, holdout = windows()
        stopped = holdout.filter(pl.col("sent_at") < CUTOFF - timedelta(days=2))
        found = check("source_keeps_its_cadence", (train, stopped), contract)
        assert found.outcome is Outcome.FAIL
        assert found.evidence["longest_in_holdout"][0]["to"] == CUTOFF.isoformat()
        assert found.evidence["longest_in_holdout"][0]["hours"] == pytest.approx(24, abs=0.6)

    def test_a_hole_at_the_beginning_of_the_holdout_begins_at_the_last_training_row(self, contract: Contract) -> None:
        train, holdout = windows()
        train = without(train, START + timedelta(days=3), 5)
        found = check("source_keeps_its_cadence", (train, without(holdout, HOLDOUT, 24)), contract)
        assert found.outcome is Outcome.FAIL
        assert found.evidence["longest_in_holdout"][0]["from"] == train["sent_at"][-1].isoformat()

    def test_the_label_delay_is_no_silence(self, contract: Contract) -> None:
        assert check("source_keeps_its_cadence", windows(), contract).observed == pytest.approx(1, abs=0.02)

    def test_rows_without_a_label_break_a_silence(self, contract: Contract) -> None:
        train, holdout = windows()
        hole = HOLDOUT + timedelta(days=1)
        unlabelled = holdout.filter(pl.col("sent_at").is_between(hole, hole + timedelta(hours=24))).with_columns(late=None)
        left_out = LeftOut(unlabelled=unlabelled)
        assert check("source_keeps_its_cadence", (train, without(holdout, hole, 24)), contract, left_out=left_out).passed

    def test_a_hole_among_rows_too_young_for_a_label_is_seen(self, contract_with: Build) -> None:
        slow = contract_with({"source.label_delay": "4d", "gates.data.max_age": "6d"})
        train, holdout = windows(holdout_days=5)
        young = holdout.filter(pl.col("sent_at") > CUTOFF - timedelta(days=4))
        hole = CUTOFF - timedelta(days=3)
        frames = (train, holdout.filter(pl.col("sent_at") <= CUTOFF - timedelta(days=4)))
        assert check("source_keeps_its_cadence", frames, slow, left_out=LeftOut(too_young=young)).passed
        found = check("source_keeps_its_cadence", frames, slow, left_out=LeftOut(too_young=without(young, hole, 24)))
        assert found.outcome is Outcome.FAIL

    def test_daily_batches_keep_their_cadence_until_some_are_missing(self, contract: Contract) -> None:
        train, holdout = (batches(frame) for frame in windows())
        assert check("source_keeps_its_cadence", (train, holdout), contract).observed == 1
        late = holdout.filter(pl.col("sent_at") < HOLDOUT + timedelta(days=1))
        found = check("source_keeps_its_cadence", (train, late), contract)
        assert (found.outcome, found.observed) == (Outcome.FAIL, 4)
        assert check("source_keeps_its_cadence", (train, holdout.clear()), contract).outcome is Outcome.FAIL

    def test_a_dense_source_may_pause_for_less_than_a_hundredth_of_the_holdout(self, contract: Contract) -> None:
        train, holdout = windows(a_day=2000)
        hole = HOLDOUT + timedelta(days=1)
        assert check("source_keeps_its_cadence", (train, without(holdout, hole, 1.1)), contract).passed
        assert not check("source_keeps_its_cadence", (train, without(holdout, hole, 1.3)), contract).passed

    def test_one_batch_in_training_is_compared_with_the_window(self, contract: Contract) -> None:
        train, holdout = windows()
        assert check("source_keeps_its_cadence", (train.with_columns(sent_at=pl.lit(START)), holdout), contract).passed


class TestDays:
    def test_sound_days_pass_and_are_listed(self, contract: Contract) -> None:
        found = check("days_are_complete", windows(), contract)
        assert found.passed
        assert [(row["rows"], row["usual"]) for row in found.evidence["days"]] == [(50, 50)] * 4
        assert found.evidence["compared_with"] == "same weekday in training"

    @pytest.mark.parametrize(
        ("factor", "change"), [(0.0, -1.0), (0.5, -0.5), (2.0, 1.0)], ids=["missing", "half lost", "duplicated"]
    )
    def test_a_day_that_is_missing_halved_or_doubled_fails_and_is_named(
        self, contract: Contract, factor: float, change: float
    ) -> None:
        train, holdout = windows(a_day=200)
        day = (HOLDOUT + timedelta(days=2)).date()
        that, others = (holdout.filter(on) for on in (pl.col("sent_at").dt.date() == day, pl.col("sent_at").dt.date() != day))
        copies = that.head(int(200 * factor)) if factor <= 1 else pl.concat([that, that])
        found = check("days_are_complete", (train, pl.concat([others, copies])), contract)
        assert found.outcome is Outcome.FAIL
        assert found.observed == pytest.approx(abs(change))
        assert found.evidence["days_over"] == 1
        assert found.evidence["days"][0]["change"] == pytest.approx(change)
        error = (1 + np.pi / 2 / 3) ** 0.5  # of a count against the median of three weekdays
        deviation = _deviation(200 * (1 + change), 200) / error
        assert found.evidence["days"][0]["standard_deviations"] == pytest.approx(deviation)
        assert str(day) in found.message

    def test_a_small_source_does_not_alarm_by_chance(self, contract: Contract) -> None:
        """Two instead of five rows: -60 %, and one of eight days of a sound source."""
        days = {(START + timedelta(days=at)).date(): 5 for at in range(20)}
        few = {(HOLDOUT + timedelta(days=at)).date(): 5 - 3 * (at == 2) for at in range(4)}
        found = check("days_are_complete", (counted_days(days), counted_days(few)), contract)
        assert found.passed
        assert found.evidence["days"][0]["change"] == pytest.approx(-0.6)

    def test_quiet_weekends_are_compared_with_weekends(self, contract: Contract) -> None:
        def usual(start: Any, days: int) -> pl.DataFrame:
            dates = [(start + timedelta(days=at)).date() for at in range(days)]
            return counted_days({day: 0 if day.weekday() >= 5 else 100 for day in dates})

        found = check("days_are_complete", (usual(START, 20), usual(HOLDOUT, 4)), contract)
        assert found.passed
        assert {row["usual"] for row in found.evidence["days"]} == {0.0, 100.0}

    def test_with_less_than_two_weeks_of_training_all_its_days_are_compared(self, contract_with: Build) -> None:
        short = contract_with({"window": {"train": "12d", "holdout": "5d", "backtests": 2}, "gates.data.min_rows": 100})
        train, holdout = windows(train_days=12, a_day=200)
        assert check("days_are_complete", (train, holdout), short).evidence["compared_with"] == "all days of training"
        halved = holdout.filter((pl.col("sent_at").dt.day() != 26) | (pl.int_range(pl.len()) % 2 == 0))
        assert check("days_are_complete", (train, halved), short).outcome is Outcome.FAIL

    def test_days_of_a_source_that_begins_inside_training_are_counted_from_its_beginning(self, contract: Contract) -> None:
        train, holdout = windows()
        begun = train.filter(pl.col("sent_at") >= START + timedelta(days=12))
        assert check("days_are_complete", (begun, holdout), contract).passed

    def test_days_whose_labels_are_not_known_yet_are_not_judged(self, contract_with: Build) -> None:
        slow = contract_with({"source.label_delay": "3d", "gates.data.max_age": "4d"})
        train, holdout = windows()
        found = check("days_are_complete", (train, holdout.filter(pl.col("sent_at") < CUTOFF - timedelta(days=3))), slow)
        assert (found.outcome, found.evidence["days_judged"]) == (Outcome.PASS, 2)

    def test_a_holdout_without_a_whole_day_says_that_nothing_was_judged(self, contract_with: Build) -> None:
        hours = contract_with({"window": {"train": "20d", "holdout": "20h", "backtests": 2}, "source.label_delay": "1h"})
        found = check("days_are_complete", windows(), hours)
        assert found.passed
        assert "nothing was judged" in found.message

    def test_rows_without_a_label_make_a_day_complete(self, contract: Contract) -> None:
        train, holdout = windows(a_day=200)
        cancelled = pl.col("sent_at").dt.day() == 26
        left_out = LeftOut(unlabelled=holdout.filter(cancelled).with_columns(late=None))
        assert check("days_are_complete", (train, holdout.filter(~cancelled)), contract, left_out=left_out).passed
        assert not check("days_are_complete", (train, holdout.filter(~cancelled)), contract).passed

    def test_a_source_without_a_fault_alarms_once_in_thousands_of_days(self, contract: Contract) -> None:
        """Poisson counts of 3 to 300 a day, limit of change as small as can be: chance alone must not close the gate."""
        strict = contract.model_copy(
            update={
                "gates": contract.gates.model_copy(
                    update={"data": contract.gates.data.model_copy(update={"max_day_change": 1e-6})}
                )
            }
        )
        draw, alarms, judged_days = np.random.default_rng(5), 0, 0
        for mean in (3, 30, 300):
            for _ in range(40):
                days = {(START + timedelta(days=at)).date(): int(draw.poisson(mean)) for at in range(20)}
                held = {(HOLDOUT + timedelta(days=at)).date(): int(draw.poisson(mean)) for at in range(4)}
                found = check("days_are_complete", (counted_days(days), counted_days(held)), strict)
                alarms, judged_days = alarms + found.evidence["days_over"], judged_days + 4
        assert judged_days == 480
        assert alarms <= 1

    def test_a_source_that_varies_more_than_chance_is_given_more_room(self, contract: Contract) -> None:
        draw = np.random.default_rng(3)
        days = {(START + timedelta(days=at)).date(): int(draw.gamma(4, 100)) for at in range(20)}
        held = {(HOLDOUT + timedelta(days=at)).date(): 400 if at else 150 for at in range(4)}
        found = check("days_are_complete", (counted_days(days), counted_days(held)), contract)
        assert found.evidence["spread_against_poisson"] > 3
        assert found.passed

    @pytest.mark.parametrize("mean", [30, 100, 1000])
    def test_the_deviation_is_that_of_a_poisson_count(self, mean: int) -> None:
        """Against scipy's exact tail, three standard deviations out, within two fifths of one."""
        for count in (int(mean - 3 * mean**0.5), int(mean + 3 * mean**0.5)):
            exact = (
                stats.norm.isf(stats.poisson.sf(count, mean)) if count > mean else stats.norm.ppf(stats.poisson.cdf(count, mean))
            )
            assert _deviation(count, mean) == pytest.approx(exact, abs=0.4)
