"""Which units count, in which of their cells, and their value of each measure there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from retrain_assets.compute.canary.cells import UNIT, first_segment
from retrain_assets.compute.canary.records import PRE_PERIOD, REVISION_BITS, Labels
from retrain_assets.compute.canary.terms import Measured, Terms
from retrain_assets.contract.measures import REQUESTS

GREATEST = 1e100
"""A unit's value beyond this counts as not finite: its square could not be summed."""


@dataclass(frozen=True, slots=True)
class Units:
    """Units in their cells.

    Args:
        traffic: cells with real traffic of units that kept their arm; with ``first`` (the unit's first revision with traffic),
            ``complete`` (every outcome), and the columns :func:`columns_of` needs.
        shadow: cells of shadow traffic.
        revisions: the revision of each ``number``.
        crossing: units left out because they changed arm against the ramp.
    """

    traffic: pl.DataFrame
    shadow: pl.DataFrame
    revisions: list[int]
    crossing: int


def units_of(cells: pl.DataFrame, terms: Terms, labels: Labels) -> Units:
    """The units of a group of cells, every cell of every unit among them, in the order of ``cell``."""
    revisions = [PRE_PERIOD, *sorted(terms.stage_started)]
    number = (pl.col("cell") & pl.lit(2**REVISION_BITS - 1, pl.UInt64)).cast(pl.UInt8)
    cells = cells.with_columns((pl.col("cell") & UNIT).alias("unit"), number.alias("number"))
    before = cells.filter(pl.col("number") == 0) if terms.pre_period else None
    cells = _in_first_segment(cells if before is None else cells.filter(pl.col("number") > 0), terms, labels)
    in_shadow = [number for number, revision in enumerate(revisions) if number and not terms.shares[revision]]
    shadow = pl.col("number").is_in(in_shadow)
    traffic, crossing = _over_the_ramp(cells.filter(~shadow) if in_shadow else cells, terms, revisions)
    needed = [pl.col(f"n{place}") > 0 for place, measure in enumerate(terms.measures) if measure.from_outcomes]
    traffic = traffic.with_columns(
        pl.all_horizontal(needed).alias("complete") if needed else (pl.col("requests") > 0).alias("complete"),
        *(one for place, measure in enumerate(terms.measures) for one in _values(place, measure)),
        *(one for place in range(terms.recorded_covariates) for one in _recorded(place)),
    )
    if before is not None:
        traffic = traffic.join(_pre_period(before, terms), on="unit", how="left", maintain_order="left")
    return Units(traffic, cells.filter(shadow & pl.col("at").is_not_null()), revisions, crossing)


def columns_of(place: int, measure: Measured, terms: Terms, suffix: str = "") -> tuple[pl.Expr, list[pl.Expr]]:
    """Of the units of :func:`units_of`: whether a unit's value of the measure can be used, and the measure's columns, 0 where
    it cannot.

    Args:
        place: the measure's place among the measures.
        measure: the measure.
        terms: covariates.
        suffix: of the columns' names.
    """
    value = pl.col(f"v{place}{suffix}")
    columns = [value, *([pl.col(f"p{place}{suffix}")] if measure.is_ratio else [])]
    usable = value.is_not_null()
    if measure.covariates:
        covariates = [f"x{number}" for number in range(terms.recorded_covariates)] + ([f"b{place}"] if terms.pre_period else [])
        for name in covariates:
            known = pl.col(f"{name}{suffix}")
            columns += [known, known.is_null().cast(pl.Float64)]
    return usable, [pl.when(usable).then(one.fill_null(0.0)).otherwise(0.0) for one in columns]


def _in_first_segment(cells: pl.DataFrame, terms: Terms, labels: Labels) -> pl.DataFrame:
    """Each cell in the segment of its unit's first exposure."""
    for place, column in enumerate(terms.segments):
        name = f"s{place}"
        other = (pl.col(name) != pl.col(name).shift(1)) & _same_unit | pl.col(name).is_null()
        unsure = cells.filter(other).select("unit").unique()
        if unsure.height:
            sure = first_segment(cells.join(unsure, on="unit", how="semi"), "unit", name, labels.of[column])
            cells = cells.join(sure, on="unit", how="left", suffix=" first", maintain_order="left").with_columns(
                pl.coalesce(f"{name} first", name).alias(name)
            )
            cells = cells.drop(f"{name} first")
    return cells


_same_unit = (pl.col("unit") == pl.col("unit").shift(1)).fill_null(value=False)


def _over_the_ramp(cells: pl.DataFrame, terms: Terms, revisions: Sequence[int]) -> tuple[pl.DataFrame, int]:
    """The cells of units that kept their arm, with ``first``; and how many units did not.

    A ramp that grows moves units from champion to challenger, and one that shrinks moves them back; both are no fault.
    """
    challenger = pl.col("challenger")
    share = pl.col("number").replace_strict(
        {number: terms.shares.get(revision, 0.0) for number, revision in enumerate(revisions)}, return_dtype=pl.Float64
    )
    moved = _same_unit & challenger.shift(1) & ~challenger
    crossing = cells.filter(pl.col("champion") & challenger).select("unit")
    if cells.select(moved.any()).item():
        back = cells.with_columns(share=share).filter(moved & (pl.col("share") >= pl.col("share").shift(1)))
        crossing = pl.concat([crossing, back.select("unit")])
    if cells["at"].null_count():
        cells = cells.filter(pl.col("at").is_not_null())
    cells = cells.with_columns(first=~_same_unit)
    if not crossing.height:
        return cells, 0
    crossing = crossing.unique()
    return cells.join(crossing, on="unit", how="anti", maintain_order="left"), crossing.height


def _values(place: int, measure: Measured) -> list[pl.Expr]:
    """``v<i>``, the value of a unit (a ratio's numerator), and ``p<i>``, its denominator; null where it cannot be used."""
    number, total = pl.col(f"n{place}"), pl.col(f"y{place}")
    value = total if measure.is_ratio or measure.terms.aggregate == "sum" else total / number
    usable = (number > 0) & (value.abs() <= GREATEST)
    if (limits := measure.terms.winsorise) is not None:
        value = value.clip(limits.at_least, limits.at_most)
    if not measure.is_ratio:
        return [pl.when(usable).then(value).alias(f"v{place}")]
    per = number.cast(pl.Float64) if measure.terms.per == REQUESTS else pl.col(f"d{place}")
    usable &= per.abs() <= GREATEST
    return [pl.when(usable).then(value).alias(f"v{place}"), pl.when(usable).then(per).alias(f"p{place}")]


def _recorded(place: int) -> list[pl.Expr]:
    """``x<i>``, a covariate of the exposures: its mean over the unit's matured requests."""
    mean = pl.col(f"cy{place}") / pl.col(f"cn{place}")
    return [pl.when((pl.col(f"cn{place}") > 0) & (mean.abs() <= GREATEST)).then(mean).alias(f"x{place}")]


def _pre_period(before: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """``b<i>``, the unit's own value of each measure before the experiment."""
    values = before.select("unit", *(one for place, measure in enumerate(terms.measures) for one in _values(place, measure)))
    return values.select(
        "unit",
        *(
            (
                pl.when(pl.col(f"p{place}") != 0).then(pl.col(f"v{place}") / pl.col(f"p{place}"))
                if measure.is_ratio
                else pl.col(f"v{place}")
            ).alias(f"b{place}")
            for place, measure in enumerate(terms.measures)
        ),
    )
