"""Check ``schema_holds``: every broken rule is named, every failing row is counted, some of each rule are shown."""

from __future__ import annotations

from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from pandera.config import config_context

from retrain_assets.contract import Contract, Outcome, Verdict, canonical_json
from retrain_assets.contract.unit_names import UNLINKABLE
from retrain_assets.gates.limits import TABLE_ROWS
from retrain_assets_tests.gates.conftest import verdict
from retrain_assets_tests.gates.data_rows import Parcels, Windows, judged, windows


class Strict(Parcels):
    parcel: str = pa.Field(unique=True)
    region: str = pa.Field(isin=["north", "south"])
    delay: float = pa.Field(le=1000)

    @pa.dataframe_check
    def late_parcels_have_a_delay(cls, data: Any) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(~pl.col("late") | (pl.col("delay") > -1000))


@pytest.fixture(scope="module")
def sound() -> Windows:
    return windows()


def schema_verdict(contract: Contract, train: pl.DataFrame, holdout: pl.DataFrame, schema: Any = Strict) -> Verdict:
    return verdict(judged(train, holdout, contract, schema=schema), "schema_holds")


def test_sound_rows_hold_the_schema(contract: Contract, sound: Windows) -> None:
    found = schema_verdict(contract, *sound)
    assert (found.outcome, found.observed) == (Outcome.PASS, 0)


def test_every_broken_rule_is_counted_in_full_worst_first_and_shown(contract: Contract, sound: Windows) -> None:
    """Types of rule: range, category, uniqueness, nullability and one across columns, in both windows."""
    train, holdout = sound
    place = pl.int_range(pl.len())
    train = train.with_columns(
        weight=pl.when(place % 2 == 0).then(-1.0).otherwise("weight"),
        region=pl.when(place < 30).then(pl.lit("Süd")).otherwise("region"),
        parcel=pl.when(place == 5).then(pl.lit("1-7")).otherwise("parcel"),
    )
    holdout = holdout.with_columns(
        delay=pl.when(place < 7).then(-2000.0).when(place == 9).then(None).otherwise("delay"), late=pl.lit(True)
    )
    found = schema_verdict(contract, train, holdout)
    assert found.outcome is Outcome.FAIL
    rules = {rule["column"]: rule for rule in found.evidence["broken_rules"] if rule["rule"] != "not_nullable"}
    assert [rule["rows"] for rule in found.evidence["broken_rules"]] == [500, 30, 7, 2, 1]
    assert (rules["weight"]["train_rows"], rules["weight"]["holdout_rows"]) == (500, 0)
    assert (rules["row"]["rule"], rules["row"]["holdout_rows"]) == ("late_parcels_have_a_delay", 7)
    failing = set(range(0, 1000, 2)) | set(range(30)) | {5, 7} | {1000 + at for at in range(7)} | {1009}
    assert found.observed == found.evidence["failing_rows_total"] == len(failing)
    table = found.evidence["failing_rows"]
    assert len(table) == TABLE_ROWS
    assert {row["column"] for row in table} == {"weight", "region", "parcel", "row", "delay"}
    assert table[0] == {
        "window": "train",
        "column": "weight",
        "rule": "greater_than_or_equal_to(0)",
        "value": "-1.0",
        "parcel": UNLINKABLE.of("1-0"),
        "sent_at": str(train["sent_at"][0]),
        "row": 0,
    }
    null = next(row for row in table if row["rule"] == "not_nullable")
    assert (null["window"], null["row"], null["value"]) == ("holdout", 9, "None")
    assert "weight: greater_than_or_equal_to(0) (500 rows)" in found.message
    assert f"{len(failing)} of 1,200 rows break 5 rules of schema Strict" in found.message
    assert canonical_json(found.to_json())


def test_the_counts_are_panderas_own(contract: Contract, sound: Windows) -> None:
    train, holdout = sound
    train = train.with_columns(
        weight=pl.col("weight") - 2, region=pl.when(pl.col("weight") > 6).then(pl.lit("west")).otherwise("region")
    )
    with pytest.raises(pa.errors.SchemaErrors) as problems:
        Strict.validate(train, lazy=True)
    expected = dict(problems.value.failure_cases.group_by("column").len().iter_rows())
    found = schema_verdict(contract, train, holdout)
    assert {rule["column"]: rule["rows"] for rule in found.evidence["broken_rules"]} == expected


