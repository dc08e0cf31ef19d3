"""What an executor finds of the units it has: the sums of a single machine's step, in a form that travels and adds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from retrain_assets.compute.canary.arrivals import arrivals
from retrain_assets.compute.canary.data import Moments, canary_data
from retrain_assets.compute.canary.records import Labels
from retrain_assets.compute.canary.requests import RowCounts
from retrain_assets.compute.canary.step import Rows, step
from retrain_assets.compute.canary.sums import Sums
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.contract import StageError
from retrain_assets.experiment import CanaryData


@dataclass(frozen=True, slots=True)
class PartSums:
    """What was found of some units; those of disjoint units add.

    Args:
        sums: counts and sums.
        counts: rows that were not used.
        moments: first traffic, latest matured exposure.
        exposures: exposure rows read.
        outcomes: outcome rows read.
        future_rows: rows dated after now by more than clocks differ.
        unknown_revisions: exposures of a revision the ledger does not know.
        refused: what, where and remedy of records that cannot be counted; then nothing else is meant.
    """

    sums: Sums = field(default_factory=Sums)
    counts: RowCounts = field(default_factory=RowCounts)
    moments: Moments = field(default_factory=Moments)
    exposures: int = 0
    outcomes: int = 0
    future_rows: int = 0
    unknown_revisions: int = 0
    refused: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, rows: Rows, terms: Terms, labels: Labels, now: datetime) -> PartSums:
        """The sums of every row of some units: one step from nothing.

        Raises:
            StageError: for more revisions than can be counted.
        """
        arrived = arrivals(rows, terms, now)
        found = step(arrived.rows.none(), arrived.rows, None, terms, labels, now)
        return cls(
            found.change,
            arrived.counts + found.counts + found.open_counts,
            Moments.of(arrived.rows.exposures, terms, now),
            rows.exposures.height,
            rows.outcomes.height,
            arrived.future_rows,
            arrived.unknown_revisions,
        )

    def __add__(self, other: PartSums) -> PartSums:
        return PartSums(
            self.sums + other.sums,
            self.counts + other.counts,
            self.moments | other.moments,
            self.exposures + other.exposures,
            self.outcomes + other.outcomes,
            self.future_rows + other.future_rows,
            self.unknown_revisions + other.unknown_revisions,
            self.refused or other.refused,
        )

    def data(self, terms: Terms) -> CanaryData:
        """The value that the analysis starts from, when these are the sums of all units.

        Raises:
            StageError: where records cannot be counted.
        """
        if self.refused:
            what, where, remedy = self.refused
            raise StageError(what, where=where, remedy=remedy)
        return canary_data(
            self.sums,
            self.counts,
            self.moments,
            terms,
            future_rows=self.future_rows,
            unknown_revisions=self.unknown_revisions,
            exposures=self.exposures,
            outcomes=self.outcomes,
        )

    def to_bytes(self) -> bytes:
        """What is sent: compressed JSON that keeps every bit."""
        rows = {name: getattr(self, name) for name in ("exposures", "outcomes", "future_rows", "unknown_revisions", "refused")}
        value = {**rows, **self.sums.to_json(), "counts": asdict(self.counts), "moments": self.moments.to_json()}
        return zlib.compress(json.dumps(value).encode())

    @classmethod
    def from_bytes(cls, data: bytes) -> PartSums:
        """The inverse of :meth:`to_bytes`."""
        value: Mapping[str, Any] = json.loads(zlib.decompress(data))
        return cls(
            Sums.from_json(value),
            RowCounts(**value["counts"]),
            Moments.from_json(value["moments"]),
            value["exposures"],
            value["outcomes"],
            value["future_rows"],
            value["unknown_revisions"],
            tuple(value["refused"]) if value["refused"] else None,
        )
