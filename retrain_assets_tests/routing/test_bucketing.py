"""The hash and the buckets are flagd's."""

from __future__ import annotations

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain_assets.routing import TOTAL_WEIGHT, fractional, routing_key
from retrain_assets.routing.bucketing import first_hash_beyond, unit_text


def test_every_reference_vector_gives_the_variant_of_flagd(oracles) -> None:
    wrong = []
    for case in oracles("flagd_fractional"):
        weights = [(pair[0], pair[1] if len(pair) > 1 else 1) for pair in case["weights"]]
        key = case["flag_key"] + case["targeting_key"]
        assert mmh3.hash(key, signed=False) == case["hash_u32"]
        if case["form"] == "shorthand" and not case["targeting_key"]:
            continue
        if any(not isinstance(weight, int) for _, weight in weights):
            continue
        if fractional(key, weights) != case["python"]:
            wrong.append(case["id"])
    assert wrong == []


def test_the_hash_limit_of_every_weight_is_where_its_bucket_begins() -> None:
    for weight in range(TOTAL_WEIGHT + 1):
        limit = first_hash_beyond(weight, TOTAL_WEIGHT)
        assert (limit - 1) * TOTAL_WEIGHT >> 32 == weight - 1
        assert limit * TOTAL_WEIGHT >> 32 == weight


@given(st.text(st.characters(max_codepoint=127)))
def test_an_ascii_unit_is_hashed_as_it_stands(unit: str) -> None:
    assert routing_key(unit) == unit


@given(st.text())
def test_every_routing_key_is_ascii(unit: str) -> None:
    assert routing_key(unit).isascii()


@pytest.mark.parametrize(("unit", "key"), [("Zoë", "Zo%C3%AB"), ("飞机 7", "%E9%A3%9E%E6%9C%BA 7"), ("100%", "100%")])
def test_a_non_ascii_unit_is_percent_encoded_utf8(unit: str, key: str) -> None:
    assert routing_key(unit) == key


@pytest.mark.parametrize(
    ("unit", "key"),
    [
        ("a\ud800", "a%EF%BF%BD"),
        ("\udc00b", "%EF%BF%BDb"),
        ("\ud83d\ude80", "%F0%9F%9A%80"),
        ("\ude80\ud83d é", "%EF%BF%BD%EF%BF%BD %C3%A9"),
    ],
    ids=ascii,
)
def test_half_a_surrogate_pair_counts_as_the_replacement_character(unit: str, key: str) -> None:
    assert routing_key(unit) == key


@given(st.text(st.characters(), min_size=1))
def test_a_unit_that_is_not_empty_has_a_key_that_is_not_empty(unit: str) -> None:
    assert routing_key(unit)


@pytest.mark.parametrize(
    ("unit", "text"), [("u", "u"), ("", None), (None, None), (17, "17"), (-3, "-3"), (True, None), (1.5, None), (b"u", None)]
)
def test_a_unit_is_a_text_that_is_not_empty_or_an_integer(unit: object, text: str | None) -> None:
    assert unit_text(unit) == text


def test_a_total_beyond_32_bits_and_an_empty_key_fall_to_the_default() -> None:
    assert fractional("unit", [("a", 2_147_483_647), ("b", 1)]) is None
    assert fractional("", [("a", 1)]) is None
    assert fractional("unit", [("a", 0)]) is None
    assert fractional("unit", [("a", -5), ("b", 1)]) == "b"