def test_more_broken_rules_than_rows_of_a_table_are_still_counted(contract: Contract) -> None:
    names = [f"amount_{number}" for number in range(30)]
    many = type("Many", (Parcels,), {"__annotations__": dict.fromkeys(names, float), **{name: pa.Field(ge=0) for name in names}})
    train, holdout = (frame.with_columns(pl.lit(-1.0).alias(name) for name in names) for frame in windows())
    found = schema_verdict(contract, train, holdout, many)
    assert found.evidence["broken_rules_total"] == 30
    assert len(found.evidence["broken_rules"]) == len({row["column"] for row in found.evidence["failing_rows"]}) == TABLE_ROWS


def test_a_value_that_is_unique_in_each_window_but_not_across_them_fails(contract: Contract, sound: Windows) -> None:
    train, holdout = sound
    found = schema_verdict(contract, train, holdout.with_columns(parcel=train["parcel"].head(holdout.height)))
    assert found.observed == 2 * holdout.height


def test_a_missing_column_and_a_wrong_type_are_faults_of_the_table(contract: Contract, sound: Windows) -> None:
    train, holdout = (frame.drop("region").with_columns(pl.col("weight").cast(pl.Float32)) for frame in sound)
    found = schema_verdict(contract, train, holdout)
    assert found.outcome is Outcome.FAIL
    assert {(rule["column"], rule["rows"]) for rule in found.evidence["broken_rules"]} >= {("weight", 0)}
    assert "region" in found.message
    assert "Float32" in str(found.evidence["broken_rules"])


def test_windows_of_different_columns_are_still_validated(contract: Contract, sound: Windows) -> None:
    train, holdout = sound
    found = schema_verdict(contract, train, holdout.drop("region").with_columns(weight=-pl.col("weight")))
    assert found.outcome is Outcome.FAIL
    assert {"region", "weight"} <= {rule["column"] for rule in found.evidence["broken_rules"]}


def test_a_rule_that_cannot_be_evaluated_is_an_error_and_not_a_pass(contract: Contract, sound: Windows) -> None:
    class Broken(Parcels):
        @pa.check("weight")
        def holds(cls, data: Any) -> Any:  # noqa: N805
            raise RuntimeError("no such table")

    found = schema_verdict(contract, *sound, Broken)
    assert found.outcome is Outcome.ERROR
    assert "no such table" in found.message


def test_a_rule_that_cannot_be_evaluated_does_not_hide_broken_ones(contract: Contract, sound: Windows) -> None:
    class Broken(Parcels):
        @pa.check("late")
        def holds(cls, data: Any) -> Any:  # noqa: N805
            raise RuntimeError("no such table")

    train, holdout = sound
    found = schema_verdict(contract, train.with_columns(weight=-pl.col("weight")), holdout, Broken)
    assert found.outcome is Outcome.FAIL
    assert "weight: greater_than_or_equal_to(0) (1,000 rows)" in found.message


def test_a_schema_that_cannot_be_built_is_an_error_and_not_a_pass(contract: Contract, sound: Windows) -> None:
    class Unbuildable(Parcels):
        sent_at: pl.Datetime("us") = pa.Field(dtype_kwargs={"time_unit": "us"})  # a dtype that is made already takes no arguments

    found = schema_verdict(contract, *sound, Unbuildable)
    assert found.outcome is Outcome.ERROR
    assert "schema Unbuildable cannot be used" in found.message


def test_validation_that_is_switched_off_is_not_a_pass(contract: Contract, sound: Windows) -> None:
    """pandera reads PANDERA_VALIDATION_ENABLED; a gate must not open because of it."""
    train, holdout = sound
    with config_context(validation_enabled=False):
        assert schema_verdict(contract, train.with_columns(weight=-pl.col("weight")), holdout).outcome is Outcome.FAIL


def test_judging_leaves_the_teams_schema_as_it_was(contract: Contract, sound: Windows) -> None:
    train, holdout = sound
    schema_verdict(contract, train.with_columns(weight=-pl.col("weight")), holdout)
    checks = [check for column in Strict.to_schema().columns.values() for check in column.checks] + Strict.to_schema().checks
    assert {check.n_failure_cases for check in checks} == {None}
