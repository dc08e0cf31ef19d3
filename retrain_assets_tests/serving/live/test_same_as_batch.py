"""The gateway and the batch scorer of a replay answer the same requests alike, down to the columns of the exposure log."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from retrain_assets.bundle import load_bundle
from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS
from retrain_assets.routing import Router, compile_rule, rules_from_document
from retrain_assets.serving import ExposureLog, Scorer
from retrain_assets.serving.journal import recover
from retrain_assets.serving.live import Prediction, Row
from retrain_assets_tests.serving.live.conftest import Canary
from retrain_assets_tests.serving.live.world import ENCODING, FRAME, MODEL, Served

pytestmark = pytest.mark.anyio

TERMS: dict[str, Any] = {
    "cohort": {
        "origin": {"in": ["JFK", "EWR"]},
        "distance": {"at_least": 20},
        "holiday": {"not_in": [True]},
        "groups": {"any_of": ["beta", "north"]},
    },
    "cohort_share": 0.8,
    "segments": ["origin", "tier"],
    "adjust_for": {"columns": ["age"], "champion_score": True},
}
VALUES: dict[str, list[Any]] = {
    "unit": [*(f"N{one}" for one in range(60)), "Zoë", "飞机 7", "", None, " ", "x" * 3000],
    "distance": [None, 5.0, 20.0, 120.5, 150.0],
    "origin": [None, "JFK", "EWR", "LGA", "somewhere else"],
    "holiday": [None, False, True],
    "groups": [None, [], [""], ["beta"], ["x", "north"], ["x"], ["a|b", "beta"], ["a|beta"]],
    "tier": [None, "gold", "a|b", "\u2028\0"],
    "age": [None, 1.5, -0.0, 1e300],
}


def requests(number: int, seed: int) -> list[Row]:
    """Requests of all sorts, most of them of the cohort."""
    draw = random.Random(seed)
    likely = {"distance": 120.5, "origin": "JFK", "holiday": False, "groups": ["beta"]}
    rows = []
    for one in range(number):
        values = {name: draw.choice(known) for name, known in VALUES.items()}
        values |= likely if draw.random() < 0.7 else {}
        features = {name: values[name] for name in ENCODING.names}
        rows.append(Row(f"r{one}", values["unit"], {name: values[name] for name in ("groups", "tier", "age")}, features))
    return rows


async def gateway(world: Served, rows: list[Row]) -> tuple[list[Prediction], pl.DataFrame]:
    async with world.worker() as worker:
        answers = await worker.predict(*rows)
    recover(world.home)
    return answers, ExposureLog(world.home).read_exposures(MODEL)


def batch(world: Served, rows: list[Row]) -> pl.DataFrame:
    rule = rules_from_document(world.flags())[MODEL]
    attributes: dict[str, Any] = {"groups": pl.List(pl.String), "tier": pl.String, "age": pl.Float64}
    asked = pl.DataFrame(
        {"request_id": [row.request_id for row in rows], "unit_id": [row.unit for row in rows], "exposed_at": world.clock.now()}
        | {name: [row.attributes[name] for row in rows] for name in attributes},
        schema_overrides={**EXPOSURE_COLUMNS, **attributes},
    )
    features = pl.DataFrame([row.features for row in rows], schema=dict(FRAME.schema))
    champion, challenger = (
        load_bundle(world.registry.download(MODEL, one.version), one.bundle) for one in (rule.champion, rule.challenger) if one
    )
    return Scorer(rule, champion, challenger, champion_scores_all=True).score(asked.hstack(features), features)


@pytest.mark.parametrize("stages", [0, 1, 2])
async def test_a_request_has_the_same_exposure_whoever_served_it(canary: Canary, stages: int) -> None:
    world = canary(stages, experiment=TERMS)
    rows = requests(400, seed=stages)
    answers, served = await gateway(world, rows)
    replayed = ExposureLog(world.home).append_exposures(MODEL, batch(world, rows), "replay")
    found = pl.read_parquet(replayed)
    columns = sorted({*served.columns} - {"latency_ms"})
    assert {*found.columns} == {*served.columns}
    assert_frame_equal(found.sort("request_id").select(columns), served.sort("request_id").select(columns))
    assert served["toggle"].null_count() < served.height or stages == 0
    assert [one.request_id for one in answers] == [row.request_id for row in rows]


async def test_what_the_gateway_routed_by_is_what_any_other_router_would(canary: Canary) -> None:
    world = canary(2, experiment=TERMS)
    rows = requests(400, seed=7)
    answers, _ = await gateway(world, rows)
    assign: Router = compile_rule(rules_from_document(world.flags())[MODEL])
    expected = [assign(row.unit, {**row.features, **row.attributes}, world.clock.now()) for row in rows]
    assert [(one.arm, one.reason, one.revision, one.stage, one.version) for one in answers] == [
        (one.arm, one.reason, one.revision, one.stage, one.version) for one in expected
    ]
    assert {one.arm for one in answers} == {"champion", "challenger"}
