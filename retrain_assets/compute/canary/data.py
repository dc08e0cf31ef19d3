"""From sums to the value that the analysis of a canary starts from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from retrain_assets.compute.canary.cells import is_matured
from retrain_assets.compute.canary.requests import RowCounts
from retrain_assets.compute.canary.sums import ALL, Sums
from retrain_assets.compute.canary.terms import Measured, Terms
from retrain_assets.experiment import (
    SHADOW,
    ArmCounts,
    ArmStatistics,
    CanaryData,
    StageCounts,
    Stratum,
    StratumStatistics,
    stage_label,
)
from retrain_assets.experiment.estimation.statistics import Arm, MeasureStatistics, Overlap

ARMS: tuple[Arm, Arm] = ("champion", "challenger")


@dataclass(frozen=True, slots=True)
class Moments:
    """When the experiment met its first real traffic, and its latest exposure whose outcome window has closed; UTC."""

    first_traffic: datetime | None = None
    last_matured: datetime | None = None

    @classmethod
    def of(cls, exposures: pl.DataFrame, terms: Terms, now: datetime) -> Moments:
        """The moments of exposure rows up to now."""
        shadow = [revision for revision, share in terms.shares.items() if not share]
        own = pl.col("revision") >= 0
        first, last = exposures.select(
            first=pl.col("at").filter(own & ~pl.col("revision").is_in(shadow)).min(),
            last=pl.col("at").filter(own & is_matured(terms, now)).max(),
        ).row(0)
        return cls(first, last)

    def __or__(self, other: Moments) -> Moments:
        """The moments of both."""
        first = [moment for moment in (self.first_traffic, other.first_traffic) if moment]
        last = [moment for moment in (self.last_matured, other.last_matured) if moment]
        return Moments(min(first, default=None), max(last, default=None))

    def to_json(self) -> list[str | None]:
        """A JSON-able list."""
        return [moment.isoformat() if moment else None for moment in (self.first_traffic, self.last_matured)]

    @classmethod
    def from_json(cls, value: Sequence[str | None]) -> Moments:
        """The inverse of :meth:`to_json`."""
        return cls(*(datetime.fromisoformat(moment) if moment else None for moment in value))


def canary_data(
    sums: Sums,
    counts: RowCounts,
    moments: Moments,
    terms: Terms,
    *,
    future_rows: int,
    unknown_revisions: int,
    exposures: int = 0,
    outcomes: int = 0,
) -> CanaryData:
    """The counts and statistics of a canary, revisions without an exposure included; the last two are the rows read."""
    segments = sorted({str(key[1]) for key in sums.numbers if key[0] in ("stage", "shadow")} - {ALL})
    crossing = sums.numbers.get(("crossing",))
    return CanaryData(
        stages=_stages(sums, ALL, terms),
        measures=_measures(sums, ALL, terms),
        segments={name: _measures(sums, name, terms) for name in segments},
        segment_stages={name: _stages(sums, name, terms) for name in segments},
        first_traffic_at=moments.first_traffic,
        last_matured_at=moments.last_matured,
        cross_arm_units=0 if crossing is None else round(crossing[0]),
        duplicate_outcomes=counts.duplicate_outcomes,
        unknown_outcomes=counts.unknown_outcomes,
        outcomes_before_exposure=counts.outcomes_before_exposure,
        late_outcomes=counts.late_outcomes,
        duplicate_exposures=counts.duplicate_exposures,
        future_rows=future_rows,
        unknown_revisions=unknown_revisions,
        exposures=exposures,
        outcomes=outcomes,
    )


def _stages(sums: Sums, segment: str, terms: Terms) -> tuple[StageCounts, ...]:
    return tuple(
        StageCounts(
            revision=revision,
            stage=_label(terms.shares[revision]),
            challenger_share=terms.shares[revision],
            champion=_counts(sums, segment, revision, 0, terms),
            challenger=_counts(sums, segment, revision, 1, terms),
            started_at=terms.stage_started[revision],
        )
        for revision in sorted(terms.stage_started)
    )


def _label(share: float) -> str:
    return stage_label(share * 100) if share else SHADOW


def _counts(sums: Sums, segment: str, revision: int, arm: int, terms: Terms) -> ArmCounts:
    if terms.shares[revision]:
        exposed, matured, complete, first = _whole(sums.numbers.get(("stage", segment, revision, arm), (0, 0, 0, 0)))
        return ArmCounts(exposed, matured, complete, first)
    units = _whole(sums.numbers.get(("shadow", segment, revision), (0, 0, 0, 0)))
    exposed, matured = (units[1], units[3]) if arm else (units[0], units[2])
    return ArmCounts(exposed, matured, 0)


def _whole(numbers: Iterable[float]) -> list[int]:
    return [round(number) for number in numbers]


def _measures(sums: Sums, segment: str, terms: Terms) -> dict[str, MeasureStatistics]:
    return {measure.name: _statistics(sums, segment, place, measure, terms) for place, measure in enumerate(terms.measures)}


def _statistics(sums: Sums, segment: str, place: int, measure: Measured, terms: Terms) -> MeasureStatistics:
    strata = []
    for revision in sorted(revision for revision in terms.stage_started if terms.shares[revision]):
        champion, challenger = (_arm(sums, (segment, place, revision, arm), measure) for arm in (0, 1))
        if champion.n or challenger.n or champion.not_finite or challenger.not_finite:
            label = _label(terms.shares[revision])
            strata.append(StratumStatistics(Stratum(revision, label), champion, challenger))
    return MeasureStatistics(measure.columns, tuple(strata), _overlaps(sums, segment, place, len(measure.columns)))


def _arm(sums: Sums, cell: tuple[str | int, ...], measure: Measured) -> ArmStatistics:
    k = len(measure.columns)
    numbers = sums.numbers.get(("measure", *cell))
    if numbers is None:
        return ArmStatistics.empty(k)
    n, not_finite, outside, first_n = _whole(numbers[:4])
    values = [float(number) for number in numbers[4:]] if n else [0.0] * (len(numbers) - 4)
    requests = sums.histograms.get(("measure", *cell))
    return ArmStatistics(
        n, tuple(values[1 : 1 + k]), tuple(values[1 + k :]), outside, not_finite, first_n, values[0] if first_n else 0.0, requests
    )


def _overlaps(sums: Sums, segment: str, place: int, k: int) -> tuple[Overlap, ...]:
    found = []
    cells = sorted(key[3:] for key in sums.numbers if key[:3] == ("overlap", segment, place))
    for one in cells:
        numbers = sums.numbers["overlap", segment, place, *one]
        if n := round(numbers[0]):
            values = tuple(float(number) for number in numbers[1:])
            first, second = ((int(one[at]), ARMS[int(one[at + 1])]) for at in (0, 2))
            found.append(Overlap(first, second, n, values[:k], values[k : 2 * k], values[2 * k :]))
    return tuple(found)
