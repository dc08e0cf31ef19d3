"""Small canaries to analyse: arms with given means, plans, times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np

from retrain_assets.experiment import (
    ArmCounts,
    ArmStatistics,
    CanaryData,
    MeasureSpec,
    MeasureStatistics,
    Overlap,
    Plan,
    StageCounts,
    Stratum,
    StratumStatistics,
)

ARMED = datetime(2013, 7, 1, tzinfo=UTC)
COST = MeasureSpec("cost", "success", "decrease", min_effect=0.01)
ERROR = MeasureSpec("error_rate", "guardrail", "decrease", margin=0.01)


def arm(n: int, mean: float, deviation: float = 1.0) -> ArmStatistics:
    """n values with this mean and standard deviation (divisor n - 1), not all of them in 0..1."""
    return ArmStatistics.of_mean(n, n * mean, n * mean * mean + (n - 1) * deviation**2, outside=min(n, 1))


def events(n: int, count: int) -> ArmStatistics:
    """n units of a 0/1 measure with this many ones."""
    return ArmStatistics.of_mean(n, float(count), float(count))


def stratum(champion: ArmStatistics, challenger: ArmStatistics, *, revision: int = 4, stage: str = "50") -> StratumStatistics:
    return StratumStatistics(Stratum(revision, stage), champion, challenger)


def measure(*strata: StratumStatistics) -> MeasureStatistics:
    """A measure of one column whose strata share no unit."""
    return MeasureStatistics(strata=strata)


def of_units(
    units: np.ndarray,
    revisions: np.ndarray,
    challenger: np.ndarray,
    values: np.ndarray,
    *,
    columns: tuple[str, ...] = ("value",),
    stages: Mapping[int, str] | None = None,
) -> MeasureStatistics:
    """The statistics of raw rows, one per unit and stratum, counted the slow and plain way.

    Args:
        units: (m,) unit of each row.
        revisions: (m,) its stratum; a unit's first one has the smallest number.
        challenger: (m,) whether it was on the challenger there.
        values: (m, k) its columns.
        columns: names of the columns.
        stages: labels of the strata; ``50`` by default.
    """
    first = {unit: min(revisions[units == unit]) for unit in np.unique(units)}
    is_first = np.array([first[unit] == revision for unit, revision in zip(units, revisions, strict=True)], dtype=bool)
    rows = {
        (int(revision), name): (revisions == revision) & (challenger == (name == "challenger"))
        for revision in np.unique(revisions)
        for name in ("champion", "challenger")
    }
    upper = np.triu_indices(len(columns))

    def arm_of(cell: tuple[int, str]) -> ArmStatistics:
        x = values[rows[cell]]
        fresh = x[is_first[rows[cell]], 0]
        return ArmStatistics(
            n=len(x),
            sums=tuple(x.sum(0).tolist()),
            products=tuple((x.T @ x)[upper].tolist()),
            outside=int(((x[:, 0] < 0) | (x[:, 0] > 1)).sum()),
            first_n=len(fresh),
            first_sum=float(fresh.sum()),
        )

    overlaps = []
    for one, other in combinations(rows, 2):
        shared, here, there = np.intersect1d(units[rows[one]], units[rows[other]], return_indices=True)
        if one[0] < other[0] and len(shared):
            x, y = values[rows[one]][here], values[rows[other]][there]
            sums = (tuple(x.sum(0).tolist()), tuple(y.sum(0).tolist()), tuple((x.T @ y).ravel().tolist()))
            overlaps.append(Overlap(one, other, len(shared), *sums))
    return MeasureStatistics(
        columns=columns,
        strata=tuple(
            StratumStatistics(
                Stratum(int(revision), (stages or {}).get(int(revision), "50")),
                arm_of((int(revision), "champion")),
                arm_of((int(revision), "challenger")),
            )
            for revision in np.unique(revisions)
        ),
        overlaps=tuple(overlaps),
    )


def plan_of(*measures: MeasureSpec, alpha: float = 0.025, min_units: int = 500) -> Plan:
    return Plan(
        measures=measures or (COST, ERROR),
        alpha=alpha,
        planned_units=10_000,
        ramp=("shadow", "5", "50"),
        min_units=min_units,
        min_duration=timedelta(days=1),
        max_duration=timedelta(days=28),
        max_missing_outcomes=0.2,
    )


def counts(
    champion: int, challenger: int, *, revision: int = 4, stage: str = "50", share: float = 0.5, with_outcome: float = 1.0
) -> StageCounts:
    return StageCounts(
        revision,
        stage,
        share,
        ArmCounts(champion, champion, round(champion * with_outcome)),
        ArmCounts(challenger, challenger, round(challenger * with_outcome)),
        ARMED,
    )


def winning(n: int = 20_000) -> CanaryData:
    """A canary at the last stage that has shown all it must: cost 10 % lower, no error in either arm."""
    return CanaryData(
        stages=(counts(n, n),),
        measures={
            "cost": measure(stratum(arm(n, 10.0, 8.0), arm(n, 9.0, 8.0))),
            "error_rate": measure(stratum(events(n, 0), events(n, 0))),
        },
    )


def open_canary(n: int = 900) -> CanaryData:
    """A canary at the last stage that shows neither a win nor harm."""
    return CanaryData(
        stages=(counts(n, n),),
        measures={
            "cost": measure(stratum(arm(n, 10.0, 8.0), arm(n, 10.0, 8.0))),
            "error_rate": measure(stratum(events(n, 20), events(n, 20))),
        },
    )
