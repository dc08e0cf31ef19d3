"""A Spark frame is routed as its rows would be one by one, in a real local session."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from retrain_assets.contract import RetrainError
from retrain_assets.routing import assign_spark, compile_rule

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
SCHEMA = (
    "unit string, origin string, distance double, seats int, price decimal(12,2), fee decimal(38,10), tier boolean, "
    "segments array<string>, at timestamp"
)
COHORT = {
    "origin": {"in": ["JFK", "LGA", "é"]},
    "distance": {"at_least": 100},
    "seats": {"not_in": [3.0]},
    "price": {"below": 900.5},
    "fee": {"at_least": 0.1},
    "tier": {"in": [True]},
    "segments": {"any_of": ["gold", "beta"]},
}


@pytest.fixture(scope="module", autouse=True)
def small_batches(spark: SparkSession) -> Iterator[None]:
    """Several Arrow batches a partition."""
    name = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(name)
    spark.conf.set(name, "97")
    yield
    spark.conf.set(name, before)


def requests(rows: int) -> list[dict[str, Any]]:
    draw = random.Random(7)
    names = ("unit {}", "Zoë {}", "飞机 {}", "{}", "🚀")
    units = [None, "", *(draw.choice(names).format(number) for number in range(rows - 2))]
    return [
        {
            "unit": unit,
            "origin": draw.choice(["JFK", "LGA", "é", "JFK", "EWR", None]),
            "distance": draw.choice([100.0, 99.9, 1089.0, 500.0, float("nan"), None, 2000.0]),
            "seats": draw.choice([1, 2, 3, 2**31 - 1, None, -5, 7]),
            "price": draw.choice([Decimal("900.50"), Decimal("900.49"), Decimal("1.00"), Decimal("2.00"), None]),
            "fee": draw.choice([Decimal("0.1"), Decimal("0.0999999999"), Decimal("12345678901234567890.5"), Decimal(5), None]),
            "tier": draw.choice([True, True, True, False, None]),
            "segments": draw.choice([["gold"], ["x", "beta"], [None, "gold"], [], ["golden"], None]),
            "at": NOW + timedelta(seconds=draw.randint(-2, 2)),
        }
        for unit in units
    ]


def frame_of(spark: SparkSession, rows: list[dict[str, Any]]) -> DataFrame:
    return spark.createDataFrame([tuple(row.values()) for row in rows], SCHEMA).repartition(2)


@pytest.mark.parametrize("cohort", [{}, *({name: condition} for name, condition in COHORT.items())], ids=str)
def test_a_spark_frame_gets_what_the_router_gives_each_row(spark, rule_of, cohort) -> None:
    rows = requests(400)
    rule = rule_of(share=0.5, stage="50", cohort=cohort, cohort_share=0.8)
    route = compile_rule(rule)
    assigned = assign_spark(rule, frame_of(spark, rows), "unit", NOW)
    found = sorted((row["unit"] or "", row["arm"], row["reason"]) for row in assigned.collect())
    answers = [(row["unit"], route(row["unit"], row, NOW)) for row in rows]
    assert found == sorted((unit or "", answer.arm, answer.reason.value) for unit, answer in answers)
    assert {answer.reason.value for _, answer in answers} == {"ramp", "no_unit", "cohort_excluded"}


def test_each_row_is_routed_at_its_own_moment_and_keeps_its_columns(spark, rule_of) -> None:
    rows = requests(200)
    rule = rule_of(share=0.5, stage="50", expires_at=NOW)
    route = compile_rule(rule)
    given = frame_of(spark, rows)
    assigned = assign_spark(rule, given, "unit", "at")
    assert assigned.columns == [*given.columns, "arm", "reason"]
    assert assigned.select(*given.columns).schema == given.schema
    found = sorted((row["unit"] or "", row["arm"], row["reason"]) for row in assigned.collect())
    answers = [(row["unit"], route(row["unit"], row, row["at"])) for row in rows]
    assert found == sorted((unit or "", answer.arm, answer.reason.value) for unit, answer in answers)
    assert {"ramp", "expired"} <= {answer.reason.value for _, answer in answers}
    kept = assigned.select(*given.columns).where("distance = distance").exceptAll(given.where("distance = distance"))
    assert kept.count() == 0


def test_integer_units_count_as_their_decimal_text_and_an_earlier_answer_is_replaced(spark, rule_of) -> None:
    rule = rule_of(share=0.5, stage="50", cohort={"arm": {"in": ["left"]}})
    route = compile_rule(rule)
    given = spark.range(300).selectExpr("'left' as arm", "id as unit", "id as reason")
    found = [(row["unit"], row["arm"], row["reason"]) for row in assign_spark(rule, given, "unit", NOW).collect()]
    assert sorted(found) == [(number, route(number, {"arm": "left"}, NOW).arm, "ramp") for number in range(300)]


@pytest.mark.parametrize(
    ("changes", "unit", "now", "says"),
    [
        ({"cohort": {"gate": {"in": ["A"]}}}, "unit", NOW, "column gate is missing"),
        ({}, "passenger", NOW, "column passenger is missing"),
        ({}, "unit", "when", "column when is missing"),
        ({}, "distance", NOW, "text or integers"),
        ({}, "unit", "origin", "timestamp with time zone"),
        ({}, "unit", NOW.replace(tzinfo=None), "time zone"),
    ],
)
def test_a_frame_that_cannot_be_routed_is_refused_before_anything_runs(spark, rule_of, changes, unit, now, says) -> None:
    with pytest.raises(RetrainError, match=says):
        assign_spark(rule_of(**changes), frame_of(spark, requests(3)), unit, now)
