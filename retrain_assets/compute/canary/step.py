"""One step of a canary's sums: what new records and the passing of time change, for a group of units.

A step from nothing with all records is the full computation; one from what is known with the new records is a tick. Requests are
open until their outcome window has closed, then they are settled: their values enter the sums of their units' cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import polars as pl

from retrain_assets.compute.canary.cells import UNIT, as_cells, is_matured, matured_cells, merged, repeated_cells
from retrain_assets.compute.canary.lookup import Lookup
from retrain_assets.compute.canary.records import OTHER, Labels
from retrain_assets.compute.canary.requests import RowCounts, apart, in_order, matched, unknown
from retrain_assets.compute.canary.sums import Sums, sums_of
from retrain_assets.compute.canary.terms import Terms


@dataclass(frozen=True, slots=True)
class Rows:
    """Exposure and outcome rows of the same units."""

    exposures: pl.DataFrame
    outcomes: pl.DataFrame

    def __add__(self, other: Rows) -> Rows:
        return Rows(pl.concat([self.exposures, other.exposures]), pl.concat([self.outcomes, other.outcomes]))

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.exposures.height + self.outcomes.height

    def none(self) -> Rows:
        """No rows, with the same columns."""
        return Rows(self.exposures.clear(), self.outcomes.clear())

    def split(self, units: pl.Series) -> tuple[Rows, Rows]:
        """The rows of these units, and those of all others."""
        inside = [frame["unit"].is_in(units.implode()) for frame in (self.exposures, self.outcomes)]
        return (
            Rows(self.exposures.filter(inside[0]), self.outcomes.filter(inside[1])),
            Rows(self.exposures.filter(~inside[0]), self.outcomes.filter(~inside[1])),
        )


class Known(Protocol):
    """What is known of units from earlier steps."""

    def settled_keys(self, keys: pl.Series) -> pl.Series:
        """Those of the keys whose request is settled."""

    def settled_reports(self, units: pl.Series) -> pl.DataFrame:
        """Everything of the settled requests of these units, as :attr:`canary_requests.Requests.reports`."""

    def cells(self, units: pl.Series) -> pl.DataFrame:
        """The cells of these units, in the order of ``cell``."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step changes.

    Args:
        change: of the sums.
        counts: change of the counts of rows that are settled.
        open_counts: counts of rows that are not settled yet.
        cells: the cells that are new or changed, in the order of ``cell``.
        settled: requests that settled.
        open: rows whose requests are still open, or that nobody logged.
    """

    change: Sums
    counts: RowCounts
    open_counts: RowCounts
    cells: pl.DataFrame
    settled: pl.DataFrame
    open: Rows


def step(before: Rows, new: Rows, known: Known | None, terms: Terms, labels: Labels, now: datetime) -> Step:
    """Take in new rows and settle what has matured.

    Args:
        before: rows left open by the step before.
        new: rows that came since; known revisions, up to now, outcomes with a time.
        known: what earlier steps settled of these units; None when there was none.
        terms: what is counted.
        labels: names of the segments.
        now: the time of the step.
    """
    rows = before + new
    irregular = _irregular(before, new, known) if known is not None else None
    special = None
    if irregular is not None and known is not None:
        live, rows = rows.split(irregular)
        special = _again(live, known.settled_reports(irregular), terms, labels, now)
        new = new.split(irregular)[1]
    ripe, unripe = _ripe(rows.exposures, terms, now)
    requests = matched(ripe, rows.outcomes, terms)
    cells = [
        matured_cells(requests.rows, terms),
        repeated_cells(requests.repeated.filter(_counts), terms),
        *_open_cells(_ripe(new.exposures, terms, now)[1], terms),
    ]
    left = Rows(unripe, requests.nobody)
    settled, counts = requests.reports, requests.counts
    anew = [special.cells] if special is not None else []
    if special is not None:
        settled = pl.concat([settled, special.settled], how="diagonal")
        counts += special.counts
        left += special.open
    earlier = known.cells(_units(*cells, *anew)) if known is not None else None
    if earlier is None or earlier.is_empty():
        after = whole = _together([merged(cells, terms, labels), *anew])
        change = sums_of(whole, terms, labels)
    else:
        touched = Lookup(np.sort(pl.concat([one["cell"] for one in (*cells, *anew)]).to_numpy()))
        same = np.ones(earlier.height, dtype=np.bool_)
        same[touched.places(earlier["cell"].to_numpy())] = False
        changed = earlier.filter(~same)
        if anew:
            changed = changed.filter(~(pl.col("cell") & UNIT).is_in(_units(*anew).implode()))
        after = _together([merged([*cells, changed], terms, labels), *anew])
        whole = _together([after, earlier.filter(same)])
        change = sums_of(whole, terms, labels) - sums_of(earlier, terms, labels)
    still = matched(left.exposures, left.outcomes, terms)
    return Step(change, counts, still.counts + unknown(still.nobody, terms), after, settled, left)


_counts = pl.col("revision") != OTHER


def _together(cells: list[pl.DataFrame]) -> pl.DataFrame:
    """Cells that are none twice, in order."""
    cells = [one for one in cells if one.height] or cells[:1]
    if len(cells) == 1:
        return cells[0]
    rows = pl.concat([one.select(cells[0].columns) for one in cells])
    return rows[np.argsort(rows["cell"].to_numpy(), kind="stable")]


def _units(*cells: pl.DataFrame) -> pl.Series:
    return pl.concat([one.select(pl.col("cell") & UNIT) for one in cells])["cell"].unique()


def _irregular(before: Rows, new: Rows, known: Known) -> pl.Series | None:
    """Units of which a new row says something on a request that is settled, or repeats one that is open."""
    exposed, reported = new.exposures.select("key"), new.outcomes.select("key")
    again = [known.settled_keys(exposed["key"])]
    if before.exposures.height and exposed.height:
        again.append(exposed.join(before.exposures.select("key"), on="key", how="semi")["key"])
    for logged in (new.exposures, before.exposures):
        if logged.height and reported.height:
            reported = reported.join(logged.select("key"), on="key", how="anti")
    keys = pl.concat([*again, known.settled_keys(reported["key"])])
    if keys.is_empty():
        return None
    found = [frame.filter(pl.col("key").is_in(keys.implode()))["unit"] for frame in (new.exposures, new.outcomes)]
    return pl.concat(found).unique()


def _again(live: Rows, reports: pl.DataFrame, terms: Terms, labels: Labels, now: datetime) -> Step:
    """Units computed anew from everything that is known of them."""
    past = Rows(*apart(reports, terms))
    counted_before = matched(past.exposures, past.outcomes, terms).counts
    everything = past + live
    ripe, unripe = _ripe(everything.exposures, terms, now)
    requests = matched(ripe, everything.outcomes, terms)
    repeated = repeated_cells(requests.repeated.filter(_counts), terms)
    cells = merged([matured_cells(requests.rows, terms), repeated, *_open_cells(unripe, terms)], terms, labels)
    keys = ripe.select("key").unique()
    settled = pl.concat(
        [
            live.exposures.join(keys, on="key", how="semi"),
            live.outcomes.join(keys, on="key", how="semi").rename({"at": "observed"}),
        ],
        how="diagonal",
    )
    return Step(Sums(), requests.counts - counted_before, RowCounts(), cells, settled, Rows(unripe, requests.nobody))


def _ripe(exposures: pl.DataFrame, terms: Terms, now: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Exposures of requests that have matured, and the others; a request's rows stay together."""
    ripe = exposures.select(is_matured(terms, now)).to_series()
    if ripe.all():
        return exposures, exposures.clear()
    if exposures["key"].n_unique() != exposures.height:
        ripe = exposures["key"].is_in(exposures.filter(ripe)["key"].unique().implode())
    return exposures.filter(ripe), exposures.filter(~ripe)


def _open_cells(exposures: pl.DataFrame, terms: Terms) -> list[pl.DataFrame]:
    """What exposures say of their units before they mature."""
    mine = exposures.filter(_counts)
    if mine["key"].n_unique() == mine.height:
        return [as_cells(mine, terms)]
    ordered = in_order(mine)
    first = ordered["key"].is_first_distinct()
    return [as_cells(ordered.filter(first), terms), repeated_cells(ordered.filter(~first), terms)]
