"""Rows of many batches, split by unit into parts that are worked on one after another, so that no part is large."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from retrain_assets.compute.stages.canary_arrivals import Arrivals, arrivals
from retrain_assets.compute.stages.canary_records import (
    REVISION_BITS,
    Labels,
    exposure_rows,
    no_exposures,
    no_outcomes,
    outcome_rows,
)
from retrain_assets.compute.stages.canary_requests import RowCounts
from retrain_assets.compute.stages.canary_step import Rows
from retrain_assets.compute.stages.canary_terms import Terms

PARTS = 32
WHOLE = 3_000_000
"""Rows up to which nothing is split."""


@dataclass(slots=True)
class Part:
    """The rows of some units, in pieces."""

    exposures: list[pl.DataFrame] = field(default_factory=list)
    outcomes: list[pl.DataFrame] = field(default_factory=list)

    def rows(self) -> Rows:
        """The pieces put together."""
        return Rows(pl.concat(self.exposures, rechunk=True), pl.concat(self.outcomes, rechunk=True))


@dataclass(slots=True)
class Scattered:
    """Rows that can be counted now, in parts without common units, and what has to wait.

    Args:
        parts: the rows.
        waiting: rows that cannot be counted yet.
        exposures: exposure rows read.
        outcomes: outcome rows read.
        future_rows: waiting rows dated after now by more than clocks differ.
        unknown_revisions: waiting exposures of a revision the ledger does not know.
        counts: outcome rows without a time.
    """

    parts: list[Part] = field(default_factory=list)
    waiting: list[Rows] = field(default_factory=list)
    exposures: int = 0
    outcomes: int = 0
    future_rows: int = 0
    unknown_revisions: int = 0
    counts: RowCounts = field(default_factory=RowCounts)

    def beside(self, rows: Rows) -> list[Rows]:
        """Other rows, split by unit as the parts are."""
        parts = [Part() for _ in self.parts]
        _split(parts, rows)
        return [part.rows() for part in parts]


def scattered(
    exposures: Iterable[pl.LazyFrame],
    outcomes: Iterable[pl.LazyFrame],
    terms: Terms,
    labels: Labels,
    now: datetime,
    waiting: Rows | None = None,
) -> Scattered:
    """Read batches of records, one at a time.

    Args:
        exposures: batches of exposure records.
        outcomes: batches of outcome records.
        terms: what is counted.
        labels: names of the segments; new ones are added.
        now: the time of the look.
        waiting: rows that could not be counted before.

    Raises:
        StageError: for a missing column, a wrong type or an unknown arm.
    """
    found = Scattered()
    nothing = Rows(no_exposures(terms), no_outcomes(terms))
    whole = Part([nothing.exposures], [nothing.outcomes])
    found.parts.append(whole)
    if waiting is not None:
        _add(found, arrivals(waiting, terms, now))
    for batch in exposures:
        rows = exposure_rows(batch, terms, labels)
        found.exposures += rows.height
        _add(found, arrivals(Rows(rows, nothing.outcomes), terms, now))
    for batch in outcomes:
        rows = outcome_rows(batch, terms, labels)
        found.outcomes += rows.height
        _add(found, arrivals(Rows(nothing.exposures, rows), terms, now))
    return found


def _add(found: Scattered, arrived: Arrivals) -> None:
    found.waiting.append(arrived.waiting)
    found.future_rows += arrived.future_rows
    found.unknown_revisions += arrived.unknown_revisions
    found.counts += arrived.counts
    if len(found.parts) == 1:
        whole = found.parts[0]
        if sum(piece.height for piece in (*whole.exposures, *whole.outcomes)) + arrived.rows.height <= WHOLE:
            whole.exposures.append(arrived.rows.exposures)
            whole.outcomes.append(arrived.rows.outcomes)
            return
        found.parts = [Part() for _ in range(PARTS)]
        _split(found.parts, whole.rows())
    _split(found.parts, arrived.rows)


def _split(parts: list[Part], rows: Rows) -> None:
    for frame, pieces in (
        (rows.exposures, [part.exposures for part in parts]),
        (rows.outcomes, [part.outcomes for part in parts]),
    ):
        if len(parts) == 1:
            pieces[0].append(frame)
            continue
        place = frame.select((pl.col("unit") // 2**REVISION_BITS % len(parts)).cast(pl.UInt8)).to_series().to_numpy()
        ordered = frame[np.argsort(place, kind="stable")]
        ends = np.cumsum(np.bincount(place, minlength=len(parts)))
        for number, piece in enumerate(pieces):
            start = int(ends[number - 1]) if number else 0
            piece.append(ordered[start : int(ends[number])])
