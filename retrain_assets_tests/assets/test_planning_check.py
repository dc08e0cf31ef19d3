"""The warning on the evaluation report: what it says without traffic, with enough, with too little, with broken files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from retrain_assets.assets.planning_check import NAME, planning_check, planning_result
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import Contract
from retrain_assets.home import Home, ReplayClock
from retrain_assets.serving import ExposureLog
from retrain_assets_tests.cli.world import ATTRIBUTES, MODEL

NOW = datetime(2024, 4, 10, 6, tzinfo=UTC)


def road_with(**experiment: Any) -> Road:
    return Road(Contract.model_validate({**ATTRIBUTES, "experiment": {**ATTRIBUTES["experiment"], **experiment}}))


def serve(home: Home, *, days: int, units: int) -> None:
    """So many new units a day on the champion, their outcomes known half a day later."""
    log, draw = ExposureLog(home), np.random.default_rng(2)
    for day in range(days):
        at = NOW - timedelta(days=days - day)
        names = [f"u-{day}-{number}" for number in range(units)]
        keys = pl.DataFrame({"request_id": names, "unit_id": names})
        exposures = keys.with_columns(
            model=pl.lit(MODEL),
            toggle=pl.lit(None, dtype=pl.String),
            revision=pl.lit(0),
            stage=pl.lit(None, dtype=pl.String),
            arm=pl.lit("champion"),
            version=pl.lit("1"),
            bundle=pl.lit("b"),
            exposed_at=pl.lit(at).cast(pl.Datetime("us", "UTC")),
            latency_ms=pl.lit(3.0),
            error=pl.lit(False),
            score=pl.lit(0.4),
            shadow_score=pl.lit(None, dtype=pl.Float64),
            region=pl.Series(["north" if number % 4 else "west" for number in range(units)]),
        )
        outcomes = keys.with_columns(
            observed_at=pl.lit(at + timedelta(hours=12)).cast(pl.Datetime("us", "UTC")),
            cost=pl.Series(draw.normal(10, 3, units)),
            complaint=pl.Series((draw.random(units) < 0.25).astype(float)),
        )
        log.append_exposures(MODEL, exposures, f"day-{day}")
        log.append_outcomes(MODEL, outcomes, f"day-{day}")


@pytest.fixture
def platform(retrain_home: Path) -> Platform:
    home = Home(retrain_home)
    ReplayClock(home.replay_clock_path).set(NOW)
    return Platform(root=str(retrain_home))


def test_the_check_warns_and_blocks_nothing_on_the_partitions_of_its_asset() -> None:
    road = road_with()
    (spec,) = planning_check(road).check_specs
    assert (spec.name, spec.asset_key, spec.blocking) == (NAME, road.key("evaluation_report"), False)
    assert spec.partitions_def == road.partitions


def test_enough_traffic_passes_and_says_what_is_likely(platform: Platform) -> None:
    serve(platform.home, days=5, units=400)
    found = planning_result(platform, road_with())
    assert found.passed
    assert "every declared margin and effect can be shown by day 14" in str(found.description)
    assert "it ends inconclusive with a probability of" in str(found.description)
    assert "300 new units a day" in str(found.metadata["traffic"].value), "a quarter of the units is outside the cohort"


def test_too_little_traffic_warns_with_field_and_remedy(platform: Platform) -> None:
    serve(platform.home, days=5, units=60)
    found = planning_result(platform, road_with())
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert "cannot conclude in time: guardrails.complaint: margin 0.1 needs" in str(found.description)
    assert "widen margin to" in str(found.description)


def test_before_any_traffic_it_is_said_that_nothing_is_known(platform: Platform) -> None:
    found = planning_result(platform, road_with())
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert "it is not known whether the experiment can conclude: cost: no traffic of the champion is logged" in str(
        found.description
    )


def test_traffic_that_cannot_be_read_is_a_warning_and_no_failed_run(platform: Platform) -> None:
    folder = platform.home.exposures_dir(MODEL)
    folder.mkdir(parents=True)
    (folder / "broken.parquet").write_bytes(b"nothing")
    found = planning_result(platform, road_with())
    assert not found.passed
    assert "it cannot be told whether the experiment can conclude" in str(found.description)
    assert "broken.parquet" in str(found.description)
