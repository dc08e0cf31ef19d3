"""A look at a canary: from raw rows to sums against one group-by, and from sums to states against a Welch test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from scipy import stats

from benchmarks.canary_peers import decision_peers
from benchmarks.contract import OUTCOMES, STAGES, canary_contract
from benchmarks.measure import Row, Target, compared, interleaved
from retrain_assets.compute.stages.canary import aggregate
from retrain_assets.experiment import CanaryData, Plan
from retrain_assets.experiment.measures import judge

NAME = "canary"
EXPOSURES = 1_000_000
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


@dataclass(frozen=True, slots=True)
class Traffic:
    exposures: pl.DataFrame
    outcomes: pl.DataFrame

    def joined(self) -> pl.DataFrame:
        """What a group-by that only sums would want: one row a request, everything beside it."""
        return self.exposures.join(self.outcomes.drop("unit_id"), on="request_id", how="left")


def run() -> list[Row]:
    traffic = simulated_traffic(EXPOSURES)
    data = _aggregate(traffic)
    return [_aggregation(traffic), *_decision(data)]


def simulated_traffic(count: int) -> Traffic:
    """Exposures over four stages with one outcome each; most units come once, some twice; no arm changes against the ramp."""
    draw = np.random.default_rng(20260701)
    revisions = np.sort(draw.choice(np.array(list(STAGES)), size=count))
    units = draw.integers(0, count, size=count)
    bucket = (units * 2654435761 % 2**32) / 2**32
    challenger = bucket < np.array([*SHARES.values()])[revisions - min(STAGES)]
    offset = draw.uniform(0, STAGE_LENGTH / timedelta(microseconds=1), size=count).astype(np.int64)
    begun = np.array([int(STARTED[revision].timestamp() * 1e6) for revision in STAGES])[revisions - min(STAGES)]
    exposed_at = pl.Series("exposed_at", begun + offset).cast(pl.Datetime("us", "UTC"))
    exposures = pl.DataFrame(
        {
            "request_id": [f"r{number:08d}" for number in range(count)],
            "model": pl.repeat("benchmark", count, eager=True),
            "unit_id": pl.Series(units).cast(pl.String),
            "toggle": pl.repeat(TOGGLE, count, eager=True),
            "revision": revisions.astype(np.int64),
            "stage": pl.Series(revisions).replace_strict(LABELS, return_dtype=pl.String),
            "arm": np.where(challenger, "challenger", "champion"),
            "exposed_at": exposed_at,
            "latency_ms": draw.gamma(2, 5, size=count),
            "error": draw.random(count) < 0.01,
            "score": draw.random(count),
            "shadow_score": pl.Series(draw.random(count)).set(pl.Series(revisions != min(STAGES)), None),
            "region": [f"region {number}" for number in units % REGIONS],
        }
    )
    outcomes = exposures.select(
        "request_id",
        "unit_id",
        (pl.col("exposed_at") + pl.duration(hours=3)).alias("observed_at"),
        pl.Series("revenue", draw.gamma(2, 10, size=count)),
        pl.Series("converted", (draw.random(count) < 0.2).astype(float)),
        pl.Series("minutes", draw.gamma(3, 4, size=count)),
        pl.Series("complained", (draw.random(count) < 0.02).astype(float)),
    )
    return Traffic(exposures, outcomes.sample(fraction=1.0, shuffle=True, seed=1))


def _aggregate(traffic: Traffic) -> CanaryData:
    return aggregate(
        traffic.exposures,
        traffic.outcomes,
        contract=canary_contract(),
        toggle=TOGGLE,
        stage_started=STARTED,
        shares=SHARES,
        now=NOW,
    )


def _aggregation(traffic: Traffic) -> Row:
    joined = traffic.joined()
    summed = [*OUTCOMES, "error"]

    def group_by() -> object:
        return joined.group_by("revision", "arm", "region").agg(pl.col(summed).sum())

    took = interleaved({"ours": lambda: _aggregate(traffic), "sums": group_by}, rounds=5, seconds=25)
    return compared(
        NAME,
        "aggregate raw exposures and outcomes, ms",
        ours=took["ours"] * 1000,
        against="one Polars group-by that only sums the columns",
        peer=took["sums"] * 1000,
        target=Target(2),
        rows=EXPOSURES,
        note="the group-by gets rows that are joined already: no de-duplication, no arms checked, no maturity, no units",
    )


def _decision(data: CanaryData) -> list[Row]:
    plan = Plan.from_contract(canary_contract())
    arms = [(strata[-1].champion, strata[-1].challenger) for strata in data.measures.values()]
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
