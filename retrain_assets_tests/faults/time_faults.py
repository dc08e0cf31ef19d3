"""Rows at the wrong time, too late, twice or not at all."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from retrain_assets.compute.stages.dataset import Windows
from retrain_assets_tests.faults.fault import Fault, InRows

TIME = pl.col("scheduled_at")
DAY = timedelta(days=1)


def day_of(windows: Windows, days_before_cutoff: int) -> pl.Expr:
    """Whether a row is of the day that began that many days before the cut-off."""
    start = windows.cutoff - days_before_cutoff * DAY
    return (start <= TIME) & (start + DAY > TIME)


def in_holdout(windows: Windows) -> pl.Expr:
    return windows.train_end <= TIME


def renamed_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows under ids of their new day and flight numbers that no airline has, so that no key is repeated."""
    day = TIME.dt.convert_time_zone("America/New_York").dt.strftime("%Y-%m-%d")
    number = pl.col("flight_id").str.slice(10).str.replace(r"\|(\d+)\|", "|99999${1}|")
    return rows.with_columns(flight_id=day + number)


def stale_source(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return rows.filter(windows.cutoff - 5 * DAY > TIME)


def shift_days_back(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return rows.with_columns(TIME - 4 * DAY)


def shift_days_ahead(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return rows.with_columns(TIME + 2 * DAY)


def shift_a_month_ahead(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    """Day and month change places where both can be a month; here: the first twelve days of each month move."""
    swapped = pl.datetime(TIME.dt.year(), TIME.dt.day(), TIME.dt.month(), TIME.dt.hour(), TIME.dt.minute(), time_zone="UTC")
    return rows.with_columns(
        pl.when(TIME.dt.day() <= 12).then(swapped.dt.cast_time_unit("us")).otherwise(TIME).alias("scheduled_at")
    )


def local_time_as_utc(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return rows.with_columns(
        TIME.dt.convert_time_zone("America/New_York").dt.replace_time_zone("UTC", ambiguous="earliest", non_existent="null")
    )


def local_time_as_utc_in_holdout(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    local = TIME.dt.convert_time_zone("America/New_York").dt.replace_time_zone("UTC", ambiguous="earliest", non_existent="null")
    return rows.with_columns(pl.when(in_holdout(windows)).then(local).otherwise(TIME).alias("scheduled_at"))


def epoch_seconds_as_milliseconds(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return rows.with_columns((TIME.dt.epoch("us") // 1000).cast(pl.Datetime("us", "UTC")).alias("scheduled_at"))


def missing_day(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return rows.filter(~day_of(windows, 5))


def missing_day_of_training(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    start = windows.train_start + 6 * DAY
    return rows.filter((start > TIME) | (start + 2 * DAY <= TIME))


def half_a_day_lost(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    lost = day_of(windows, 5) & (windows.cutoff - 5 * DAY + timedelta(hours=15) <= TIME)
    return rows.filter(~lost)


def night_without_rows(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    """Thirty hours in the hold-out have no row."""
    start = windows.cutoff - 6 * DAY
    return rows.filter((start > TIME) | (start + timedelta(hours=30) <= TIME))


def duplicated_day(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return pl.concat([rows, rows.filter(day_of(windows, 5))])


def duplicated_day_with_new_ids(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return pl.concat([rows, renamed_ids(rows.filter(day_of(windows, 5)))])


def replay_of_last_week(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    week = rows.filter((windows.train_end - 7 * DAY <= TIME) & (windows.train_end > TIME))
    kept = rows.filter((windows.train_end > TIME) | (windows.train_end + 7 * DAY <= TIME))
    return pl.concat([kept, renamed_ids(week.with_columns(TIME + 7 * DAY))])


def holdout_copied_into_training(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    """The hold-out's flights stand in training too, dated two weeks (or one, where the hold-out is shorter) earlier."""
    weeks = -(-(windows.cutoff - windows.train_end) // (7 * DAY))
    copied = rows.filter(in_holdout(windows)).with_columns(TIME - weeks * 7 * DAY)
    copied = renamed_ids(copied.filter(windows.train_end > TIME))
    first, last = copied["scheduled_at"].min(), copied["scheduled_at"].max()
    return pl.concat([rows.filter(~TIME.is_between(first, last)), copied])


def future_rows(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    """Half of the hold-out is dated a year ahead, ids and all."""
    typed = in_holdout(windows) & (pl.col("flight_id").hash(7) % 2 == 0)
    return pl.concat([rows.filter(~typed), renamed_ids(rows.filter(typed).with_columns(TIME.dt.offset_by("364d")))])


def three_of_four_days_thinned(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    return rows.filter(~in_holdout(windows) | (pl.col("flight_id").hash(7) % 5 < 2))


FAULTS = (
    Fault("stale_source", "The source stopped five days before the cut-off.", InRows(stale_source), ("fresh_enough",)),
    Fault("dates_four_days_back", "A backfill wrote all timestamps four days early.", InRows(shift_days_back), ("fresh_enough",)),
    Fault(
        "dates_two_days_ahead",
        "All timestamps are two days late; the last two days fall off.",
        InRows(shift_days_ahead),
        ("schema_holds",),
    ),
    Fault(
        "day_and_month_swapped",
        "1 July was read as 7 January.",
        InRows(shift_a_month_ahead),
        ("schema_holds", "volume_is_steady"),
    ),
    Fault(
        "local_time_as_utc",
        "The export job wrote New York time and called it UTC.",
        InRows(local_time_as_utc),
        ("schema_holds",),
    ),
    Fault(
        "local_time_as_utc_in_holdout",
        "The same, since the hold-out began.",
        InRows(local_time_as_utc_in_holdout),
        ("schema_holds",),
    ),
    Fault(
        "epoch_seconds_as_milliseconds",
        "Seconds since 1970 were read as milliseconds.",
        InRows(epoch_seconds_as_milliseconds),
        ("enough_rows",),
    ),
    Fault(
        "missing_day",
        "One day of the hold-out was never landed.",
        InRows(missing_day),
        ("days_are_complete", "source_keeps_its_cadence"),
    ),
    Fault(
        "missing_weekend_of_training",
        "Two days of the training window were never landed.",
        InRows(missing_day_of_training),
        (),
        missed="days are judged in the hold-out; a hole in training makes the candidate a little weaker and nothing else",
    ),
    Fault(
        "half_a_day_lost",
        "One day of the hold-out was landed up to eleven in the morning only.",
        InRows(half_a_day_lost),
        ("days_are_complete",),
    ),
    Fault(
        "thirty_hours_of_silence",
        "An outage: no row for thirty hours of the hold-out.",
        InRows(night_without_rows),
        ("source_keeps_its_cadence",),
    ),
    Fault("duplicated_day", "One day was landed twice.", InRows(duplicated_day), ("keys_are_unique",)),
    Fault(
        "duplicated_day_with_new_ids",
        "One day was landed twice, the second time under new flight numbers.",
        InRows(duplicated_day_with_new_ids),
        ("days_are_complete",),
    ),
    Fault(
        "replay_of_last_week",
        "The feed sent the week before again, under new dates.",
        InRows(replay_of_last_week),
        ("no_rows_shared_across_split",),
    ),
    Fault(
        "holdout_copied_into_training",
        "A backfill filled the last weeks of training with the hold-out's flights.",
        InRows(holdout_copied_into_training),
        ("no_rows_shared_across_split",),
    ),
    Fault(
        "future_rows",
        "Half of the hold-out was dated a year ahead.",
        InRows(future_rows),
        ("days_are_complete", "volume_is_steady"),
    ),
    Fault(
        "truncated_rows",
        "A row limit in the export cut three fifths of the hold-out.",
        InRows(three_of_four_days_thinned),
        ("volume_is_steady",),
    ),
)
