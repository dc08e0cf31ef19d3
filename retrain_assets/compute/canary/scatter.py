"""Rows of many batches, split by unit into parts that are worked on one after another, so that no part is large."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from retrain_assets.compute.canary.arrivals import Arrivals, arrivals
from retrain_assets.compute.canary.records import (
    Labels,
    exposure_rows,
    no_exposures,
    no_outcomes,
    outcome_rows,
)
from retrain_assets.compute.canary.requests import RowCounts
from retrain_assets.compute.canary.step import Rows
from retrain_assets.compute.canary.terms import Terms

PARTS = {3_000_000: 1, 12_000_000: 4, math.inf: 32}
"""Into how many parts up to so many rows are split; powers of 2."""


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
        height: rows in the parts, and those that will be put beside them.
    """

    parts: list[Part] = field(default_factory=list)
    waiting: list[Rows] = field(default_factory=list)
    exposures: int = 0
    outcomes: int = 0
    future_rows: int = 0
    unknown_revisions: int = 0
    counts: RowCounts = field(default_factory=RowCounts)
    height: int = 0

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
    more: int = 0,
) -> Scattered:
    """Read batches of records, one at a time.

    Args:
        exposures: batches of exposure records.
        outcomes: batches of outcome records.
        terms: what is counted.
        labels: names of the segments; new ones are added.
        now: the time of the look.
        waiting: rows that could not be counted before.
        more: how many rows will be put beside the parts.

    Raises:
        StageError: for a missing column, a wrong type or an unknown arm.
    """
    found = Scattered(height=more)
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
    found.height += arrived.rows.height
    parts = next(number for most, number in PARTS.items() if found.height <= most)
    if parts > len(found.parts):
        before, found.parts = found.parts, [Part() for _ in range(parts)]
        while before:
            _split(found.parts, before.pop(0).rows())
    _split(found.parts, arrived.rows)


def _split(parts: list[Part], rows: Rows) -> None:
    for frame, pieces in (
        (rows.exposures, [part.exposures for part in parts]),
        (rows.outcomes, [part.outcomes for part in parts]),
    ):
        if len(parts) == 1:
            pieces[0].append(frame)
            continue
        place = (frame["unit"].to_numpy() >> np.uint64(65 - len(parts).bit_length())).astype(np.uint8)
        ordered = frame[np.argsort(place, kind="stable")]
        ends = np.cumsum(np.bincount(place, minlength=len(parts)))
        for number, piece in enumerate(pieces):
            start = int(ends[number - 1]) if number else 0
            piece.append(ordered[start : int(ends[number])])
