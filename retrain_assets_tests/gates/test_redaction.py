"""Evidence tells rows without ids: units and groups by keyed names, texts only where they are categories."""

from __future__ import annotations

import re

import polars as pl
import pytest

from retrain_assets.contract import Source
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames
from retrain_assets.gates.redaction import RowWords, copies_of, is_shown, scrubbed

SOURCE = Source.model_validate(
    {
        "uri": "people.parquet",
        "event_time": "at",
        "unit": "passenger",
        "label": "late",
        "label_delay": "1d",
        "schema": ".schema.People",
        "group": "family",
    }
)
NAMES = UnitNames(b"a key that the test knows")
ROWS = pl.DataFrame(
    {
        "passenger": [f"anna.{place}@home.example" for place in range(100)],
        "family": [f"family {place // 4}" for place in range(100)],
        "cabin": ["first", "second"] * 50,
        "note": [f"asked for seat {place}, cries at night" for place in range(100)],
        "age": list(range(100)),
    }
)


def test_a_unit_is_told_by_its_name_and_the_name_needs_the_key() -> None:
    first = RowWords(ROWS, SOURCE, NAMES).of(ROWS.row(0, named=True), "passenger")
    assert re.fullmatch(r"unit:[0-9a-f]{16}", first)
    assert first == NAMES.of("anna.0@home.example")
    assert first not in (UnitNames(b"another").of("anna.0@home.example"), UNLINKABLE.of("anna.0@home.example"))
    assert NAMES.of(7) == NAMES.of("7")


def test_a_unit_and_a_group_of_the_same_text_have_different_names() -> None:
    assert NAMES.of("smith") != NAMES.of("smith", "group")
    assert NAMES.of(None) == "unit:none"


def test_categories_and_numbers_are_shown_free_text_by_its_length() -> None:
    row, words = ROWS.row(3, named=True), RowWords(ROWS, SOURCE, NAMES)
    assert words.of(row, "cabin") == "second"
    assert words.of(row, "age") == "3"
    assert words.of(row, "note") == f"text of {len(row['note'])} characters"
    assert words.of(row, "family") == NAMES.of("family 0", "group")


def test_a_column_that_repeats_the_unit_is_told_by_its_name_too() -> None:
    frame = ROWS.with_columns(pl.int_range(100).alias("passenger"), pl.int_range(100).alias("account"))
    assert RowWords(frame, SOURCE, NAMES).of(frame.row(42, named=True), "account") == NAMES.of(42)
    assert copies_of(frame["passenger"], frame.select("account", "age", "cabin")) == {"account", "age"}


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (pl.Series(["a", "b"] * 40), True),
        (pl.Series([f"{place}" for place in range(80)]), False),
        (pl.Series(["a", "b"]), False),
        (pl.Series([1.5, None]), True),
        (pl.Series([[1], [2]]), False),
        (pl.Series([b"x"] * 40), False),
        (pl.Series(["a", "b"] * 40, dtype=pl.Categorical), True),
    ],
)
def test_texts_are_shown_only_where_each_stands_in_many_rows(values: pl.Series, shown: bool) -> None:
    assert is_shown(values) is shown


def test_a_message_of_code_that_met_rows_is_scrubbed_of_them() -> None:
    said = "KeyError: 'anna.7@home.example' of family 1 (asked for seat 7, cries at night) in cabin first"
    told = scrubbed(said, ROWS, SOURCE)
    assert told == "KeyError: 'a unit' of a group (text of 32 characters) in cabin first"


def test_numbers_that_only_contain_a_unit_stay() -> None:
    frame = pl.DataFrame({"passenger": [7, 12]})
    assert scrubbed("row 7 of 127 has 0.12", frame, SOURCE) == "row a unit of 127 has 0.a unit"
    assert scrubbed("column x712 is missing", frame, SOURCE) == "column x712 is missing"
