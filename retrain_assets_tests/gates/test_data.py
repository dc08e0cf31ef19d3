"""Gate DATA on source rows: each check passes on sound rows and closes on the fault it is there for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome, Verdict, canonical_json
from retrain_assets.gates import DATA_CHECKS, EarlierDataset
from retrain_assets_tests.gates.conftest import CUTOFF, verdict
from retrain_assets_tests.gates.data_rows import Windows, judged, windows


@pytest.fixture
def judge(contract: Contract) -> Callable[..., list[Verdict]]:
    return lambda train, holdout, **changes: judged(train, holdout, changes.pop("contract", contract), **changes)


@pytest.fixture(scope="module")
def parcels() -> Windows:
    return windows()


def earlier(*rows_a_day: float) -> list[EarlierDataset]:
    return [EarlierDataset(f"r{number}", rows, {"weight": 0.0}, 0.4) for number, rows in enumerate(rows_a_day)]


def test_sound_rows_pass_every_check(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    verdicts = judge(*parcels, history=earlier(49, 50, 51.5))
    assert [each.check for each in verdicts] == list(DATA_CHECKS)
    assert [each for each in verdicts if not each.passed] == []
    assert canonical_json([each.to_json() for each in verdicts])


def test_no_rows_at_all_open_nothing(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    verdicts = judge(parcels[0].clear(), parcels[1].clear())
    outcomes = {each.check: each.outcome for each in verdicts}
    assert outcomes.pop("enough_rows") is Outcome.FAIL
    assert set(outcomes.values()) == {Outcome.NO_DATA}


@pytest.mark.parametrize("window", [0, 1])
def test_one_empty_window_is_not_judged_as_sound(judge: Callable[..., list[Verdict]], parcels: Windows, window: int) -> None:
    frames = list(parcels)
    frames[window] = frames[window].clear()
    closed = {each.check for each in judge(*frames) if not each.passed}
    assert {"enough_rows", "volume_is_steady", "days_are_complete", "both_classes_present", "time_order_holds"} <= closed


def test_a_renamed_column_fails_the_schema_and_stops_what_needs_it(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    verdicts = judge(*(frame.rename({"sent_at": "sent"}) for frame in parcels))
    assert verdict(verdicts, "schema_holds").outcome is Outcome.FAIL
    for check in ("fresh_enough", "keys_are_unique", "time_order_holds", "labels_are_mature"):
        assert verdict(verdicts, check).outcome is Outcome.ERROR, check
        assert "sent_at" in verdict(verdicts, check).message


def test_a_time_read_as_text_is_an_error_that_says_so(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    verdicts = judge(*(frame.with_columns(pl.col("sent_at").cast(pl.String)) for frame in parcels))
    assert verdict(verdicts, "schema_holds").outcome is Outcome.FAIL
    assert verdict(verdicts, "fresh_enough").outcome is Outcome.ERROR
    assert "is String, not a time" in verdict(verdicts, "fresh_enough").message


def test_rows_that_are_too_old_fail(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    found = verdict(judge(*parcels, cutoff=CUTOFF + timedelta(days=1)), "fresh_enough")
    assert found.outcome is Outcome.FAIL
    assert found.threshold == 48


def test_a_row_from_after_the_cutoff_fails_freshness(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    found = verdict(judge(*parcels, cutoff=CUTOFF - timedelta(days=3)), "fresh_enough")
    assert found.outcome is Outcome.FAIL
    assert "after the cut-off" in found.message


def test_times_without_a_zone_are_read_as_utc(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    naive = [frame.with_columns(pl.col("sent_at").dt.replace_time_zone(None)) for frame in parcels]
    in_tokyo = [frame.with_columns(pl.col("sent_at").dt.convert_time_zone("Asia/Tokyo")) for frame in parcels]
    expected = verdict(judge(*parcels), "fresh_enough").observed
    assert verdict(judge(*naive), "fresh_enough").observed == expected
    assert verdict(judge(*in_tokyo), "fresh_enough").observed == expected


def test_a_cutoff_without_a_zone_is_refused(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    with pytest.raises(ValueError, match="no timezone"):
        judge(*parcels, cutoff=datetime(2024, 3, 1))  # noqa: DTZ001


def test_only_labelled_rows_count_as_rows(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    train, holdout = parcels
    unlabelled = train.with_columns(late=pl.when(pl.int_range(pl.len()) < 600).then(None).otherwise("late"))
    found = verdict(judge(unlabelled, holdout), "enough_rows")
    assert found.outcome is Outcome.FAIL
    assert (found.observed, found.threshold) == (400, 500)
    few = verdict(judge(train, holdout.head(99)), "enough_rows")
    assert (few.outcome, few.observed) == (Outcome.FAIL, 99)


def test_a_volume_that_drops_against_training_fails(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    """A day of the hold-out's five is without labels at the cut-off and has no rows here."""
    found = verdict(judge(parcels[0], parcels[1].head(90)), "volume_is_steady")
    assert found.outcome is Outcome.FAIL
    assert found.observed == pytest.approx(1 - (90 / 4) / (1000 / 20))


