"""A look at a canary: from raw rows to sums against one group-by, and from sums to states against a Welch test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from scipy import stats

from benchmarks.canary_peers import decision_peers
from benchmarks.contract import OUTCOMES, STAGES, canary_contract
from benchmarks.measure import Row, Target, compared, interleaved
from retrain_assets.compute.stages.canary import aggregate
from retrain_assets.experiment import CanaryData, Plan
from retrain_assets.experiment.estimation.measures import judge

NAME = "canary"
EXPOSURES = 10_000_000
FILES = 20
SUMMED = [*OUTCOMES, "error"]
REGIONS = 8
TOGGLE = "benchmark-2026-07-01"
START = datetime(2026, 7, 1, tzinfo=UTC)
STAGE_LENGTH = timedelta(days=2)
NOW = START + len(STAGES) * STAGE_LENGTH + timedelta(days=2)
STARTED = {revision: START + place * STAGE_LENGTH for place, revision in enumerate(STAGES)}
LABELS = {revision: label for revision, (label, _) in STAGES.items()}
SHARES = {revision: share for revision, (_, share) in STAGES.items()}
REPEATS = 400
DECISION_LIMIT_MICROSECONDS = 20.0


def run() -> list[Row]:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_traffic(folder, EXPOSURES, FILES)
        data = aggregated(folder)
        return [*_aggregation(folder), *_decision(data)]


def write_traffic(folder: Path, count: int, files: int) -> None:
    """Write exposures over four stages, with one outcome each, in the order of time; most units come once or twice, no arm
    changes against the ramp.

    Args:
        folder: gets ``exposures`` and ``outcomes``.
        count: exposures.
        files: files of each kind.
    """
    draw = np.random.default_rng(20260701)
    for kind in ("exposures", "outcomes"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    length = len(STAGES) * STAGE_LENGTH / timedelta(microseconds=1)
    rows = count // files
    for number in range(files):
        place = np.sort(draw.uniform(number / files, (number + 1) / files, rows))
        stage = (place * len(STAGES)).astype(int)
        revisions = pl.Series(stage + min(STAGES)).cast(pl.Int64)
        units = draw.integers(0, count, size=rows)
        bucket = (units * 2654435761 % 2**32) / 2**32
        challenger = pl.Series(bucket < np.array([*SHARES.values()])[stage])
        begun = int(START.timestamp() * 1e6)
        exposures = pl.DataFrame(
            {
                "request_id": "r" + pl.Series(np.arange(number * rows, (number + 1) * rows)).cast(pl.String),
                "model": pl.repeat("benchmark", rows, eager=True),
                "unit_id": pl.Series(units).cast(pl.String),
                "toggle": pl.repeat(TOGGLE, rows, eager=True),
                "revision": revisions,
                "stage": revisions.replace_strict(LABELS, return_dtype=pl.String),
                "arm": challenger.replace_strict({True: "challenger", False: "champion"}, return_dtype=pl.String),
                "exposed_at": pl.Series((begun + place * length).astype(np.int64)).cast(pl.Datetime("us", "UTC")),
                "latency_ms": draw.gamma(2, 5, size=rows),
                "error": draw.random(rows) < 0.01,
                "score": draw.random(rows),
                "shadow_score": pl.Series(draw.random(rows)).set(revisions != min(STAGES), None),
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


def aggregated(folder: Path) -> CanaryData:
    """The full computation from the files."""
    return aggregate(
        records(folder, "exposures"),
        records(folder, "outcomes"),
        contract=canary_contract(),
        toggle=TOGGLE,
        stage_started=STARTED,
        shares=SHARES,
        now=NOW,
    )


def _joined(folder: Path) -> pl.LazyFrame:
    columns = ["revision", "arm", "region", *SUMMED]
    outcomes = pl.concat(records(folder, "outcomes")).drop("unit_id", "observed_at")
    return pl.concat(records(folder, "exposures")).join(outcomes, on="request_id", how="left").select(columns)


def _sums(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.group_by("revision", "arm", "region").agg(pl.col(SUMMED).sum()).collect()


def _aggregation(folder: Path) -> list[Row]:
    took = interleaved({"ours": lambda: aggregated(folder), "files": lambda: _sums(_joined(folder))}, rounds=3, seconds=60)
    ready = _joined(folder).collect().lazy()
    sums = interleaved({"ready": lambda: _sums(ready)}, rounds=5, seconds=10)["ready"]
    return [
        compared(
            NAME,
            "aggregate raw exposures and outcomes from Parquet files, s",
            ours=took["ours"],
            against=against,
            peer=peer,
            target=Target(2),
            rows=EXPOSURES,
            note=note,
        )
        for against, peer, note in (
            (
                "Polars scan, join and one group-by that only sums",
                took["files"],
                "the same files; no units, no faults looked for",
            ),
            ("one Polars group-by that only sums the columns", sums, "rows that are read and joined already"),
        )
    ]


def _decision(data: CanaryData) -> list[Row]:
    plan = Plan.from_contract(canary_contract())
    arms = [(one.strata[-1].champion, one.strata[-1].challenger) for one in data.measures.values()]
    welch_inputs = [(one.mean, one.variance**0.5, one.n, other.mean, other.variance**0.5, other.n) for one, other in arms]

    def ours() -> None:
        for _ in range(REPEATS):
            for spec in plan.measures:
                judge(spec, data.measures[spec.name], plan)

    def welch() -> None:
        for _ in range(REPEATS):
            for inputs in welch_inputs:
                stats.ttest_ind_from_stats(*inputs, equal_var=False)

    took = interleaved({"ours": ours, "welch": welch}, seconds=8)
    calls = REPEATS * len(plan.measures)
    microseconds = {name: seconds / calls * 1e6 for name, seconds in took.items()}
    measure = "one measure from its statistics to its state, µs"
    return [
        compared(
            NAME,
            measure,
            ours=microseconds["ours"],
            against=f"limit of {DECISION_LIMIT_MICROSECONDS:g} µs",
            peer=DECISION_LIMIT_MICROSECONDS,
            target=Target(1),
            rows=calls,
            note=f"{len(STAGES) - 1} strata a measure, message included",
        ),
        compared(
            NAME,
            measure,
            ours=microseconds["ours"],
            against="SciPy Welch t-test of one stratum",
            peer=microseconds["welch"],
            rows=calls,
            note="ttest_ind_from_stats: no strata, no interval, valid at one look only",
        ),
        *decision_peers(NAME, measure, microseconds["ours"], calls),
    ]
