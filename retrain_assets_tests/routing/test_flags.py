"""The flag document is a valid flagd document, and serving reads from it exactly what was written."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime

import pytest

from retrain_assets.contract import CustodyError, RetrainError, canonical_json
from retrain_assets.routing import flag_document, rules_from_document

EXPIRY = datetime(2013, 8, 1, 6, 30, 15, 250_000, tzinfo=UTC)


@pytest.fixture
def rules(rule_of):
    return [
        rule_of(model="pricing", expires_at=EXPIRY, cohort={"origin": {"in": ["JFK"]}, "distance": {"below": 900.0}}),
        rule_of(
            model="fraud", champion=None, challenger=None, toggle=None, stage=None, share=0.0, revision=0, state="none", salt=""
        ),
        rule_of(model="churn", state="rolled_back", share=0.5, stage="50"),
        rule_of(model="delay", stage="shadow", state="shadow", share=0.0),
        rule_of(model="fares", cohort_share=0.0001, cohort={"segments": {"any_of": ["gold", "é"]}}),
    ]


def test_serving_reads_back_the_rules_that_were_written(rules) -> None:
    document = json.loads(json.dumps(flag_document(rules, metadata={"ledger_sequence": 12})))
    assert rules_from_document(document) == {rule.model: rule for rule in rules}


def test_the_same_rules_give_the_same_bytes(rules) -> None:
    documents = [flag_document(order, metadata={}) for order in (rules, rules[::-1])]
    assert canonical_json(documents[0]) == canonical_json(documents[1])


def test_flagd_loads_the_document_and_shows_its_metadata(rules) -> None:
    from openfeature.contrib.tools.flagd.core import FlagdCore
    from openfeature.evaluation_context import EvaluationContext

    core = FlagdCore()
    core.set_flags(json.dumps(flag_document(rules, metadata={"ledger_sequence": 12})))
    resolved = {rule.model: core.resolve_string_value(rule.model, "none", EvaluationContext("unit")) for rule in rules}
    assert {model: (one.value, one.reason) for model, one in resolved.items()} == {
        "pricing": ("champion", "TARGETING_MATCH"),
        "fraud": ("none", "DISABLED"),
        "churn": ("champion", "STATIC"),
        "delay": ("champion", "TARGETING_MATCH"),
        "fares": ("champion", "TARGETING_MATCH"),
    }
    assert resolved["pricing"].flag_metadata["challenger_version"] == "4"
    assert resolved["pricing"].flag_metadata["ledger_sequence"] == 12


def test_a_whole_cohort_leaves_the_document_as_it_was_before_there_were_shares(rules) -> None:
    flags = flag_document(rules, metadata={})["flags"]
    assert {model for model, flag in flags.items() if "cohort_share" in flag["metadata"]} == {"fares"}
    assert {model for model, flag in flags.items() if "taking_part" in json.dumps(flag)} == {"fares"}


@pytest.mark.parametrize("edit", ["cohort share", "share", "targeting", "variants", "no metadata"])
def test_an_edited_flag_is_refused(rules, edit) -> None:
    document = flag_document(rules, metadata={})
    flag = copy.deepcopy(document["flags"]["pricing"])
    match edit:
        case "cohort share":
            flag["metadata"]["cohort_share"] = 0.5
        case "share":
            flag["metadata"]["share"] = 1.0
        case "targeting":
            flag["targeting"]["if"][1]["fractional"][1][1] = 10_000
        case "variants":
            flag["variants"]["champion"] = "challenger"
        case "no metadata":
            del flag["metadata"]
    with pytest.raises(CustodyError, match=r"flag pricing.*retrain reconcile"):
        rules_from_document({"flags": {"pricing": flag}})


def test_a_document_without_flags_is_refused() -> None:
    with pytest.raises(CustodyError, match="no flags object"):
        rules_from_document({})


def test_two_rules_for_one_model_are_refused(rule_of) -> None:
    with pytest.raises(RetrainError, match="two routing rules"):
        flag_document([rule_of(), rule_of(revision=5)], metadata={})