def test_a_long_label_delay_is_no_drop_of_volume(
    judge: Callable[..., list[Verdict]], parcels: Windows, contract_with: Callable[[dict[str, Any]], Contract]
) -> None:
    slow = contract_with({"source.label_delay": "3d", "gates.data.max_age": "4d"})
    assert verdict(judge(parcels[0], parcels[1].head(100), contract=slow), "volume_is_steady").observed == pytest.approx(0)


def test_a_volume_that_jumps_against_earlier_retrains_fails(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    found = verdict(judge(*parcels, history=earlier(30, 25, 30.5)), "volume_is_steady")
    assert found.outcome is Outcome.FAIL
    assert "earlier retrains" in found.message


def test_missing_values_beyond_the_limit_fail_and_name_the_column(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    train, holdout = parcels
    gone = holdout.with_columns(weight=pl.when(pl.int_range(pl.len()) % 5 == 0).then(None).otherwise("weight"))
    found = verdict(judge(train, gone), "missingness_within_limits")
    assert found.outcome is Outcome.FAIL
    assert found.observed == pytest.approx(0.2)
    assert "weight (holdout)" in found.message


def test_not_a_number_counts_as_missing(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    train, holdout = parcels
    assert not verdict(judge(train.with_columns(weight=pl.lit(float("nan"))), holdout), "missingness_within_limits").passed


def test_a_limit_on_a_column_that_is_not_there_is_an_error(
    judge: Callable[..., list[Verdict]], parcels: Windows, contract_with: Callable[[dict[str, Any]], Contract]
) -> None:
    other = contract_with({"gates.data.max_missing": {"height": 0.1}})
    assert verdict(judge(*parcels, contract=other), "missingness_within_limits").outcome is Outcome.ERROR


def test_without_limits_missing_shares_are_reported_only(
    judge: Callable[..., list[Verdict]], parcels: Windows, contract_with: Callable[[dict[str, Any]], Contract]
) -> None:
    found = verdict(judge(*parcels, contract=contract_with({"gates.data.max_missing": {}})), "missingness_within_limits")
    assert found.passed
    assert {"column": "weight", "window": "train", "null_share": 0.0} in found.evidence["null_share"]


@pytest.mark.parametrize("window", [0, 1])
def test_a_window_with_one_class_fails(judge: Callable[..., list[Verdict]], parcels: Windows, window: int) -> None:
    frames = list(parcels)
    frames[window] = frames[window].with_columns(late=pl.lit(True))
    found = verdict(judge(*frames), "both_classes_present")
    assert (found.outcome, found.observed, found.threshold) == (Outcome.FAIL, 1, 2)


def test_a_third_class_in_a_binary_label_fails(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    train, holdout = (frame.with_columns(late=pl.int_range(pl.len()) % 3) for frame in parcels)
    found = verdict(judge(train, holdout), "both_classes_present")
    assert (found.outcome, found.observed) == (Outcome.FAIL, 3)


def test_a_class_that_training_never_saw_fails(
    judge: Callable[..., list[Verdict]], parcels: Windows, contract_with: Callable[[dict[str, Any]], Contract]
) -> None:
    many = contract_with(
        {
            "task": "multiclass",
            "decision": None,
            "gates.offline": {"metrics": {"log_loss": {"max": 1.0}}},
        }
    )
    train = parcels[0].with_columns(late=pl.int_range(pl.len()) % 3)
    assert verdict(
        judge(train, parcels[1].with_columns(late=pl.int_range(pl.len()) % 2), contract=many), "both_classes_present"
    ).passed
    found = verdict(judge(train, parcels[1].with_columns(late=pl.int_range(pl.len()) % 4), contract=many), "both_classes_present")
    assert found.outcome is Outcome.FAIL
    assert "never saw: 3" in found.message


def test_a_regression_label_has_to_vary(
    judge: Callable[..., list[Verdict]], parcels: Windows, contract_with: Callable[[dict[str, Any]], Contract]
) -> None:
    amounts = contract_with(
        {
            "task": "regression",
            "decision": None,
            "gates.offline": {"metrics": {"r2": {"min": 0.1}}},
        }
    )
    train, holdout = (frame.with_columns(late=pl.col("weight") * 2) for frame in parcels)
    assert verdict(judge(train, holdout, contract=amounts), "both_classes_present").passed
    still = holdout.with_columns(late=pl.lit(3.0))
    assert verdict(judge(train, still, contract=amounts), "both_classes_present").outcome is Outcome.FAIL


def test_no_label_at_all_is_no_data(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    blank = parcels[1].with_columns(late=pl.lit(None, dtype=pl.Boolean))
    assert verdict(judge(parcels[0], blank), "both_classes_present").outcome is Outcome.NO_DATA


def test_a_unit_twice_in_one_event_fails_even_across_the_split(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    train, holdout = parcels
    found = verdict(judge(train, pl.concat([holdout, train.tail(3)])), "keys_are_unique")
    assert (found.outcome, found.observed) == (Outcome.FAIL, 3)
    assert found.evidence["keys"] == 3


def test_a_unit_may_return_at_another_time(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    same = [frame.with_columns(parcel=pl.lit("p")) for frame in parcels]
    assert verdict(judge(*same), "keys_are_unique").passed


def test_a_row_without_unit_fails(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    blank = parcels[0].with_columns(parcel=pl.when(pl.int_range(pl.len()) == 0).then(None).otherwise("parcel"))
    assert verdict(judge(blank, parcels[1]), "keys_are_unique").outcome is Outcome.FAIL


@pytest.mark.parametrize("shift", ["last training moment", "inside", "before"])
def test_a_holdout_row_inside_or_before_training_fails(judge: Callable[..., list[Verdict]], parcels: Windows, shift: str) -> None:
    train, holdout = parcels
    moment = {
        "last training moment": train["sent_at"].max(),
        "inside": train["sent_at"][10],
        "before": CUTOFF - timedelta(days=90),
    }
    early = holdout.with_columns(sent_at=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(moment[shift])).otherwise("sent_at"))
    found = verdict(judge(train, early), "time_order_holds")
    assert (found.outcome, found.observed) == (Outcome.FAIL, 1)


def test_a_row_without_time_fails_the_order(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    blank = parcels[1].with_columns(sent_at=pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise("sent_at"))
    assert verdict(judge(parcels[0], blank), "time_order_holds").outcome is Outcome.FAIL


def test_a_label_from_after_the_cutoff_fails(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    train, holdout = parcels
    late = holdout.with_columns(pl.col("sent_at") + timedelta(hours=14))
    found = verdict(judge(train, late), "labels_are_mature")
    assert found.outcome is Outcome.FAIL
    assert found.observed == late.filter(pl.col("sent_at") > CUTOFF - timedelta(days=1)).height > 0


def test_rows_that_have_no_label_yet_are_counted_and_do_no_harm(judge: Callable[..., list[Verdict]], parcels: Windows) -> None:
    train, holdout = parcels
    waiting = holdout.with_columns(pl.col("sent_at") + timedelta(hours=14))
    waiting = waiting.with_columns(late=pl.when(pl.col("sent_at") <= CUTOFF - timedelta(days=1)).then("late"))
    found = verdict(judge(train, waiting), "labels_are_mature")
    assert found.passed
    assert found.evidence["rows_without_label"] == waiting["late"].null_count() > 0
