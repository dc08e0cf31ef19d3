"""From exposures and outcomes to the sufficient statistics of a canary, recomputed in full from every record.

No statistics here beyond counts and sums; those are in ``experiment``. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from retrain_assets.compute.stages.canary_cells import as_cells, is_matured, matured_cells, merged
from retrain_assets.compute.stages.canary_data import Moments, canary_data
from retrain_assets.compute.stages.canary_records import (
    CLOCK_SKEW,
    Labels,
    exposure_rows,
    outcome_rows,
    require_columns,
)
from retrain_assets.compute.stages.canary_requests import matched
from retrain_assets.compute.stages.canary_sums import sums_of
from retrain_assets.compute.stages.canary_terms import Terms
from retrain_assets.contract import Contract, StageError
from retrain_assets.experiment import CanaryData


def aggregate(
    exposures: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    contract: Contract,
    toggle: str,
    stage_started: Mapping[int, datetime],
    shares: Mapping[int, float],
    now: datetime,
    armed_at: datetime | None = None,
) -> CanaryData:
    """Count and sum what a canary has seen.

    A unit is in every stratum (toggle revision) in which it had real traffic, with the arm it had there; its value there is that of
    its matured requests there. A request is matured when ``exposed_at + outcome_window <= now``. Shadow traffic binds nobody. Units
    that change arm against the ramp are left out and counted. The formats are those of docs/data-formats.md.

    Args:
        exposures: exposures of the model.
        outcomes: outcomes; rows of requests that are not in ``exposures`` are ignored and counted.
        contract: names the measures, the outcome window, the cohort and the segments.
        toggle: the toggle whose experiment is looked at.
        stage_started: when each revision of the toggle began.
        shares: intended share of the challenger per revision, 0..1.
        now: the time of the look (timezone-aware).
        armed_at: when the toggle was armed; the first revision's begin by default.

    Raises:
        StageError: for a missing column, a wrong type, an unknown arm, or a revision without a share.
    """
    if now.tzinfo is None:
        raise StageError("a time has no time zone", where="canary", remedy="pass timezone-aware UTC times")
    now = now.astimezone(UTC)
    armed_at = armed_at or min(stage_started.values(), default=now)
    terms = Terms(contract, toggle, dict(stage_started), dict(shares), armed_at)
    labels = Labels()
    logged = exposure_rows(exposures.lazy(), terms, labels)
    reported = outcome_rows(outcomes.lazy(), terms, labels)
    require_columns(labels, terms, exposures=not logged.is_empty(), outcomes=not reported.is_empty())
    own = pl.col("revision") >= 0
    strange = ~pl.col("revision").is_in(sorted(stage_started))
    future = pl.col("at") > now + CLOCK_SKEW
    future_rows = logged.filter(own & future).height + reported.filter(future).height
    logged = logged.filter(pl.col("at") <= now)
    unknown_revisions = logged.filter(own & strange).height
    logged = logged.filter(~(own & strange))
    requests = matched(logged, reported.filter(pl.col("at").is_null() | (pl.col("at") <= now)), terms)
    ripe = requests.rows.filter(is_matured(terms, now))
    unripe = requests.rows.filter(~is_matured(terms, now))
    cells = merged(
        [matured_cells(ripe, terms), as_cells(unripe.filter(own), terms), as_cells(requests.repeated.filter(own), terms)],
        terms,
        labels,
    )
    return canary_data(
        sums_of(cells, terms, labels),
        requests.counts,
        Moments.of(logged, terms, now),
        terms,
        future_rows=future_rows,
        unknown_revisions=unknown_revisions,
    )
