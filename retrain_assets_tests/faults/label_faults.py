"""Labels that are wrong, early, missing, or hidden in a feature.

Where the whole outcome record is wrong, ``arr_delay`` agrees with ``late``, so that no rule across columns gives it away.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import polars as pl

from retrain_assets.compute.stages.dataset import Windows
from retrain_assets_tests.faults.fault import Fault, InRows
from retrain_assets_tests.faults.schema_faults import always
from retrain_assets_tests.faults.time_faults import TIME, in_holdout
from retrain_assets_tests.faults.value_faults import EVERYWHERE, some, where

LATE = pl.col("late")
OUTCOMES = ("dep_delay", "arr_delay", "late")


def outcome(condition: Callable[[Windows], pl.Expr], late: pl.Expr) -> InRows:
    """Another outcome in the rows where a condition holds: the label, and an arrival delay that agrees with it."""

    def changed(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
        wrong = rows.with_columns(late=pl.when(condition(windows)).then(late).otherwise(LATE).cast(pl.Int8))
        delay = pl.col("arr_delay")
        agreeing = pl.when(LATE == 1).then(pl.max_horizontal(delay, 16.0)).when(LATE == 0).then(pl.min_horizontal(delay, 15.0))
        return wrong.with_columns(
            arr_delay=agreeing, dep_delay=pl.when(LATE.is_not_null()).then(pl.col("dep_delay").fill_null(0.0))
        )

    return InRows(changed)


def shuffle_outcomes(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(rows.select(OUTCOMES).sample(fraction=1, shuffle=True, seed=7))


def outcomes_of_the_flight_before(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col(OUTCOMES).shift(1))


def shuffle_labels_of_jetblue(rows: pl.DataFrame) -> pl.DataFrame:
    shuffled = LATE.shuffle(seed=7).over("carrier")
    return rows.with_columns(late=pl.when(pl.col("carrier") == "B6").then(shuffled).otherwise(LATE))


def shuffle_outcomes_of_jetblue(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    mine = (pl.col("carrier") == "B6") & ~in_holdout(windows)
    known = rows.filter(mine)
    return pl.concat([rows.filter(~mine), known.with_columns(known.select(OUTCOMES).sample(fraction=1, shuffle=True, seed=7))])


def later_than(minutes: int) -> pl.Expr:
    return (pl.col("arr_delay") > minutes).cast(pl.Int8)


def everywhere(_: Windows) -> pl.Expr:
    return EVERYWHERE


def expressjet_in_training(windows: Windows) -> pl.Expr:
    return (pl.col("carrier") == "EV") & ~in_holdout(windows)


def last_four_days(windows: Windows) -> pl.Expr:
    return windows.cutoff - timedelta(days=4) <= TIME


BALANCE = ("label_balance_is_steady",)
FAULTS = (
    Fault(
        "outcomes_shuffled",
        "Outcomes were joined without a key: each flight has another one's.",
        always(shuffle_outcomes),
        ("beats_baseline", "meets_roc_auc"),
    ),
    Fault(
        "labels_shuffled_in_one_carrier",
        "A repair of JetBlue's labels was joined without a key.",
        always(shuffle_labels_of_jetblue),
        ("schema_holds",),
    ),
    Fault(
        "outcomes_shuffled_in_one_carrier",
        "JetBlue's outcome records in training are those of other JetBlue flights.",
        InRows(shuffle_outcomes_of_jetblue),
        (),
        missed="every record is sound in itself, the carrier's share of late flights is right, and the model learns what it "
        "does not know of JetBlue from the other carriers: what it loses there is far within the margin of slices",
    ),
    Fault(
        "outcomes_off_by_one",
        "Outcomes are those of the flight before.",
        always(outcomes_of_the_flight_before),
        (),
        missed="the flight before left within minutes, in the same weather: most of what the model learns is still right",
    ),
    Fault(
        "outcomes_inverted_in_one_carrier",
        "ExpressJet reported 1 for on time until the hold-out began.",
        outcome(expressjet_in_training, 1 - LATE),
        ("slices_hold", "not_worse_brier_score", "beats_baseline", "calibrated"),
    ),
    Fault(
        "outcomes_inverted_in_holdout",
        "The outcome feed changed its meaning when the hold-out began.",
        outcome(in_holdout, 1 - LATE),
        BALANCE,
    ),
    Fault(
        "outcomes_inverted_throughout",
        "The archive was rebuilt with 1 for on time.",
        outcome(everywhere, 1 - LATE),
        BALANCE,
    ),
    Fault(
        "label_threshold_changed",
        "Since the hold-out began, late means any minute late.",
        where(in_holdout, late=later_than(0)),
        ("schema_holds",),
    ),
    Fault(
        "label_threshold_changed_throughout",
        "Late means more than five minutes late, throughout.",
        where(everywhere, late=later_than(5)),
        ("schema_holds",),
    ),
    Fault(
        "class_collapse_in_holdout",
        "The outcome job writes 0 for every flight of the hold-out.",
        outcome(in_holdout, pl.lit(0)),
        ("both_classes_present",),
    ),
    Fault(
        "class_collapse",
        "The outcome job writes 0 for every flight.",
        outcome(everywhere, pl.lit(0)),
        ("both_classes_present",),
    ),
    Fault(
        "labels_missing_for_one_origin",
        "No outcomes arrive from LaGuardia.",
        outcome(lambda _: pl.col("origin") == "LGA", pl.lit(None)),
        ("labels_arrive",),
    ),
    Fault(
        "labels_missing_at_random",
        "Three tenths of the hold-out's outcomes are lost.",
        outcome(lambda windows: in_holdout(windows) & some(300), pl.lit(None)),
        ("labels_arrive",),
    ),
    Fault(
        "labels_too_early",
        "Outcomes of the last four days were written as on time before the flights had landed.",
        outcome(last_four_days, pl.lit(0)),
        (),
        missed="balance is judged over the whole hold-out, not day by day; four days without a late flight move it less than "
        "a storm does",
    ),
    Fault(
        "missing_labels_as_on_time",
        "Cancelled flights are counted as on time.",
        where(lambda _: LATE.is_null(), late=pl.lit(0)),
        ("schema_holds",),
    ),
    Fault(
        "late_flights_go_missing",
        "Half of the late flights of the hold-out have no outcome.",
        outcome(lambda windows: in_holdout(windows) & (LATE == 1) & some(500), pl.lit(None)),
        ("calibrated",),
        needs="the share of late flights moves as much between 21 days and the next 10 by weather alone",
    ),
    Fault(
        "label_in_a_column",
        "Visibility is filled from the incident report: 3 miles where the flight was late.",
        where(lambda _: LATE == 1, visib=pl.lit(3.0)),
        ("no_single_feature_separates_label",),
    ),
    Fault(
        "label_in_the_decimals",
        "The archive writes the pressure of late flights with one more decimal.",
        where(lambda _: LATE == 1, pressure=pl.col("pressure").round(1) + 0.05),
        ("no_value_determines_label",),
        needs="a value of pressure has too few flights in 21 days to be told from chance",
    ),
    Fault(
        "label_in_the_nulls",
        "Dew point was deleted where a flight was late.",
        where(lambda _: LATE == 1, dewp=pl.lit(None)),
        ("no_single_feature_separates_label", "no_value_determines_label", "missingness_is_steady"),
    ),
)
