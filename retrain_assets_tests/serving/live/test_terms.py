"""Attributes are logged each as one kind, whatever a caller sends."""

from __future__ import annotations

from typing import Any

import pytest

from retrain_assets.contract import Contract
from retrain_assets.serving.live.terms import AttributeReader, LiveTerms, cohort_kinds
from retrain_assets_tests.release.world import CONTRACT


def terms(**experiment: Any) -> LiveTerms:
    return LiveTerms.of(Contract.model_validate({**CONTRACT, "experiment": {**CONTRACT["experiment"], **experiment}}))


def test_the_attributes_on_record_are_those_the_experiment_is_about() -> None:
    found = terms(
        cohort={
            "origin": {"in": ["JFK"]},
            "age": {"at_least": 18},
            "trial": {"in": [True]},
            "tier": {"not_in": [3]},
            "groups": {"any_of": ["beta"]},
        },
        segments=["device", "month"],
        high_value={"month": [12]},
        adjust_for={"columns": ["spend"], "champion_score": True},
    )
    assert found.attributes == {
        "origin": "text",
        "age": "number",
        "trial": "boolean",
        "tier": "number",
        "groups": "list",
        "device": "label",
        "month": "number",
        "spend": "number",
    }
    assert found.champion_scores_all
    assert found.outcomes == {"cost_per_flight"}


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("text", {"JFK": "JFK", "": "", 5: None, True: None, None: None}),
        ("number", {5: 5.0, 2.5: 2.5, "5": None, True: None, float("nan"): None, float("inf"): None, 10**400: None, None: None}),
        ("boolean", {True: True, False: False, "true": None, None: None}),
        (
            "label",
            {"JFK": "JFK", 7: "7", 8.0: "8", 2.5: "2.5", 12345678: "12345678", True: "true", float("nan"): None, None: None},
        ),
    ],
)
def test_a_value_of_another_kind_is_null(kind: str, taken: dict[Any, Any]) -> None:
    reader = AttributeReader({"one": kind})
    for given, expected in taken.items():
        found = reader.read({"one": given}, {})["one"]
        assert (found, type(found)) == (expected, type(expected)), given


def test_a_list_is_routed_as_it_is_and_logged_as_one_text() -> None:
    reader = AttributeReader({"groups": "list"})
    values = reader.read({"groups": ["beta", "north"]}, {})
    assert values == {"groups": ["beta", "north"]}
    assert reader.logged(values) == {"groups": "beta|north"}
    assert reader.logged(reader.read({"groups": "beta"}, {})) == {"groups": None}
    assert reader.logged(reader.read({"groups": ["a|b"]}, {})) == {"groups": None}
    assert reader.logged(reader.read({"groups": ["a|b", "north"]}, {})) == {"groups": "north"}
    assert reader.logged(reader.read({"groups": []}, {})) == {"groups": None}


def test_an_attribute_that_is_not_given_is_the_feature_of_its_name_and_null_is_given() -> None:
    reader = AttributeReader({"origin": "text"})
    assert reader.read({}, {"origin": "JFK", "distance": 3}) == {"origin": "JFK"}
    assert reader.read({"origin": None}, {"origin": "JFK"}) == {"origin": None}
    assert reader.read({}, {}) == {"origin": None}


def test_the_kinds_of_a_rules_cohort_are_those_of_its_conditions() -> None:
    assert cohort_kinds({"age": {"below": 3.0}, "groups": {"any_of": ["a"]}}) == {"age": "number", "groups": "list"}
