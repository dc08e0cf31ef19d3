"""Gate DATA on features: what training had is what a single request gets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from retrain_assets.contract import Outcome
from retrain_assets.gates import Parity, serving_probe
from retrain_assets.gates.features.serving import REQUESTS, features_match_serving, over_the_wire

Build = Callable[[pl.DataFrame], pl.DataFrame]
LATE = ["delay", "late", "nowhere"]


def probed(rows: pl.DataFrame, **made: pl.Expr) -> Parity:
    def build(given: pl.DataFrame) -> pl.DataFrame:
        return given.select("weight", **made)

    return serving_probe(build, rows, build(rows), LATE)


def test_features_of_the_row_alone_are_the_same(parcels: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    found = probed(parcels[1], heavy=pl.col("weight") > 5, region=pl.col("region"), hour=pl.col("sent_at").dt.hour())
    assert (found.requests, list(found.differences), dict(found.failures)) == (REQUESTS, [], {})
    verdict = features_match_serving(found)
    assert verdict.passed
    assert "32 single requests" in verdict.message


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (pl.col("weight") - pl.col("weight").mean(), "other rows of its batch"),
        (pl.col("weight").rank(), "other rows of its batch"),
        (pl.int_range(pl.len()), "other rows of its batch"),
        (pl.col("weight").shift(1), "other rows of its batch"),
        (pl.col("weight").cum_sum(), "other rows of its batch"),
        (pl.col("region").rank("dense"), "other rows of its batch"),
        (pl.col("late").mean().over("region"), "other rows of its batch"),
        (pl.col("delay"), "columns not known yet"),
        (pl.col("late").is_not_null(), "columns not known yet"),
        (pl.col("late").fill_null(True), "columns not known yet"),
    ],
    ids=["mean", "rank", "row number", "row before", "running sum", "codes", "target encoding", "late column", "known", "label"],
)
def test_what_depends_on_the_batch_or_on_the_future_is_named_with_the_reason(
    parcels: tuple[pl.DataFrame, pl.DataFrame], made: pl.Expr, reason: str
) -> None:
    found = probed(parcels[1], skew=made)
    (difference,) = found.differences
    assert (difference["feature"], difference["depends_on"]) == ("skew", reason)
    verdict = features_match_serving(found)
    assert (verdict.outcome, verdict.observed) == (Outcome.FAIL, 1)
    assert f"skew ({difference['rows']} of 32; {reason})" in verdict.message


@pytest.mark.parametrize(
    ("build", "feature", "reason"),
    [
        (lambda given: given.select("weight", when=pl.lit(1.0) if given.height > 1 else pl.lit("one")), "when", "another type"),
        (lambda given: given.select("weight", **({"many": pl.lit(1)} if given.height > 1 else {})), "many", "not returned"),
        (lambda given: given.select("weight", **({} if given.height > 1 else {"one": pl.lit(1)})), "one", "not in the snapshot"),
    ],
    ids=["type", "lost", "added"],
)
def test_names_and_types_are_those_of_the_snapshot(
    parcels: tuple[pl.DataFrame, pl.DataFrame], build: Build, feature: str, reason: str
) -> None:
    found = serving_probe(build, parcels[1], build(parcels[1]), LATE)
    assert [(row["feature"], row["depends_on"], row["rows"]) for row in found.differences] == [(feature, reason, 32)]
    assert features_match_serving(found).outcome is Outcome.FAIL


def test_a_function_that_fails_on_a_single_request_is_told_with_its_words(parcels: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    def build(given: pl.DataFrame) -> pl.DataFrame:
        if given.height == 1:
            raise ZeroDivisionError("no neighbours")
        return given.select("weight")

    verdict = features_match_serving(serving_probe(build, parcels[1], build(parcels[1]), LATE))
    assert verdict.outcome is Outcome.FAIL
    assert "fails on 32 of 32 single requests: no neighbours" in verdict.message
    assert verdict.evidence["failures"] == [{"message": "no neighbours", "requests": 32}]


def test_the_last_bits_of_a_number_are_no_difference(parcels: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    def build(given: pl.DataFrame) -> pl.DataFrame:
        return given.select(weight=pl.col("weight") * (1 + 1e-12 * (given.height == 1)))

    assert features_match_serving(serving_probe(build, parcels[1], build(parcels[1]), LATE)).passed


def test_without_rows_nothing_passes(parcels: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    assert features_match_serving(probed(parcels[1].clear())).outcome is Outcome.NO_DATA


def test_rows_arrive_from_json_as_they_were_and_what_json_cannot_hold_arrives_as_nothing() -> None:
    rows = pl.DataFrame(
        {
            "whole": pl.Series([2**62 + 1, None], dtype=pl.Int64),
            "small": pl.Series([-7, 3], dtype=pl.Int8),
            "number": [0.1 + 0.2, float("nan")],
            "endless": [float("inf"), 1.0],
            "truth": [True, None],
            "text": ['Ünï "quoted"\n', None],
            "at": pl.Series([datetime(2024, 3, 1, 7, 30, 1, 250, tzinfo=UTC), None], dtype=pl.Datetime("us", "UTC")),
            "day": [date(2024, 3, 1), None],
            "hour": [time(7, 30), None],
            "spell": [timedelta(seconds=5), None],
            "price": pl.Series([Decimal("12.30"), None], dtype=pl.Decimal(10, 2)),
            "kind": pl.Series(["a", None], dtype=pl.Categorical),
            "grade": pl.Series(["b", None], dtype=pl.Enum(["a", "b"])),
            "empty": pl.Series([None, None], dtype=pl.Null),
            "list": [[1, 2], [3]],
        }
    )
    found = over_the_wire(rows)
    assert found.schema == rows.schema
    expected = rows.with_columns(pl.col("number").fill_nan(None), endless=pl.Series([None, 1.0]))
    assert found.equals(expected)
