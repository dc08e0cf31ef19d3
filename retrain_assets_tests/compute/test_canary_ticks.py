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
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from retrain_assets.compute.canary.aggregation import aggregate
from retrain_assets.compute.canary.batch import Batch
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.canary.ticks import tick
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


def rich_contract(quantiles: bool = True) -> Contract:
    """Every kind of measure, every covariate."""
    latency: dict[str, Any] = {"column": "latency_ms", "quantile": 0.95, "direction": "decrease", "margin": 5}
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
            **({"latency": latency} if quantiles else {}),
        },
    )


def terms(quantiles: bool = True) -> Terms:
    return Terms(rich_contract(quantiles), "t", STARTED, SHARES, ARMED)


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
        for stage in stages:
            if stage.is_shadow:
                units = [stage.champion.exposed, stage.challenger.exposed, stage.champion.matured, stage.challenger.matured]
                found["shadow", segment, stage.revision] = units
            else:
                for name, counts in (("champion", stage.champion), ("challenger", stage.challenger)):
                    numbers = [counts.exposed, counts.matured, counts.with_outcome, counts.new]
                    found["stage", segment, stage.revision, name] = numbers
    for segment, measures in [("", data.measures), *data.segments.items()]:
        for name, measure in measures.items():
            for one in measure.strata:
                for arm, sums in (("champion", one.champion), ("challenger", one.challenger)):
                    here = (segment, name, one.stratum.revision, arm)
                    counted = [sums.n, sums.not_finite, sums.outside, sums.first_n]
                    found["measure", *here] = [*counted, sums.first_sum, *sums.sums, *sums.products]
                    if sums.requests is not None and sums.requests.units:
                        found["requests", *here] = sums.requests
            for overlap in measure.overlaps:
                found["overlap", segment, name, *overlap.first, *overlap.second] = [
                    overlap.n,
                    *overlap.first_sums,
                    *overlap.second_sums,
                    *overlap.products,
                ]
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
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(seed=52, ticks=3, quantiles=True)
@given(seed=st.integers(0, 2**32), ticks=st.integers(1, 7), quantiles=st.booleans())
def test_ticks_in_any_order_give_what_one_computation_gives_and_what_the_reference_gives(
    seed: int, ticks: int, quantiles: bool, tmp_path: Path
) -> None:
    draw, said = np.random.default_rng(seed), terms(quantiles)
    exposures, outcomes = traffic(draw)
    expected = reference([row for row in exposures if row["model"] == "flight_delay"], outcomes, said, LAST)
    whole = aggregate(
        pl.DataFrame(exposures, schema=EXPOSURES),
        pl.DataFrame(outcomes, schema=OUTCOMES),
        contract=said.contract,
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
    moments = [*sorted(ARMED + timedelta(days=float(draw.uniform(0, 12))) for _ in range(ticks - 1)), LAST]
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    there: list[list[Batch]] = [[], []]
    data = whole
    for moment, *new in zip(moments, *arriving, strict=True):
        there = [[*before, *files] for before, files in zip(there, new, strict=True)]
        data = tick(tmp_path / "cache", there[0], there[1], said, moment)
    assert_same(told(data), expected)


def some_files(greatest: float = math.inf) -> tuple[list[Batch], list[Batch]]:
    draw = np.random.default_rng(5)
    exposures, outcomes = traffic(draw)
    outcomes = [row for row in outcomes if not abs(row["cost"] or 0.0) > greatest]
    kinds = ((exposures, EXPOSURES, "e"), (outcomes, OUTCOMES, "o"))
    found = [in_files(draw, rows, schema, kind, 2) for rows, schema, kind in kinds]
    return [one for files in found[0] for one in files], [one for files in found[1] for one in files]


def refused() -> pl.LazyFrame:
    raise AssertionError("a file that was read before is read again")


def unread(files: list[Batch]) -> list[Batch]:
    return [Batch(one.name, one.stamp, refused) for one in files]


def test_a_tick_opens_no_file_that_was_read_before(tmp_path: Path) -> None:
    exposures, outcomes = some_files()
    first = tick(tmp_path, exposures, outcomes, terms(), LAST)
    assert_same(told(tick(tmp_path, unread(exposures), unread(outcomes), terms(), LAST)), told(first))


def truncate_every_table(folder: Path) -> None:
    for path in folder.glob("*.columns"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_the_state(folder: Path) -> None:
    text = (folder / "state.json").read_text()
    (folder / "state.json").write_text(text.replace("0", "1"))


def state_of_somebody_else(folder: Path) -> None:
    (folder / "state.json").write_text(json.dumps({"other": "thing"}))


def no_state(folder: Path) -> None:
    (folder / "state.json").unlink()


@pytest.mark.parametrize("damage", [truncate_every_table, change_the_state, state_of_somebody_else, no_state])
def test_a_cache_that_is_not_whole_is_made_anew(damage: Callable[[Path], None], tmp_path: Path) -> None:
    exposures, outcomes = some_files()
    first = tick(tmp_path, exposures, outcomes, terms(), LAST)
    damage(tmp_path)
    assert_same(told(tick(tmp_path, exposures, outcomes, terms(), LAST)), told(first))


def test_a_file_that_changed_or_other_terms_or_an_earlier_time_make_it_read_everything_again(tmp_path: Path) -> None:
    exposures, outcomes = some_files()
    tick(tmp_path, exposures, outcomes, terms(), LAST)
    changed = [Batch(outcomes[0].name, "2", outcomes[0].records), *unread(outcomes[1:])]
    other = Terms(contract(), "t", STARTED, SHARES, ARMED)
    for files, said, now in ((changed, terms(), LAST), (unread(outcomes), other, LAST), (unread(outcomes), terms(), LAST - DAY)):
        with pytest.raises(AssertionError, match="read again"):
            tick(tmp_path, unread(exposures), files, said, now)
        tick(tmp_path, exposures, outcomes, terms(), LAST)


def test_a_column_no_file_has_is_refused_and_nothing_is_kept_of_that_tick(tmp_path: Path) -> None:
    exposures, outcomes = some_files()
    without = [Batch(one.name, one.stamp, one.records().drop("late", strict=False).lazy) for one in outcomes]
    with pytest.raises(StageError, match="column 'late' is missing"):
        tick(tmp_path, exposures, without, terms(), LAST)
    whole = tick(tmp_path / "other", exposures, outcomes, terms(), LAST)
    assert_same(told(tick(tmp_path, exposures, outcomes, terms(), LAST)), told(whole))


def test_requests_mature_without_a_new_row(tmp_path: Path) -> None:
    exposures, outcomes = some_files(greatest=100.0)
    early = tick(tmp_path, exposures, outcomes, terms(), LAST - DAY)
    late = tick(tmp_path, unread(exposures), unread(outcomes), terms(), LAST)
    matured = [sum(one.champion.matured for one in data.stages) for data in (early, late)]
    assert matured[0] < matured[1]
    assert_same(told(late), told(tick(tmp_path / "whole", exposures, outcomes, terms(), LAST)))


def test_a_correction_of_an_outlier_leaves_no_rounding_behind(tmp_path: Path) -> None:
    exposures, outcomes = some_files()
    row = exposures[0].records().filter(pl.col("revision") == 3).collect().row(0, named=True)
    reports = pl.DataFrame(
        [
            {
                "request_id": row["request_id"],
                "unit_id": row["unit_id"],
                "observed_at": row["exposed_at"] + 23 * HOUR,
                "late": 1e15,
            }
        ],
        schema=OUTCOMES,
    )
    right = reports.with_columns(late=pl.lit(0.5), observed_at=pl.col("observed_at") + HOUR)
    wrong = Batch("wrong", "1", reports.lazy)
    corrected = Batch("right", "1", right.lazy)
    tick(tmp_path, exposures, [*outcomes, wrong], terms(), LAST)
    found = tick(tmp_path, exposures, [*outcomes, wrong, corrected], terms(), LAST)
    assert_same(told(found), told(tick(tmp_path / "whole", exposures, [*outcomes, wrong, corrected], terms(), LAST)))


def test_late_and_corrected_outcomes_are_taken_in_without_opening_a_file_that_was_read_before(tmp_path: Path) -> None:
    exposures, outcomes = some_files(greatest=100.0)
    known = tick(tmp_path, exposures, outcomes, terms(), LAST)
    rows = pl.concat([one.records() for one in exposures], how="diagonal").filter(pl.col("revision") == 3).collect()
    reports = rows.select("request_id", "unit_id", pl.col("exposed_at").alias("observed_at") + 23 * HOUR, cost=3.0, late=1.0)
    corrected = Batch("corrected", "1", reports.lazy)
    found = tick(tmp_path, unread(exposures), [*unread(outcomes), corrected], terms(), LAST)
    assert found.duplicate_outcomes > known.duplicate_outcomes
    assert_same(told(found), told(tick(tmp_path / "whole", exposures, [*outcomes, corrected], terms(), LAST)))
