"""Which rows can be counted now, and which have to wait: those dated after now, and those of a revision nobody knows yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from retrain_assets.compute.canary.records import CLOCK_SKEW
from retrain_assets.compute.canary.requests import RowCounts
from retrain_assets.compute.canary.step import Rows
from retrain_assets.compute.canary.terms import Terms


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Rows as they came.

    Args:
        rows: what can be counted now.
        waiting: what has to wait.
        future_rows: waiting rows dated after now by more than clocks differ.
        unknown_revisions: waiting exposures of a revision the ledger does not know.
        counts: outcome rows without a time, which belong to nobody.
    """

    rows: Rows
    waiting: Rows
    future_rows: int
    unknown_revisions: int
    counts: RowCounts


def arrivals(rows: Rows, terms: Terms, now: datetime) -> Arrivals:
    """Sort rows by whether they can be counted now."""
    exposures, outcomes = rows.exposures, rows.outcomes
    untimed = outcomes["at"].null_count()
    if untimed:
        outcomes = outcomes.filter(pl.col("at").is_not_null())
    own, later = pl.col("revision") >= 0, pl.col("at") > now
    strange = own & ~pl.col("revision").is_in(sorted(terms.stage_started))
    future = pl.col("at") > now + CLOCK_SKEW
    future_exposures, unknown_revisions, unusable = exposures.select(
        future=(own & future).sum(), strange=(strange & ~later).sum(), unusable=(later | strange).sum()
    ).row(0)
    future_outcomes, too_late = outcomes.select(future=future.sum(), later=later.sum()).row(0)
    return Arrivals(
        Rows(
            exposures.filter(~(later | strange)) if unusable else exposures,
            outcomes.filter(~later) if too_late else outcomes,
        ),
        Rows(exposures.filter(later | strange), outcomes.filter(later)),
        future_exposures + future_outcomes,
        unknown_revisions,
        RowCounts(unknown_outcomes=untimed),
    )
