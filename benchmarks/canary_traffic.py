"""Traffic of a canary for the benchmarks, and its full computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.contract import STAGES, canary_contract
from retrain_assets.compute.canary.aggregation import aggregate
from retrain_assets.experiment import CanaryData

NAME = "canary"
REGIONS = 8
STAGE_LENGTH = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Ramp:
    """The stages of a toggle, all of the same length.

    Args:
        stages: stage label and share of the challenger by revision.
        toggle: its name.
        begin: when the first stage began.
    """

    stages: Mapping[int, tuple[str, float]] = field(default_factory=lambda: STAGES)
    toggle: str = "benchmark-2026-07-01"
    begin: datetime = datetime(2026, 7, 1, tzinfo=UTC)

    @property
    def length(self) -> timedelta:
        """Time of all stages."""
        return len(self.stages) * STAGE_LENGTH

    @property
    def started(self) -> dict[int, datetime]:
        """Begin of each revision."""
        return {revision: self.begin + place * STAGE_LENGTH for place, revision in enumerate(self.stages)}

    @property
    def shares(self) -> dict[int, float]:
        """Share of the challenger per revision."""
        return {revision: share for revision, (_, share) in self.stages.items()}


FIRST_REAL = Ramp({revision: stage for revision, stage in STAGES.items() if stage[1]})
"""Stages without shadow: every tick of them does the same kind of work."""


def write_traffic(folder: Path, count: int, files: int, ramp: Ramp | None = None, *, returning: bool = True) -> None:
    """Write exposures over all stages, with one outcome each, in the order of time; no arm changes against the ramp.

    Args:
        folder: gets ``exposures`` and ``outcomes``.
        count: exposures.
        files: files of each kind.
        ramp: the stages; from shadow on by default.
        returning: whether units are drawn from as many as there are exposures, so that most come once or twice; else each
            comes once.
    """
    ramp = ramp or Ramp()
    draw = np.random.default_rng(20260701)
    for kind in ("exposures", "outcomes"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    labels = {revision: label for revision, (label, _) in ramp.stages.items()}
    real = [revision for revision, share in ramp.shares.items() if share]
    length = ramp.length / timedelta(microseconds=1)
    rows = count // files
    for number in range(files):
        place = np.sort(draw.uniform(number / files, (number + 1) / files, rows))
        stage = (place * len(ramp.stages)).astype(int)
        revisions = pl.Series(stage + min(ramp.stages)).cast(pl.Int64)
        units = draw.integers(0, count, size=rows) if returning else np.arange(number * rows, (number + 1) * rows)
        bucket = (units * 2654435761 % 2**32) / 2**32
        challenger = pl.Series(bucket < np.array([*ramp.shares.values()])[stage])
        begun = int(ramp.begin.timestamp() * 1e6)
        exposures = pl.DataFrame(
            {
                "request_id": "r" + pl.Series(np.arange(number * rows, (number + 1) * rows)).cast(pl.String),
                "model": pl.repeat("benchmark", rows, eager=True),
                "unit_id": pl.Series(units).cast(pl.String),
                "toggle": pl.repeat(ramp.toggle, rows, eager=True),
                "revision": revisions,
                "stage": revisions.replace_strict(labels, return_dtype=pl.String),
                "arm": challenger.replace_strict({True: "challenger", False: "champion"}, return_dtype=pl.String),
                "exposed_at": pl.Series((begun + place * length).astype(np.int64)).cast(pl.Datetime("us", "UTC")),
                "latency_ms": draw.gamma(2, 5, size=rows),
                "error": draw.random(rows) < 0.01,
                "score": draw.random(rows),
                "shadow_score": pl.Series(draw.random(rows)).set(revisions.is_in(real), None),
                "region": "region " + pl.Series(units % REGIONS).cast(pl.String),
            }
        )
        outcomes = exposures.select(
            "request_id",
            "unit_id",
            (pl.col("exposed_at") + pl.duration(hours=3)).alias("observed_at"),
            pl.Series("revenue", draw.gamma(2, 10, size=rows)),
            pl.Series("converted", (draw.random(rows) < 0.2).astype(float)),
            pl.Series("minutes", draw.gamma(3, 4, size=rows)),
            pl.Series("complained", (draw.random(rows) < 0.02).astype(float)),
        )
        exposures.write_parquet(folder / "exposures" / f"{number:03}.parquet")
        outcomes.sample(fraction=1.0, shuffle=True, seed=number).write_parquet(folder / "outcomes" / f"{number:03}.parquet")


def records(folder: Path, kind: str) -> list[pl.LazyFrame]:
    """The files of one kind."""
    return [pl.scan_parquet(path) for path in sorted((folder / kind).glob("*.parquet"))]


def aggregated(folder: Path, ramp: Ramp) -> CanaryData:
    """The full computation from the files, two days after the last stage."""
    return aggregate(
        records(folder, "exposures"),
        records(folder, "outcomes"),
        contract=canary_contract(),
        toggle=ramp.toggle,
        stage_started=ramp.started,
        shares=ramp.shares,
        now=ramp.begin + ramp.length + timedelta(days=2),
    )
