"""What an experiment may not say: measures that mean two things, plans that cannot end, covariates nobody knows in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from retrain_assets.contract import REQUESTS, Contract, Economics, Guardrail, Measure, Success, canonical_json
from retrain_assets_tests.contract.test_contract_rules import guardrail, success
from retrain_assets_tests.simulation import contract_with


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ({"quantile": "95%", "per": REQUESTS}, "quantile stands alone"),
        ({"quantile": 0.95, "above": 3}, "quantile stands alone"),
        ({"quantile": 0.95, "winsorise": {"at_most": 9}}, "quantile stands alone"),
        ({"quantile": 95}, "less than"),
        ({"quantile": 0}, "greater than 0"),
        ({"per": "sessions", "aggregate": "sum"}, "per already divides sums"),
        ({"winsorise": {}}, "write at_least, at_most or both"),
        ({"winsorise": {"at_most": 9}, "above": 3}, "above makes 0 and 1 of the values"),
        ({"winsorise": {"at_least": 5, "at_most": 5}}, "at_least 5 is not below at_most 5"),
    ],
    ids=str,
)
def test_a_measure_is_one_kind_of_number(measure: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Measure.model_validate({"direction": "increase", **measure})


def test_a_ratio_reads_both_its_columns_and_a_rate_per_request_only_one() -> None:
    ratio = Measure.model_validate({"column": "revenue", "per": "sessions", "direction": "increase"})
    rate = Measure.model_validate({"column": "revenue", "per": REQUESTS, "direction": "increase"})
    assert ratio.columns_of("revenue_per_session") == ("revenue", "sessions")
    assert rate.columns_of("revenue_per_request") == ("revenue",)


def test_a_success_has_a_relative_or_an_absolute_effect_to_show() -> None:
    with pytest.raises(ValidationError, match="write one of them"):
        Success.model_validate({"direction": "increase", "min_effect": "1%", "min_gain": 2})


def test_a_denominator_must_be_recorded() -> None:
    with pytest.raises(ValidationError, match="column 'sessions' is neither in outcomes"):
        contract_with(experiment__success=success(per="sessions"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experiment__adjust_for": {}}, "adjust_for names no covariate"),
        ({"experiment__cohort": {"tier": {"in": ["5", 5]}}}, "cohort.tier compares with number and text"),
        ({"experiment__cohort": {"tier": {"not_in": ["a"], "at_least": 3}}}, "cohort.tier compares with number and text"),
        ({"experiment__cohort": {"tier": {"in": [True, 1.0]}}}, "cohort.tier compares with boolean and number"),
        ({"experiment__cohort": {"tier": {"any_of": ["a|b"]}}}, "should match pattern"),
        ({"experiment__adjust_for": {"columns": ["cost"]}}, "cost is an outcome, which nobody knows"),
        ({"experiment__adjust_for": {"columns": ["score"]}}, "score is a column every record has"),
        ({"experiment__looks": {"after": ["14d", "7d"]}}, "after must ascend"),
        ({"experiment__looks": {"after": ["0d", "7d"]}}, "after must ascend and be positive"),
        ({"experiment__looks": {"after": []}}, "at least 1 item"),
        ({"experiment__looks": {"after": ["400d"]}}, "the last one lies after the experiment's longest duration"),
        ({"experiment__extend_to": "1d"}, "extend_to must be longer than max_duration"),
        ({"experiment__full_weeks": 60}, "full_weeks do not fit"),
        ({"experiment__stop_loss": {"looks": 0}}, "greater than or equal to 1"),
        ({"experiment__high_value": {"nowhere": ["a"]}}, "nowhere is not among segments"),
        ({"experiment__segments": [], "experiment__guardrails": guardrail(segment_margin=0.2)}, "segment_margin needs segments"),
        ({"economics": {"value_per_unit": 1, "measure": "profit"}}, "'profit' is not a success measure"),
        ({"economics": {"value_per_unit": 0}}, "greater than 0"),
        (
            {"economics": {"value_per_unit": 1}, "experiment__success": success(quantile=0.9)},
            "a quantile carries no value per unit",
        ),
        (
            {"economics": {"value_per_unit": 1}, "experiment__success": success(aggregate="sum")},
            "a unit's total grows with the time it is watched",
        ),
        (
            {"experiment__guardrails": guardrail(column="error", per=REQUESTS)},
            "guardrails.complaint: a share of rare events has exact bounds",
        ),
        ({"experiment__guardrails": guardrail(above=3, per=REQUESTS)}, "would never be shown without events; remove per"),
        ({"economics": {"value_per_unit": 1, "review_cost": -1}}, "greater than or equal to 0"),
        ({"economics": {"value_per_unit": 1, "currency": ""}}, "at least 1 character"),
        ({"experiment__looks": {"after": ["14d"]}}, "shadow stage, 1d or more.; let it be 13d at most, or lengthen"),
        (
            {"experiment__looks": {"after": ["1h", "1d"]}},
            "nothing has matured, and after the last look nothing more may be shown",
        ),
        ({"experiment__full_weeks": 2}, "full_weeks do not fit"),
        ({"experiment__look_every": "15d"}, "look_every is longer than max_duration"),
        ({"experiment__stop_loss": {"confirm_after": "14d"}}, "harm could not be confirmed before the experiment ends"),
        ({"experiment__stop_loss": {"looks": 8, "confirm_after": "2d"}}, "harm could not be confirmed"),
        ({"experiment__missing_data": {"grace": "14d"}}, "shorten it or write fallback: hold"),
        ({"experiment__segments": ["region"], "experiment__high_value": {"region": []}}, "high_value.region: names no value"),
        ({"experiment__cohort": {"tier": {"in": ["gold"], "not_in": ["gold"]}}}, "nobody is in and not_in at once"),
        ({"experiment__outcomes": ["cost", "complaint", "requests"]}, "already means the number of requests"),
        ({"experiment__ramp": ["shadow", "half", 100]}, "'half' is not a stage; write shadow, or per cent"),
        ({"experiment__ramp": ["shadow", "a%", 100]}, "'a%' is not a stage"),
        ({"experiment__ramp": [0, 50, 100]}, "0 is not a stage"),
        ({"experiment__success": {"a b": {"column": "cost", "direction": "decrease"}}}, "a check is named after 'a b'"),
        ({"experiment__success": success(per="cost")}, "success.cost: cost by itself is 1 for everyone"),
        ({"experiment__guardrails": guardrail(column="error", above=2)}, "error is 0 or 1 already"),
        (
            {"experiment__guardrails": guardrail(margin="5%")},
            "write max_regression: 5% for a relative change, or 0.05 for a share",
        ),
        (
            {"experiment__guardrails": guardrail(segment_margin="5%"), "experiment__segments": ["region"]},
            "write 0.05 for a share",
        ),
        ({"experiment__guardrails": guardrail(margin=None, max_regression=20)}, "20 is 2000%; write 20%"),
        (
            {"experiment__guardrails": guardrail(margin=None, max_regression="100%", direction="increase")},
            "max_regression: a fall by 100 % is hardly possible",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_experiment_that_could_not_be_judged_as_written_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        contract_with(**changes)


def test_looks_weeks_and_brakes_that_just_fit_are_taken() -> None:
    experiment = contract_with(
        experiment__looks={"after": ["7d", "13d"]},
        experiment__look_every="14d",
        experiment__stop_loss={"looks": 2, "confirm_after": "13d"},
        experiment__missing_data={"grace": "14d", "fallback": "hold"},
    ).experiment
    assert experiment.looks is not None
    assert contract_with(experiment__full_weeks=2, experiment__max_duration="16d").experiment.full_weeks == 2


def test_shares_may_be_written_in_per_cent_where_a_share_is_meant() -> None:
    assert contract_with(experiment__alpha="2.5%").experiment.alpha == 0.025
    relative = guardrail(margin=None, max_regression="20%", segment_margin="50%")
    assert contract_with(experiment__guardrails=relative, experiment__segments=["region"]).experiment.guardrails[
        "complaint"
    ].segment_margin == pytest.approx(0.5)


def test_a_contract_reads_back_as_it_was_recorded() -> None:
    """Canonical JSON writes 2.0 as 2, and an absolute margin above 10 is no percentage."""
    relative = {"margin": None, "max_regression": "200%"}
    for one in (guardrail(**relative), guardrail(margin=25.0)):
        contract = contract_with(experiment__guardrails=one)
        assert Contract.model_validate_json(canonical_json(contract.to_json())) == contract


def test_the_toggle_outlives_an_extended_experiment() -> None:
    with pytest.raises(ValidationError, match=r"longer than experiment\.extend_to"):
        contract_with(experiment__extend_to="100d", toggle__expires_after="90d", toggle__remove_after="120d")


def test_one_bad_batch_of_records_does_not_roll_back_by_default() -> None:
    experiment = contract_with().experiment
    assert experiment.stop_loss.looks == 2
    assert experiment.missing_data.grace == timedelta(days=3)
    assert experiment.missing_data.fallback == "roll_back"


def test_guardrails_decide_in_segments_only_where_they_say_so() -> None:
    assert Guardrail.model_validate({"direction": "decrease", "margin": 0.1}).segment_margin is None


def test_amounts_are_counted_over_a_month_unless_the_contract_says_otherwise() -> None:
    assert Economics.model_validate({"value_per_unit": 2.5}).horizon == timedelta(days=30)


@pytest.mark.parametrize(
    ("measure", "is_share"),
    [
        ({"column": "error"}, True),
        ({"column": "minutes", "above": 15}, True),
        ({"column": "minutes", "above": 15, "aggregate": "sum"}, False),
        ({"winsorise": {"at_least": 0, "at_most": 1}}, True),
        ({"winsorise": {"at_most": 1}}, False),
        ({"winsorise": {"at_least": 0, "at_most": 500}}, False),
        ({}, False),
        ({"per": REQUESTS}, False),
    ],
    ids=str,
)
def test_a_measure_is_a_share_only_where_no_value_can_be_anything_else(measure: dict[str, Any], is_share: bool) -> None:
    assert Measure.model_validate({"direction": "decrease", **measure}).is_share("revenue") is is_share


def test_a_contract_on_record_is_read_although_a_rule_of_today_would_refuse_it() -> None:
    """A toggle armed before a rule was made must still be rolled back after it."""
    terms = contract_with().to_json()
    terms["experiment"]["full_weeks"] = 60
    with pytest.raises(ValidationError, match="full_weeks do not fit"):
        Contract.model_validate(terms)
    assert Contract.recorded(terms).experiment.full_weeks == 60
    with pytest.raises(ValidationError):
        Contract.recorded({**terms, "surprise": 1})
