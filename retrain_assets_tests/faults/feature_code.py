"""Feature functions that get it wrong, each in one way. All of them begin with the shipped one."""

from __future__ import annotations

from itertools import count
from typing import Any

import narwhals as nw

from retrain_assets.defs.flight_delay.features import build

Rows = nw.DataFrame[Any]
_calls = count()


def with_departure_delay(rows: Rows) -> Rows:
    return build(rows).with_columns(rows.get_column("dep_delay"))


def with_time_made_up(rows: Rows) -> Rows:
    """Minutes made up on the way: known when the flight has landed, and a weak feature."""
    made_up = rows.get_column("dep_delay") - rows.get_column("arr_delay")
    return build(rows).with_columns(made_up.alias("made_up"))


def with_carrier_rate(rows: Rows) -> Rows:
    """Target encoding over the whole window, the row's own label and all later ones among it."""
    rate = rows.with_columns(carrier_rate=nw.col("late").cast(nw.Float64).mean().over("carrier"))
    return build(rows).with_columns(rate.get_column("carrier_rate"))


def with_rate_of_the_others(rows: Rows) -> Rows:
    """Leave-one-out target encoding: each value gives its own label away."""
    late = nw.col("late").cast(nw.Float64)
    others = (late.sum().over("carrier", "dest") - late) / (late.count().over("carrier", "dest") - 1)
    return build(rows).with_columns(rows.with_columns(others=others).get_column("others").alias("route_rate"))


def with_next_flights_outcome(rows: Rows) -> Rows:
    """Whether the carrier's next flight was late."""
    following = rows.with_columns(following=nw.col("late").cast(nw.Float64).shift(-1))
    return build(rows).with_columns(following.get_column("following"))


def with_normalised_temperature(rows: Rows) -> Rows:
    """Standardised over the rows of the call: one row alone gives something else than the batch."""
    temp = rows.get_column("temp")
    return build(rows).with_columns(((temp - temp.mean()) / temp.std()).alias("temp_standardised"))


def with_rank_in_batch(rows: Rows) -> Rows:
    """How many flights of the batch leave from the same airport: one, when one is scored."""
    flights = rows.with_columns(flights=nw.len().over("origin").cast(nw.Float64))
    return build(rows).with_columns(flights.get_column("flights").alias("flights_of_origin"))


def with_random_number(rows: Rows) -> Rows:
    """Another number at every call."""
    call = next(_calls)
    noise = [float((hash((index, call)) % 1009) / 1009) for index in range(len(rows))]
    return build(rows).with_columns(nw.new_series("noise", noise, backend=rows.implementation))


def with_constant(rows: Rows) -> Rows:
    return build(rows).with_columns(nw.lit(1.0).alias("bias"))


def with_row_number(rows: Rows) -> Rows:
    """The position in the batch."""
    return build(rows).with_columns(nw.new_series("position", [float(n) for n in range(len(rows))], backend=rows.implementation))


def dropping_rows(rows: Rows) -> Rows:
    return build(rows).drop_nulls("temp")


def in_another_order(rows: Rows) -> Rows:
    return build(rows).sort("carrier", "flight_id")


def returning_the_label(rows: Rows) -> Rows:
    return build(rows).with_columns(rows.get_column("late"))


def without_the_clock(rows: Rows) -> Rows:
    """The refactoring lost the time of day, which carries most of the signal."""
    return build(rows).drop("sched_dep_min", "sched_arr_min")
