"""The quick way compares signed hashes, asks only what the rule asks, and never reads a rule as program text."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from retrain_assets.routing import TOTAL_WEIGHT, compile_rule
from retrain_assets.routing.bucketing import HASHES, first_hash_beyond
from retrain_assets.routing.shortcut import below

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("weight", [0, 1, 10, 4999, 5000, 5001, 9999, 10_000])
def test_every_share_ends_at_the_same_hash_signed_or_not(weight: int) -> None:
    limit = first_hash_beyond(weight, TOTAL_WEIGHT)
    expression = compile(below("salt", limit), "<test>", "eval")
    for unsigned in {0, 1, limit - 1, limit, limit + 1, HASHES // 2 - 1, HASHES // 2, HASHES // 2 + 1, HASHES - 1}:
        if 0 <= unsigned < HASHES:
            signed = unsigned - HASHES if unsigned >= HASHES // 2 else unsigned
            known = {"hashed": lambda key, signed=signed: signed, "salt": "s", "unit": "u"}
            assert eval(expression, known) == (unsigned < limit)


class Asked(dict):
    """Attributes that keep what was asked of them."""

    def get(self, name, default=None):
        self.setdefault("asked", []).append(name)
        return super().get(name, default)


def test_a_rule_without_conditions_asks_nothing_of_the_attributes(rule_of) -> None:
    facts = Asked(origin="JFK")
    compile_rule(rule_of(share=0.5, stage="50"))("u", facts, NOW)
    assert "asked" not in facts
    compile_rule(rule_of(cohort={"origin": {"in": ["EWR"]}, "tier": {"in": ["gold"]}}))("u", facts, NOW)
    assert facts["asked"] == ["origin"]


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a\\b", "a\nb", "{x}", "__import__('os')", "attribute_1"])
def test_names_texts_and_salts_of_any_spelling_are_values(rule_of, name) -> None:
    rule = rule_of(share=1.0, stage="100", salt=name, cohort={name: {"in": [name]}, "other": {"not_in": [name]}})
    route = compile_rule(rule)
    assert route("u", {name: name, "other": 1}, NOW).arm == "challenger"
    assert route("u", {name: "no", "other": 1}, NOW).reason == "cohort_excluded"
    assert route("u", {name: name, "other": name}, NOW).reason == "cohort_excluded"


def test_units_with_the_same_answer_get_the_same_object(rule_of) -> None:
    route = compile_rule(rule_of(share=0.5, stage="50"))
    assert len({id(route(f"u{number}", {}, NOW)) for number in range(100)}) == 2


def test_a_rule_and_its_answers_can_be_sent_to_another_process(rule_of) -> None:
    rule = rule_of(cohort={"tier": {"any_of": ["gold"]}}, cohort_share=0.5)
    assert pickle.loads(pickle.dumps(rule)) == rule
    answer = compile_rule(rule)("u", {}, NOW)
    assert pickle.loads(pickle.dumps(answer)) == answer
