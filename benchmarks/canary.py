"""A look at a canary: from raw rows to sums against one group-by, tick by tick, and from sums to states against a Welch test."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from scipy import stats

from benchmarks.canary_peers import decision_peers
from benchmarks.canary_ticks import TICKS, in_own_process, memory_row, tick_rows
from benchmarks.canary_traffic import NAME, Ramp, aggregated, records, write_traffic
from benchmarks.contract import OUTCOMES, STAGES, canary_contract
from benchmarks.measure import Row, Target, compared, cpu_seconds, interleaved
from retrain_assets.experiment import CanaryData, Plan
from retrain_assets.experiment.estimation.measures import judge

FULL = "RETRAIN_BENCH_FULL" in os.environ
"""The figures in docs/benchmarks.md are of a full run."""
EXPOSURES = 10_000_000 if FULL else 3_000_000
FILES = 20
SUMMED = [*OUTCOMES, "error"]
REPEATS = 400
DECISION_LIMIT_MICROSECONDS = 20.0


def run() -> list[Row]:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_traffic(folder, EXPOSURES, FILES)
        data = aggregated(folder, Ramp())
        rows = [*_aggregation(folder), memory_row("the full computation", in_own_process("whole", folder), EXPOSURES)]
    return [*rows, *tick_rows(EXPOSURES * TICKS // 10), *_decision(data)]


def _joined(folder: Path) -> pl.LazyFrame:
    columns = ["revision", "arm", "region", *SUMMED]
    outcomes = pl.concat(records(folder, "outcomes")).drop("unit_id", "observed_at")
    return pl.concat(records(folder, "exposures")).join(outcomes, on="request_id", how="left").select(columns)


def _sums(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.group_by("revision", "arm", "region").agg(pl.col(SUMMED).sum()).collect()


def _aggregation(folder: Path) -> list[Row]:
    took = interleaved(
        {"ours": lambda: aggregated(folder, Ramp()), "files": lambda: _sums(_joined(folder))}, rounds=3, seconds=60
    )
    ready = _joined(folder).collect().lazy()
    sums = interleaved({"ready": lambda: _sums(ready)}, rounds=5, seconds=10, clock=cpu_seconds)["ready"]
    return [
        compared(
            NAME,
            "aggregate raw exposures and outcomes from Parquet files, CPU s",
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
