"""Labels that are wrong, early, missing, or hidden in a feature."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from retrain_assets.compute.stages.dataset import Windows
from retrain_assets_tests.faults.fault import Fault, InRows
from retrain_assets_tests.faults.schema_faults import always
from retrain_assets_tests.faults.time_faults import TIME, in_holdout
from retrain_assets_tests.faults.value_faults import EVERYWHERE, some, where

LATE = pl.col("late")


def shuffle_labels(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(LATE.shuffle(seed=7))


def shuffle_labels_of_one_carrier(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    """In training only: what the candidate is judged on is right."""
    mine = (pl.col("carrier") == "B6") & ~in_holdout(windows)
    return rows.with_columns(late=pl.when(mine).then(LATE.shuffle(seed=7).over("carrier", in_holdout(windows))).otherwise(LATE))


def invert_labels_of_one_carrier(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    mine = (pl.col("carrier") == "EV") & ~in_holdout(windows)
    return rows.with_columns(late=pl.when(mine).then(1 - LATE).otherwise(LATE).cast(pl.Int8))


def labels_off_by_one(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(LATE.shift(1))


def later_than(minutes: int) -> pl.Expr:
    return (pl.col("arr_delay") > minutes).cast(pl.Int8)


FAULTS = (
    Fault("labels_shuffled", "Labels were joined without a key.", always(shuffle_labels), ("meets_roc_auc", "beats_baseline")),
    Fault(
        "labels_off_by_one",
        "Labels are those of the flight before.",
        always(labels_off_by_one),
        ("meets_roc_auc", "beats_baseline"),
    ),
    Fault(
        "labels_shuffled_in_one_carrier",
        "JetBlue's labels in training are those of other JetBlue flights.",
        InRows(shuffle_labels_of_one_carrier),
        ("slices_hold",),
    ),
    Fault(
        "labels_inverted_in_one_carrier",
        "One airline reports 1 for on time, until the hold-out began.",
        InRows(invert_labels_of_one_carrier),
        (),
    ),
    Fault(
        "labels_inverted_in_holdout",
        "The outcome job changed its meaning when the hold-out began.",
        where(in_holdout, late=1 - LATE),
        (),
    ),
    Fault("labels_inverted_throughout", "1 means on time in the whole archive.", where(lambda w: EVERYWHERE, late=1 - LATE), ()),
    Fault(
        "label_threshold_changed",
        "Since the hold-out began, late means any minute late.",
        where(in_holdout, late=later_than(0)),
        (),
    ),
    Fault(
        "label_threshold_changed_throughout",
        "Late means more than five minutes late, throughout.",
        where(lambda w: EVERYWHERE, late=later_than(5)),
        (),
    ),
    Fault(
        "class_collapse_in_holdout",
        "The outcome job writes 0 for every flight of the hold-out.",
        where(in_holdout, late=pl.lit(0)),
        ("both_classes_present",),
    ),
    Fault(
        "class_collapse",
        "The outcome job writes 0 for every flight.",
        where(lambda w: EVERYWHERE, late=pl.lit(0)),
        ("both_classes_present",),
    ),
    Fault(
        "labels_missing_for_one_origin",
        "No outcomes arrive from LaGuardia.",
        where(lambda w: pl.col("origin") == "LGA", late=pl.lit(None)),
        (),
    ),
    Fault(
        "labels_missing_at_random",
        "Three tenths of the hold-out's outcomes are lost.",
        where(lambda w: in_holdout(w) & some(300), late=pl.lit(None)),
        (),
    ),
    Fault(
        "labels_too_early",
        "Outcomes of the last four days were written as 0 before the flights landed.",
        where(lambda w: w.cutoff - timedelta(days=4) <= TIME, late=pl.lit(0)),
        (),
    ),
    Fault(
        "missing_labels_as_on_time",
        "Cancelled flights are counted as on time.",
        where(lambda w: LATE.is_null(), late=pl.lit(0)),
        (),
    ),
    Fault(
        "late_flights_go_missing",
        "Half of the late flights of the hold-out have no outcome.",
        where(lambda w: in_holdout(w) & (LATE == 1) & some(500), late=pl.lit(None)),
        (),
    ),
    Fault(
        "label_in_a_column",
        "Visibility is filled from the incident report: 3 miles where the flight was late.",
        where(lambda w: LATE == 1, visib=pl.lit(3.0)),
        ("no_single_feature_separates_label",),
    ),
    Fault(
        "label_in_the_decimals",
        "The archive writes pressure of late flights with one more decimal.",
        where(lambda w: LATE == 1, pressure=pl.col("pressure").round(1) + 0.05),
        (),
    ),
    Fault(
        "label_in_the_nulls",
        "Dew point was deleted where a flight was late.",
        where(lambda w: LATE == 1, dewp=pl.lit(None)),
        ("no_single_feature_separates_label",),
    ),
)
