"""Ticks read new files only and give what reading everything gives, and both what the plain reference gives."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from retrain_assets.compute.stages.canary import aggregate
from retrain_assets.compute.stages.canary_terms import Terms
from retrain_assets.compute.stages.canary_batch import Batch
from retrain_assets.compute.stages.canary_ticks import tick
from retrain_assets.contract import Contract, StageError
from retrain_assets.experiment import CanaryData
from retrain_assets_tests.compute.canary_reference import Row, reference
from retrain_assets_tests.compute.test_canary_aggregation import contract

ARMED = datetime(2013, 7, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SHARES = {2: 0.0, 3: 0.3, 4: 0.6, 5: 0.3, 7: 0.6}
STARTED = {revision: ARMED + place * 2 * DAY for place, revision in enumerate(SHARES)}
LAST = ARMED + 12 * DAY
EXPOSURES: dict[str, Any] = {
    **dict.fromkeys(("request_id", "model", "unit_id", "toggle"), pl.String),
    "revision": pl.Int64,
    **dict.fromkeys(("stage", "arm"), pl.String),
    "exposed_at": pl.Datetime("us", "UTC"),
    "latency_ms": pl.Float64,
    "error": pl.Boolean,
    "score": pl.Float64,
    "shadow_score": pl.Float64,
    "origin": pl.String,
    "age": pl.Float64,
}
OUTCOMES: dict[str, Any] = {
    **dict.fromkeys(("request_id", "unit_id"), pl.String),
    "observed_at": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("cost", "late"), pl.Float64),
}


def rich_contract() -> Contract:
    """Every kind of measure, every covariate."""
    return contract(
        adjust_for={"columns": ["age"], "champion_score": True, "pre_period": "3d"},
        success={"cost": {"direction": "decrease", "winsorise": {"at_most": 40}}},
        guardrails={
            "total": {"column": "cost", "aggregate": "sum", "direction": "decrease", "margin": 1},
            "cost_per_late": {"column": "cost", "per": "late", "direction": "decrease", "margin": 1},
            "late_share": {"column": "late", "per": "requests", "direction": "decrease", "margin": 1},
            "late": {"direction": "decrease", "margin": 0.05},
            "error_rate": {"column": "error", "direction": "decrease", "margin": 0.01},
            "slow": {"column": "latency_ms", "above": 12, "direction": "decrease", "margin": 0.05},
            "latency": {"column": "latency_ms", "quantile": 0.95, "direction": "decrease", "margin": 5},
        },
    )


def terms() -> Terms:
    return Terms(rich_contract(), "t", STARTED, SHARES, ARMED)


def traffic(draw: np.random.Generator, requests: int = 160) -> tuple[list[Row], list[Row]]:
    """Random traffic with every fault there is a rule for."""
    units = int(draw.integers(3, 40))
    exposures: list[Row] = []
    outcomes: list[Row] = []
    for number in range(requests):
        unit, at = int(draw.integers(units)), ARMED + timedelta(hours=float(draw.uniform(-96, 12 * 24)))
        started = [revision for revision, begun in STARTED.items() if begun <= at]
        revision = started[-1] if started else 0
        bucket = unit * 0.618 % 1
        arm = "challenger" if bucket < SHARES.get(revision, 0) else "champion"
        row: Row = {
            "request_id": f"r{number}",
            "model": "flight_delay",
            "unit_id": f"u{unit}",
            "toggle": "t" if started else None,
            "revision": revision,
            "stage": None,
            "arm": arm,
            "exposed_at": at,
            "latency_ms": float(draw.gamma(4, 3)),
            "error": bool(draw.random() < 0.1),
            "score": float(draw.random()),
            "shadow_score": float(draw.random()) if draw.random() < 0.7 else None,
            "origin": ["JFK", "EWR", None][unit % 3],
            "age": float(unit) if draw.random() < 0.8 else None,
        }
        fault: list[dict[str, Any]] = [
            {"arm": "champion" if arm == "challenger" else "challenger"},
            {"unit_id": None},
            {"toggle": "another"},
            {"revision": 99},
            {"exposed_at": LAST + timedelta(minutes=float(draw.uniform(-10, 2000)))},
            {"latency_ms": float(draw.choice([math.nan, math.inf, -1.0]))},
            {"origin": "LGA"},
            {"age": math.nan},
            {"model": "another"},
        ]
        if draw.random() < 0.15:
            row |= fault[int(draw.integers(len(fault)))]
        exposures.append(row)
        while draw.random() < 0.06:
            again = {**row, "exposed_at": row["exposed_at"] + timedelta(hours=float(draw.choice([0, -30, -1, 1, 30])))}
            if draw.random() < 0.3 and again["exposed_at"] != row["exposed_at"]:
                again["arm"] = "champion"
            exposures.append(again)
        while draw.random() < (0.85 if not outcomes or outcomes[-1]["request_id"] != row["request_id"] else 0.2):
            report: Row = {
                "request_id": row["request_id"],
                "unit_id": row["unit_id"],
                "observed_at": row["exposed_at"]
                + timedelta(hours=float(draw.choice([-1, 0, 2, 5, 24, 25, draw.uniform(0, 24)]))),
                "cost": float(draw.normal(20, 15)),
                "late": float(draw.random() < 0.3),
            }
            wrong: list[dict[str, Any]] = [
                {"cost": None},
                {"late": None},
                {"cost": float(draw.choice([math.nan, math.inf, -math.inf, 1e200, 1e12]))},
                {"unit_id": "somebody"},
                {"request_id": "nobody"},
                {"observed_at": None},
            ]
            if draw.random() < 0.2:
                report |= wrong[int(draw.integers(len(wrong)))]
            outcomes.append(report)
    return exposures, outcomes


def in_files(draw: np.random.Generator, rows: list[Row], schema: dict[str, Any], kind: str, ticks: int) -> list[list[Batch]]:
    """The rows in files that arrive in any order, at ticks; some files lack a column whose rows are all null there."""
    arrival: list[list[Batch]] = [[] for _ in range(ticks)]
    place = draw.integers(0, max(1, 2 * ticks), len(rows))
    for number in range(2 * ticks):
        frame = pl.DataFrame([row for row, of in zip(rows, place, strict=True) if of == number], schema=schema)
        empty = [name for name in ("origin", "age", "cost", "late") if name in schema and frame[name].is_null().all()]
        arrival[int(draw.integers(ticks))].append(Batch(f"{kind}{number}", "1", frame.drop(empty).lazy))
    return arrival


def told(data: CanaryData) -> dict[Any, Any]:
    """A CanaryData under the keys of the reference, what is nobody's left out."""
    found: dict[Any, Any] = {
        "future": data.future_rows,
        "strange": data.unknown_revisions,
        "duplicate exposures": data.duplicate_exposures,
        "unknown": data.unknown_outcomes,
        "before exposure": data.outcomes_before_exposure,
        "late": data.late_outcomes,
        "replaced": data.duplicate_outcomes,
        "crossing": data.cross_arm_units,
        "first traffic": data.first_traffic_at,
        "last matured": data.last_matured_at,
    }
    for segment, stages in [("", data.stages), *data.segment_stages.items()]:
        for one in stages:
            if one.is_shadow:
                units = [one.champion.exposed, one.challenger.exposed, one.champion.matured, one.challenger.matured]
                found["shadow", segment, one.revision] = units
            else:
                for arm, counts in (("champion", one.champion), ("challenger", one.challenger)):
                    numbers = [counts.exposed, counts.matured, counts.with_outcome, counts.new]
                    found["stage", segment, one.revision, arm] = numbers
    for segment, measures in [("", data.measures), *data.segments.items()]:
        for name, measure in measures.items():
            for one in measure.strata:
                for arm in ("champion", "challenger"):
                    sums = one.arm(arm)
                    here = (segment, name, one.stratum.revision, arm)
                    counted = [sums.n, sums.not_finite, sums.outside, sums.first_n]
                    found["measure", *here] = [*counted, sums.first_sum, *sums.sums, *sums.products]
                    if sums.requests is not None and sums.requests.units:
                        found["requests", *here] = sums.requests
            for overlap in measure.overlaps:
                numbers = [overlap.n, *overlap.first_sums, *overlap.second_sums, *overlap.products]
                found["overlap", segment, name, *overlap.first, *overlap.second] = numbers
    return found


