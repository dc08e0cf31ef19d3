"""From exposures and outcomes to the sufficient statistics of a canary, recomputed in full from every record.

No statistics here beyond counts and sums; those are in ``experiment``. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import polars as pl

from retrain_assets.compute.canary.data import Moments, canary_data
from retrain_assets.compute.canary.records import Labels, require_columns
from retrain_assets.compute.canary.scatter import scattered
from retrain_assets.compute.canary.step import step
from retrain_assets.compute.canary.sums import Sums
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.contract import Contract, StageError
from retrain_assets.experiment import CanaryData

Records = pl.DataFrame | Iterable[pl.LazyFrame]
"""Records in memory, or batches of them that are read one after another."""


def aggregate(
    exposures: Records,
    outcomes: Records,
    *,
    contract: Contract,
    toggle: str,
    stage_started: Mapping[int, datetime],
    shares: Mapping[int, float],
    now: datetime,
    armed_at: datetime | None = None,
) -> CanaryData:
    """Count and sum what a canary has seen.

    A unit is in every stratum (toggle revision) in which it had real traffic, with the arm it had there; its value there is that
    of its matured requests there. A request is matured when ``exposed_at + outcome_window <= now``. Shadow traffic binds nobody.
    Units that change arm against the ramp are left out and counted. The formats are those of docs/data-formats.md.

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
    terms = Terms(contract, toggle, dict(stage_started), dict(shares), armed_at or min(stage_started.values(), default=now))
    labels = Labels()
    records = scattered(_batches(exposures), _batches(outcomes), terms, labels, now)
    require_columns(labels, terms, exposures=records.exposures > 0, outcomes=records.outcomes > 0)
    sums, counts, moments = Sums(), records.counts, Moments()
    while records.parts:
        rows = records.parts.pop().rows()
        found = step(rows.none(), rows, None, terms, labels, now)
        sums += found.change
        counts += found.counts + found.open_counts
        moments |= Moments.of(rows.exposures, terms, now)
    return canary_data(
        sums,
        counts,
        moments,
        terms,
        future_rows=records.future_rows,
        unknown_revisions=records.unknown_revisions,
        exposures=records.exposures,
        outcomes=records.outcomes,
    )


def _batches(records: Records) -> Iterable[pl.LazyFrame]:
    return [records.lazy()] if isinstance(records, pl.DataFrame) else records
