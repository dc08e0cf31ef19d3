"""Values that keep their type and are wrong: units, sensors, nulls, categories, samples."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from retrain_assets.compute.stages.dataset import Windows
from retrain_assets_tests.faults.fault import Fault, InRows
from retrain_assets_tests.faults.schema_faults import always
from retrain_assets_tests.faults.time_faults import in_holdout

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")


def where(condition: Callable[[Windows], pl.Expr], **values: pl.Expr) -> InRows:
    """New values for columns in the rows where a condition holds."""

    def changed(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
        holds = condition(windows)
        return rows.with_columns(
            pl.when(holds).then(value).otherwise(pl.col(name)).cast(rows.schema[name]).alias(name)
            for name, value in values.items()
        )

    return InRows(changed)


def some(share_in_thousand: int, seed: int = 7) -> pl.Expr:
    """A fixed, arbitrary share of the rows."""
    return pl.col("flight_id").hash(seed) % 1000 < share_in_thousand


def celsius(column: str) -> pl.Expr:
    return (pl.col(column) - 32) / 1.8


def without(condition: Callable[[Windows], pl.Expr]) -> InRows:
    """Drops the rows where a condition holds."""

    def changed(rows: pl.DataFrame, windows: Windows) -> pl.DataFrame:
        return rows.filter(~condition(windows))

    return InRows(changed)


def fan_out(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([rows, rows.filter(some(20))])


def swap_schedule(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"sched_dep_time": "sched_arr_time", "sched_arr_time": "sched_dep_time"})


def swap_temperature_and_dew_point(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"temp": "dewp", "dewp": "temp"})


def shuffle_weather(rows: pl.DataFrame) -> pl.DataFrame:
    """Each flight gets the weather of another one."""
    return rows.with_columns(rows.select(WEATHER).sample(fraction=1, shuffle=True, seed=7))


EVERYWHERE = pl.lit(True)

FAULTS = (
    Fault(
        "celsius_in_holdout",
        "The weather service changed from °F to °C when the hold-out began.",
        where(in_holdout, temp=celsius("temp"), dewp=celsius("dewp")),
        ("holdout_resembles_training",),
    ),
    Fault(
        "celsius_at_one_origin",
        "Newark's new station reports °C, the others °F.",
        where(lambda w: pl.col("origin") == "EWR", temp=celsius("temp"), dewp=celsius("dewp")),
        (),
        missed="both windows are alike, every value is possible, and the model knows the origin: it learns both scales",
    ),
    Fault(
        "celsius_at_one_origin_in_holdout",
        "Newark's station was replaced when the hold-out began; the new one reports °C.",
        where(lambda w: in_holdout(w) & (pl.col("origin") == "EWR"), temp=celsius("temp"), dewp=celsius("dewp")),
        (),
        missed="hold-out and training are compared column by column, not origin by origin, and a third of the rows moves a "
        "column less than a change of weather does",
    ),
    Fault(
        "celsius_throughout",
        "All temperatures, of all years, are in °C.",
        where(lambda w: EVERYWHERE, temp=celsius("temp"), dewp=celsius("dewp")),
        (),
        missed="the whole history is in the new unit: ranges hold and trees do not care; serving in °F would be seen as drift",
    ),
    Fault(
        "humidity_as_fraction_in_holdout",
        "Humidity changed from per cent to 0..1 when the hold-out began.",
        where(in_holdout, humid=pl.col("humid") / 100),
        ("holdout_resembles_training",),
    ),
    Fault(
        "numbers_times_thousand_at_one_origin",
        "JFK's export writes 10,0 miles of visibility as 10,000.",
        where(lambda w: pl.col("origin") == "JFK", visib=pl.col("visib") * 1000),
        ("schema_holds",),
    ),
    Fault(
        "stuck_sensor_in_holdout",
        "The wind sensors froze at the last reading.",
        where(in_holdout, wind_speed=pl.lit(8.05546)),
        ("features_vary",),
    ),
    Fault(
        "constant_feature",
        "Humidity has been 55 in every row since the archive was rebuilt.",
        where(lambda w: EVERYWHERE, humid=pl.lit(55.0)),
        ("features_vary",),
    ),
    Fault(
        "null_as_zero_in_holdout",
        "A library update writes 0 where weather is missing.",
        where(in_holdout, pressure=pl.col("pressure").fill_null(0.0)),
        ("schema_holds",),
    ),
    Fault(
        "nulls_rising",
        "Two fifths of the hold-out have no temperature.",
        where(lambda w: in_holdout(w) & some(400), temp=pl.lit(None)),
        ("missingness_within_limits",),
    ),
    Fault(
        "nulls_rising_without_a_limit",
        "A third of the hold-out has no humidity, of which the contract says nothing.",
        where(lambda w: in_holdout(w) & some(330), humid=pl.lit(None)),
        ("missingness_is_steady",),
    ),
    Fault(
        "column_empty_in_holdout",
        "The wind columns stopped being delivered.",
        where(in_holdout, wind_speed=pl.lit(None), wind_dir=pl.lit(None)),
        ("missingness_is_steady", "features_vary"),
    ),
    Fault("swapped_schedule", "Scheduled departure and arrival were exchanged.", always(swap_schedule), ("schema_holds",)),
    Fault(
        "swapped_temperature_and_dew_point",
        "Temperature and dew point were exchanged.",
        always(swap_temperature_and_dew_point),
        ("schema_holds",),
    ),
    Fault(
        "weather_of_other_flights",
        "The weather join lost its key; each flight has another one's weather.",
        always(shuffle_weather),
        (),
        missed="weather is a small part of what the model knows; what is lost is within what another month loses by chance",
    ),
    Fault(
        "arrival_without_departure",
        "One flight in fifty has an arrival delay and no departure.",
        where(lambda w: some(20), dep_delay=pl.lit(None)),
        ("schema_holds",),
    ),
    Fault("duplicated_keys", "A join fanned out: one flight in fifty stands there twice.", always(fan_out), ("keys_are_unique",)),
    Fault(
        "ids_missing",
        "One flight in a hundred has no id.",
        where(lambda w: some(10), flight_id=pl.lit(None)),
        ("keys_are_unique", "schema_holds"),
    ),
    Fault(
        "dropped_carrier",
        "JetBlue is no longer delivered since the hold-out began.",
        without(lambda w: in_holdout(w) & (pl.col("carrier") == "B6")),
        ("categories_are_known",),
    ),
    Fault(
        "dropped_origin",
        "LaGuardia is no longer delivered since the hold-out began.",
        without(lambda w: in_holdout(w) & (pl.col("origin") == "LGA")),
        ("categories_are_known",),
    ),
    Fault(
        "only_one_origin",
        "A filter of an experiment was left in: only Newark, throughout.",
        without(lambda w: pl.col("origin") != "EWR"),
        ("enough_rows", "volume_is_steady"),
    ),
    Fault(
        "new_category",
        "A tenth of the hold-out is of a carrier that training has never seen.",
        where(lambda w: in_holdout(w) & some(100), carrier=pl.lit("ZZ")),
        ("categories_are_known",),
    ),
    Fault(
        "recoded_carriers",
        "United is UA in training and U2 in the hold-out.",
        where(lambda w: in_holdout(w) & (pl.col("carrier") == "UA"), carrier=pl.lit("U2")),
        ("categories_are_known",),
    ),
    Fault(
        "merged_categories",
        "All destinations of the hold-out are coded as one region.",
        where(in_holdout, dest=pl.lit("USA")),
        ("categories_are_known",),
    ),
)
