"""A condition says of a column what it says of each of its values, whatever their type."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrain_assets.routing.cohort import meeting, meeting_as_logged, predicates
from retrain_assets.routing.cohort_logic import json_logic

BIG = 2**53
texts = st.sampled_from(["JFK", "LGA", "", "5", "true", "é", "a|b"])
unjoined = texts.filter(lambda text: "|" not in text)
bounds = st.one_of(
    st.sampled_from([0, 0.7, 2.5, -1e300, 1e300, float(BIG), 127.0, -128.0, 128.0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-300, 300).map(float),
)
options = st.lists(st.one_of(texts, st.booleans(), bounds), max_size=4)
conditions = st.one_of(
    st.fixed_dictionaries({}, optional={"in": options, "not_in": options, "at_least": bounds, "below": bounds}).filter(bool),
    st.fixed_dictionaries({"any_of": st.lists(unjoined, max_size=3)}),
)
near = st.one_of(st.integers(-130, 130), st.sampled_from([BIG - 1, BIG, BIG + 1, -BIG - 1]))


def whole(kind: Any, lowest: int, highest: int) -> st.SearchStrategy[pl.Series]:
    inside = st.one_of(near.filter(lambda value: lowest <= value <= highest), st.sampled_from([lowest, highest]))
    return st.lists(st.none() | inside, max_size=6).map(lambda values: pl.Series(values, dtype=kind))


def decimals(precision: int, scale: int) -> st.SearchStrategy[pl.Series]:
    value = st.integers(-(10**precision) + 1, 10**precision - 1).map(lambda whole: Decimal(whole).scaleb(-scale))
    some = st.one_of(st.none(), value, st.sampled_from([Decimal(0), Decimal(5), Decimal("2.5"), Decimal("0.7")]))
    return st.lists(some, max_size=6).map(lambda values: pl.Series(values, dtype=pl.Decimal(precision, scale)))


def listed(kind: Any, value: st.SearchStrategy[Any]) -> st.SearchStrategy[pl.Series]:
    return st.lists(st.none() | value, max_size=6).map(lambda values: pl.Series(values, dtype=kind))


columns = st.one_of(
    listed(pl.String, texts),
    listed(pl.Categorical, texts),
    listed(pl.Enum(["JFK", "LGA", "5"]), st.sampled_from(["JFK", "LGA", "5"])),
    listed(pl.Boolean, st.booleans()),
    whole(pl.Int8, -128, 127),
    whole(pl.UInt8, 0, 255),
    whole(pl.Int64, -(2**63), 2**63 - 1),
    whole(pl.UInt64, 0, 2**64 - 1),
    whole(pl.Int128, -(2**127), 2**127 - 1),
    listed(pl.Float64, st.one_of(st.floats(), st.sampled_from([0.7, 2.5, 5.0]))),
    listed(pl.Float32, st.one_of(st.floats(width=32), st.just(0.7))),
    decimals(6, 2),
    decimals(15, 4),
    decimals(27, 10),
    listed(pl.List(pl.String), st.lists(st.none() | texts, max_size=3)),
    listed(pl.List(pl.Categorical), st.lists(texts, max_size=3)),
    listed(pl.Array(pl.String, 2), st.lists(texts, min_size=2, max_size=2)),
    listed(pl.List(pl.Int64), st.lists(st.integers(0, 9), max_size=3)),
    listed(pl.Date, st.dates(date(2000, 1, 1), date(2030, 1, 1))),
    listed(pl.Binary, st.binary(max_size=3)),
    listed(pl.Null, st.none()),
    listed(pl.Struct({"a": pl.Int64}), st.just({"a": 1})),
)


@settings(max_examples=1500, deadline=None)
@given(columns, conditions)
@example(pl.Series([0.7], dtype=pl.Float32), {"at_least": 0.7})
@example(pl.Series([BIG + 1]), {"below": float(BIG)})
@example(pl.Series([BIG + 1]), {"in": [float(BIG)]})
@example(pl.Series([Decimal("2.5")]), {"at_least": 2.5})
@example(pl.Series([Decimal("0.7000000000000000000001"), Decimal("0.6999999999999999999999")]), {"in": [0.7]})
@example(pl.Series(["5"]), {"any_of": ["5"]})
@example(pl.Series([[None, "JFK"]]), {"any_of": ["JFK"]})
@example(pl.Series([[None]], dtype=pl.List(pl.String)), {"any_of": ["JFK"]})
def test_a_condition_holds_for_a_column_where_it_holds_for_each_value(values: pl.Series, condition: dict[str, Any]) -> None:
    meets = predicates({"value": condition})["value"]
    singly = [meets(row["value"]) for row in values.alias("value").to_frame().iter_rows(named=True)]
    found = meeting(values, condition)
    assert found.to_list() == singly
    assert found.dtype == pl.Boolean


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (["gold"], True),
        (["x", "beta"], True),
        (("gold",), True),
        ([], False),
        (["golden"], False),
        ("gold", False),
        ([["gold"]], False),
        ([None, 5, True], False),
        (5, False),
        (None, False),
        ({"gold": 1}, False),
    ],
    ids=repr,
)
def test_any_of_holds_for_a_list_that_holds_one_of_the_texts(value: Any, holds: bool) -> None:
    assert predicates({"segments": {"any_of": ["gold", "beta"]}})["segments"](value) is holds


@pytest.mark.parametrize("value", [Decimal("2.5"), Decimal("1E+400"), Decimal(7)])
def test_a_decimal_is_the_number_it_writes(value: Decimal) -> None:
    meets = predicates({"at_least": {"at_least": 2.5}, "in": {"in": [2.5, 7.0]}, "below": {"below": 2.5}})
    assert meets["at_least"](value)
    assert meets["in"](value) is (value != Decimal("1E+400"))
    assert not meets["below"](value)
    assert not meets["at_least"](Decimal("sNaN"))
    assert not meets["below"](Decimal("NaN"))


@given(st.lists(st.none() | st.lists(unjoined, max_size=3)), st.lists(unjoined, max_size=2))
def test_a_list_is_found_in_the_exposure_log_as_it_was_in_the_request(lists: list[list[str] | None], asked: list[str]) -> None:
    condition = {"any_of": asked}
    logged = pl.Series(["|".join(one) if one else None for one in lists], dtype=pl.String)
    meets = predicates({"value": condition})["value"]
    assert meeting_as_logged(logged, condition).to_list() == [meets(one) for one in lists]
    assert meeting_as_logged(logged, {"in": ["JFK"]}).to_list() == meeting(logged, {"in": ["JFK"]}).to_list()


def test_a_moment_is_no_number_and_no_text() -> None:
    moment = datetime(2013, 7, 1, tzinfo=UTC)
    meets = predicates({"in": {"in": ["2013-07-01"]}, "not_in": {"not_in": ["x"]}, "below": {"below": 1.0}})
    assert [meets[name](moment) for name in meets] == [False, True, False]
    assert [meets[name](timedelta(1)) for name in meets] == [False, True, False]


def test_a_decimal_of_any_length_is_rounded_in_a_column_as_alone() -> None:
    draw = random.Random(3)
    for precision, scale in ((15, 15), (18, 6), (38, 10), (38, 30)):
        texts = [str(Decimal(draw.randrange(-(10**precision) + 1, 10**precision)).scaleb(-scale)) for _ in range(2000)]
        values = pl.Series(texts).cast(pl.Decimal(precision, scale))
        assert values.cast(pl.Float64).to_list() == [float(value) for value in values]


def test_no_rule_is_left_empty() -> None:
    assert json_logic({"segments": {"any_of": []}, "tier": {"in": []}}) == [
        {"!==": [{"var": "segments"}, None]},
        {"in": [{"var": "segments"}, []]},
        {"!==": [{"var": "tier"}, None]},
        {"in": [{"var": "tier"}, []]},
    ]
