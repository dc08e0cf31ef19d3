"""Which exposure of a request counts, and which outcome belongs to it: the last report of each measure within the window."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from operator import add, sub

import polars as pl

from retrain_assets.compute.canary.records import OTHER, PRE_PERIOD
from retrain_assets.compute.canary.terms import Terms


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
        reports: every outcome row of these requests, beside their exposure's columns as far as it is one row with one report;
            exposures that are not, by themselves, and what is not of the experiment. What :func:`apart` takes apart again.
        nobody: outcome rows of requests that are not among the exposures.
        counts: rows that were not used.
    """

    rows: pl.DataFrame
    repeated: pl.DataFrame
    reports: pl.DataFrame
    nobody: pl.DataFrame
    counts: RowCounts


def matched(exposures: pl.DataFrame, outcomes: pl.DataFrame, terms: Terms) -> Requests:
    """The requests of a group of units with their outcomes.

    Args:
        exposures: exposure rows of known revisions, from :func:`canary_records.exposure_rows`; every row of each request.
        outcomes: outcome rows with a time; every row of each of these requests.
        terms: outcome window, arming, columns.
    """
    is_other = exposures["revision"] == OTHER
    other = exposures.filter(is_other) if is_other.any() else None
    mine = exposures if other is None else exposures.filter(~is_other)
    irregular = _repeated_keys(mine, outcomes)
    if irregular is None:
        found = _simple(mine, outcomes, terms)
    else:
        is_irregular, reported = mine["key"].is_in(irregular.implode()), outcomes["key"].is_in(irregular.implode())
        simple = _simple(mine.filter(~is_irregular), outcomes.filter(~reported), terms)
        careful = _careful(mine.filter(is_irregular), outcomes.filter(reported), terms)
        found = Requests(
            pl.concat([simple.rows, careful.rows]),
            careful.repeated,
            pl.concat([simple.reports, careful.reports], how="diagonal"),
            pl.concat([simple.nobody, careful.nobody]),
            simple.counts + careful.counts,
        )
    if other is None:
        return found
    keys = other.select("key").unique()
    theirs = found.nobody.join(keys, on="key", how="semi").rename({"at": "observed"})
    nobody = found.nobody.join(keys, on="key", how="anti")
    return replace(found, reports=pl.concat([found.reports, other, theirs], how="diagonal"), nobody=nobody)


def apart(reports: pl.DataFrame, terms: Terms) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The exposure rows and the outcome rows in :attr:`Requests.reports`."""
    columns = _columns(terms)
    exposures = reports.filter(pl.col("revision").is_not_null()).drop("observed", *columns)
    reported = reports.filter(pl.col("observed").is_not_null())
    return exposures, reported.select("key", "unit", pl.col("observed").alias("at"), *columns)


def in_order(exposures: pl.DataFrame) -> pl.DataFrame:
    """Exposure rows such that the first one of a request is the one that counts, whichever order they came in."""
    return exposures.sort("at", "revision", *(name for name in exposures.columns if name not in ("at", "revision")))


def unknown(nobody: pl.DataFrame, terms: Terms) -> RowCounts:
    """Outcome rows since the arming of requests that nobody logged."""
    return RowCounts(unknown_outcomes=nobody.filter(pl.col("at") >= terms.armed_at).height)


def _repeated_keys(exposures: pl.DataFrame, outcomes: pl.DataFrame) -> pl.Series | None:
    found = [
        frame["key"].filter(frame["key"].is_duplicated())
        for frame in (exposures, outcomes)
        if frame["key"].n_unique() != frame.height
    ]
    return pl.concat(found).unique() if found else None


def _simple(exposures: pl.DataFrame, outcomes: pl.DataFrame, terms: Terms) -> Requests:
    """Requests that stand there once, with at most one report."""
    columns = _columns(terms)
    reports = exposures.join(outcomes.select("key", *columns, observed="at"), on="key", how="left", maintain_order="left")
    nobody = outcomes.clear()
    if reports.height - reports["observed"].null_count() != outcomes.height:
        nobody = outcomes.join(exposures.select("key"), on="key", how="anti")
    early, late, used = _windows(terms)
    before, after, unused = reports.select(early=(early & _own).sum(), late=(late & _own).sum(), all=(~used).sum()).row(0)
    rows = reports.drop("observed")
    if unused:
        rows = reports.with_columns(pl.when(used).then(pl.col(column)) for column in columns).drop("observed")
    return Requests(rows, exposures.clear(), reports, nobody, RowCounts(outcomes_before_exposure=before, late_outcomes=after))


def _careful(exposures: pl.DataFrame, outcomes: pl.DataFrame, terms: Terms) -> Requests:
    """Requests that stand there several times or have several reports: the first exposure and the last reports count."""
    columns = _columns(terms)
    ordered = in_order(exposures)
    first = ordered["key"].is_first_distinct()
    rows, repeated = ordered.filter(first), ordered.filter(~first)
    early, late, used = _windows(terms)
    theirs = outcomes.select("key", "unit", *columns, observed="at").join(rows.select("key", "at", "revision"), on="key")
    values, replaced = _last_reports(theirs.filter(used), columns)
    return Requests(
        rows.join(values, on="key", how="left"),
        repeated,
        pl.concat([ordered, theirs.drop("at", "revision")], how="diagonal").select(*exposures.columns, *columns, "observed"),
        outcomes.join(rows.select("key"), on="key", how="anti"),
        RowCounts(
            duplicate_exposures=repeated.filter(_own).height,
            duplicate_outcomes=replaced,
            outcomes_before_exposure=theirs.filter(early & _own).height,
            late_outcomes=theirs.filter(late & _own).height,
        ),
    )


def _last_reports(reports: pl.DataFrame, columns: list[str]) -> tuple[pl.DataFrame, int]:
    """Per request and measure the last report (of several at one moment the greatest row), and how many rows were replaced."""
    said = (
        reports.sort("observed", *columns)
        .with_row_index("row")
        .unpivot(columns, index=["key", "revision", "observed", "row"], variable_name="measure", value_name="value")
        .filter(pl.col("value").is_not_null())
        .sort("row")
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


def _columns(terms: Terms) -> list[str]:
    return [f"o{place}" for place in range(len(terms.outcome_columns))]