def assert_same(one: dict[Any, Any], other: dict[Any, Any]) -> None:
    nobody = [0.0]
    for key in {*one, *other}:
        if isinstance(key, tuple) and key[0] != "requests":
            numbers = [np.array(side.get(key, nobody), dtype=float) for side in (one, other)]
            width = max(map(len, numbers))
            mine, theirs = (np.pad(side, (0, width - len(side))) for side in numbers)
            n = 4 if key[0] != "overlap" else 1
            assert (mine[:n] == theirs[:n]).all(), (key, mine, theirs)
            scale = np.abs(mine[n:]).max(initial=1e-9)
            assert np.allclose(mine[n:], theirs[n:], rtol=1e-9, atol=1e-11 * scale), (key, mine, theirs)
        else:
            assert (one.get(key) or None) == (other.get(key) or None), key


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32), ticks=st.integers(1, 7))
def test_ticks_in_any_order_give_what_one_computation_gives_and_what_the_reference_gives(
    seed: int, ticks: int, tmp_path: Path
) -> None:
    draw = np.random.default_rng(seed)
    exposures, outcomes = traffic(draw)
    expected = reference([row for row in exposures if row["model"] == "flight_delay"], outcomes, terms(), LAST)
    whole = aggregate(
        pl.DataFrame(exposures, schema=EXPOSURES),
        pl.DataFrame(outcomes, schema=OUTCOMES),
        contract=rich_contract(),
        toggle="t",
        stage_started=STARTED,
        shares=SHARES,
        now=LAST,
        armed_at=ARMED,
    )
    assert_same(told(whole), expected)
    arriving = [
        in_files(draw, rows, schema, kind, ticks)
        for rows, schema, kind in ((exposures, EXPOSURES, "e"), (outcomes, OUTCOMES, "o"))
    ]
    moments = sorted(ARMED + timedelta(days=float(draw.uniform(0, 12))) for _ in range(ticks - 1)) + [LAST]
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    there: list[list[Batch]] = [[], []]
    data = whole
    for moment, *new in zip(moments, *arriving, strict=True):
        there = [[*before, *files] for before, files in zip(there, new, strict=True)]
        data = tick(tmp_path / "cache", there[0], there[1], terms(), moment)
    assert_same(told(data), expected)
