"""Which exposure of a request counts, and which outcome belongs to it: the last report of each measure within the window."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import add, sub

import polars as pl

from retrain_assets.compute.stages.canary_records import OTHER, PRE_PERIOD
from retrain_assets.compute.stages.canary_terms import Terms


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows were not used, for which reason; counts of disjoint groups of units add."""

    duplicate_exposures: int = 0
    duplicate_outcomes: int = 0
    unknown_outcomes: int = 0
    outcomes_before_exposure: int = 0
    late_outcomes: int = 0

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(*(add(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)))

    def __sub__(self, other: RowCounts) -> RowCounts:
        return RowCounts(*(sub(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests with their outcomes.

    Args:
        rows: one row per request: the exposure's columns and the outcome measures ``o0..``, null where none counts.
        repeated: exposure rows that repeat one of these requests, without outcomes.
        counts: rows that were not used.
    """

    rows: pl.DataFrame
    repeated: pl.DataFrame
    counts: RowCounts


def matched(exposures: pl.DataFrame, outcomes: pl.DataFrame, terms: Terms) -> Requests:
    """The requests of a group of units with their outcomes.

    Args:
        exposures: all exposure rows of these units up to now, from :func:`canary_records.exposure_rows`, known revisions only.
        outcomes: all outcome rows of these units up to now.
        terms: outcome window, arming, columns.
    """
    columns = [f"o{place}" for place in range(len(terms.outcome_columns))]
    other = exposures["revision"] == OTHER
    elsewhere = exposures.filter(other)["key"] if other.any() else None
    mine = exposures if elsewhere is None else exposures.filter(~other)
    untimed = outcomes["at"].null_count()
    if untimed:
        outcomes = outcomes.filter(pl.col("at").is_not_null())
    irregular = _repeated_keys(mine, outcomes)
    if irregular is None:
        rows, counts = _simple(mine, outcomes, terms, columns, elsewhere)
        repeated = mine.clear()
    else:
        is_irregular, reported = mine["key"].is_in(irregular.implode()), outcomes["key"].is_in(irregular.implode())
        rows, counts = _simple(mine.filter(~is_irregular), outcomes.filter(~reported), terms, columns, elsewhere)
        careful = _careful(mine.filter(is_irregular), outcomes.filter(reported), terms, columns, elsewhere)
        rows, repeated, counts = pl.concat([rows, careful.rows]), careful.repeated, counts + careful.counts
    return Requests(rows, repeated, counts + RowCounts(unknown_outcomes=untimed))


def _repeated_keys(exposures: pl.DataFrame, outcomes: pl.DataFrame) -> pl.Series | None:
    found = [
        frame["key"].filter(frame["key"].is_duplicated())
        for frame in (exposures, outcomes)
        if frame["key"].n_unique() != frame.height
    ]
    return pl.concat(found).unique() if found else None


def _simple(
    exposures: pl.DataFrame, outcomes: pl.DataFrame, terms: Terms, columns: list[str], elsewhere: pl.Series | None
) -> tuple[pl.DataFrame, RowCounts]:
    """Requests that stand there once, with at most one report."""
    rows = exposures.join(outcomes.select("key", *columns, observed="at"), on="key", how="left", maintain_order="left")
    unknown = 0
    if rows.height - rows["observed"].null_count() != outcomes.height:
        nobody = outcomes.join(exposures.select("key"), on="key", how="anti")
        unknown = _unknown(nobody, elsewhere, terms)
    early, late, used = _windows(terms)
    unused = rows.select(early=(early & _own).sum(), late=(late & _own).sum(), all=(~used).sum()).row(0)
    if unused[2]:
        rows = rows.with_columns(pl.when(used).then(pl.col(column)) for column in columns)
    counts = RowCounts(unknown_outcomes=unknown, outcomes_before_exposure=unused[0], late_outcomes=unused[1])
    return rows.drop("observed"), counts


def _careful(
    exposures: pl.DataFrame, outcomes: pl.DataFrame, terms: Terms, columns: list[str], elsewhere: pl.Series | None
) -> Requests:
    """Requests that stand there several times or have several reports: the first exposure and the last reports count."""
    ordered = exposures.sort("at", "revision", *(name for name in exposures.columns if name not in ("at", "revision")))
    first = ordered["key"].is_first_distinct()
    rows, repeated = ordered.filter(first), ordered.filter(~first)
    early, late, used = _windows(terms)
    reports = outcomes.rename({"at": "observed"}).join(rows.select("key", "at", "revision"), on="key", how="inner")
    nobody = outcomes.join(rows.select("key"), on="key", how="anti")
    values, replaced = _last_reports(reports.filter(used), columns)
    return Requests(
        rows.join(values, on="key", how="left"),
        repeated,
        RowCounts(
            repeated.filter(pl.col("revision") >= 0).height,
            replaced,
            _unknown(nobody, elsewhere, terms),
            reports.filter(early & _own).height,
            reports.filter(late & _own).height,
        ),
    )


def _last_reports(reports: pl.DataFrame, columns: list[str]) -> tuple[pl.DataFrame, int]:
    """Per request and measure the last report (of several at one moment the greatest), and how many rows were replaced."""
    said = (
        reports.with_row_index("row")
        .unpivot(columns, index=["key", "revision", "observed", "row"], variable_name="measure", value_name="value")
        .filter(pl.col("value").is_not_null())
        .sort("observed", "value", "row")
    )
    last = said.unique(["key", "measure"], keep="last", maintain_order=True)
    replaced = said.filter(_own).join(last.select("row", "measure"), on=["row", "measure"], how="anti")["row"].n_unique()
    values = last.select("key").unique()
    for column in columns:
        one = last.filter(pl.col("measure") == column).select("key", pl.col("value").alias(column))
        values = values.join(one, on="key", how="left")
    return values, replaced


_own = pl.col("revision") >= 0


def _windows(terms: Terms) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Whether an outcome was observed before its exposure, after the window, and whether it counts; null without one."""
    observed = pl.col("observed")
    early = observed < pl.col("at")
    late = observed > pl.col("at") + terms.window
    used = ~early & ~late
    if terms.pre_period:
        used &= (pl.col("revision") != PRE_PERIOD) | (observed < terms.armed_at)
    return early, late, used


def _unknown(nobody: pl.DataFrame, elsewhere: pl.Series | None, terms: Terms) -> int:
    """Outcome rows since the arming of requests that nobody logged."""
    since = nobody.filter(pl.col("at") >= terms.armed_at)
    if elsewhere is not None and since.height:
        since = since.filter(~pl.col("key").is_in(elsewhere.implode()))
    return since.height
