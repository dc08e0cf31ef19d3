"""A unit gets the same arm from our router and from flagd itself, with its reason, and no request makes the router raise."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrain_assets.contract import RetrainError
from retrain_assets.routing import Reason, bucket_of, compile_rule, routing_key

from .requests import NAMES, attributes, cohort_shares, cohorts, expiries, salts, shares, stages, states, units

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
UNITS = [f"2013-07-01 UA {number} JFK" for number in range(4000)]


@settings(max_examples=600, deadline=None)
@given(units, cohorts, attributes, shares, cohort_shares, salts, stages, states, expiries)
@example("7", {"origin": {"in": [1.0]}}, {"origin": True}, 1.0, 1.0, "s", "5", "ramping", None)
@example("7", {"distance": {"at_least": 0}}, {"distance": "5"}, 1.0, 1.0, "s", "5", "ramping", None)
@example("7", {"distance": {"at_least": 0}}, {"distance": True}, 1.0, 1.0, "s", "5", "ramping", None)
@example("7", {"origin": {"not_in": ["JFK"]}}, {}, 1.0, 1.0, "s", "5", "ramping", None)
@example(
    "7",
    {"origin": {"in": ["JFK", True]}, "tier": {"not_in": [1.0]}},
    {"origin": "True", "tier": True},
    1,
    1,
    "s",
    "5",
    "held",
    None,
)
@example("7", {"origin": {"in": ["JFK", "LGA"], "not_in": ["JFK"]}}, {"origin": "JFK"}, 1.0, 1.0, "s", "5", "held", None)
@example("7", {"distance": {"at_least": 0, "not_in": [5.0]}}, {"distance": 5}, 1.0, 1.0, "s", "5", "held", None)
@example("7", {"segments": {"any_of": ["JF", "5"]}}, {"segments": "JFK"}, 1.0, 1.0, "s", "5", "held", None)
@example("7", {"segments": {"any_of": ["5"]}}, {"segments": "5"}, 1.0, 1.0, "s", "5", "held", None)
@example("7", {"segments": {"any_of": ["JFK"]}}, {"segments": "JFK"}, 1.0, 1.0, "s", "5", "ramping", None)
@example("7", {"segments": {"any_of": ["JFK"]}}, {"segments": [None, ["LGA"], 5, "JFK"]}, 1.0, 1.0, "s", "5", "ramping", None)
@example("7", {"segments": {"any_of": [""]}}, {"segments": 5}, 1.0, 1.0, "s", "5", "ramping", None)
@example("", {}, {}, 1.0, 1.0, "s", "5", "ramping", None)
@example(None, {}, {}, 1.0, 1.0, "s", "5", "ramping", None)
def test_the_router_gives_the_arm_of_flagd(
    rule_of, flagd_arm, unit, cohort, given_attributes, share, cohort_share, salt, stage, state, expiry
):
    rule = rule_of(cohort=cohort, share=share, cohort_share=cohort_share, salt=salt, stage=stage, state=state, expires_at=expiry)
    now = datetime.now(UTC)
    assert compile_rule(rule)(unit, given_attributes, now).arm == flagd_arm(rule, unit, given_attributes, now)


@pytest.mark.parametrize("listed", [[], [5], [5, 7], [[]]], ids=str)
def test_a_list_is_no_number_for_the_router_or_for_flagd(rule_of, flagd_arm, listed):
    for condition in ({"at_least": 0}, {"below": 9}, {"at_least": 5, "below": 6}):
        rule = rule_of(cohort={"distance": condition}, share=1.0, stage="50")
        asked = ("unit 1", {"distance": listed}, NOW)
        assert compile_rule(rule)(*asked).arm == flagd_arm(rule, *asked) == "champion"


@settings(max_examples=60, deadline=None)
@given(cohorts, shares.filter(bool), cohort_shares, salts, st.lists(attributes, min_size=1, max_size=10), st.integers(0, 10**6))
def test_a_contract_routes_many_units_as_flagd_does(rule_of, flagd_arm, cohort, share, cohort_share, salt, facts, first):
    rule = rule_of(cohort=cohort, share=share, cohort_share=cohort_share, salt=salt, stage="25")
    route = compile_rule(rule)
    asked = [(f"unit {first + number}", facts[number % len(facts)]) for number in range(200)]
    assert [route(*one, NOW).arm for one in asked] == [flagd_arm(rule, *one, NOW) for one in asked]


@pytest.mark.parametrize("microsecond", [0, 1, 500_000, 999_999])
def test_a_toggle_expires_in_the_second_in_which_it_expires_for_flagd(rule_of, flagd_arm, microsecond) -> None:
    rule = rule_of(share=1.0, stage="100", expires_at=NOW.replace(microsecond=microsecond))
    route = compile_rule(rule)
    seen = []
    for step in (-1_000_001, -1_000_000, -1, 0, 1, 499_999, 500_000, 999_999, 1_000_000):
        now = NOW + timedelta(microseconds=step)
        assert route("u", {}, now).arm == flagd_arm(rule, "u", {}, now)
        seen.append(route("u", {}, now).arm)
    assert seen == ["challenger"] * 3 + ["champion"] * 6


def test_units_of_any_script_get_the_arm_of_flagd(rule_of, flagd_arm) -> None:
    rule = rule_of(share=0.5, stage="50")
    route = compile_rule(rule)
    for unit in (f"{name} {number}" for name in ("Zoë", "飞机", "🚀", "Ж") for number in range(25)):
        assert route(unit, {}, NOW).arm == flagd_arm(rule, unit, {})


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.05])
def test_the_units_on_both_sides_of_the_share_get_the_arm_of_flagd(rule_of, flagd_arm, share) -> None:
    rule = rule_of(share=share)
    boundary = round(share * 10_000)
    for bucket, arm in ((boundary - 1, "challenger"), (boundary, "champion")):
        unit = next((unit for unit in map(str, range(200_000)) if bucket_of(rule.salt + unit, 10_000) == bucket), None)
        if bucket >= 0:
            assert unit is not None
            assert compile_rule(rule)(unit, {}, NOW).arm == flagd_arm(rule, unit, {}) == arm


def test_the_flagd_provider_in_file_mode_agrees_on_every_unit(rule_of, flagd_provider) -> None:
    from openfeature.evaluation_context import EvaluationContext

    cohort = {
        "origin": {"in": ["JFK", "LGA"]},
        "distance": {"at_least": 100},
        "segments": {"any_of": ["gold", "beta"]},
        "tier": {"not_in": ["staff"]},
    }
    rule = rule_of(share=0.25, cohort=cohort, cohort_share=0.5)
    client, route, arms = flagd_provider(rule), compile_rule(rule), set()
    for number, unit in enumerate([*UNITS[:600], "Zoë", "飞机"]):
        facts = {
            "origin": ("JFK", "LGA", "EWR")[number % 3],
            "distance": number,
            "segments": ([], ["gold"], ["silver", "beta"], ["golden"])[number % 4],
            "tier": ("staff", "a", "b", "c", "d")[number % 5],
        }
        flagd = client.get_string_details(rule.model, "code default", EvaluationContext(routing_key(unit), facts))
        ours = route(unit, facts, NOW)
        assert (ours.arm, "4" if ours.arm == "challenger" else "3") == (flagd.value, ours.version)
        arms.add((ours.arm, ours.reason))
    assert flagd.flag_metadata["challenger_version"] == "4"
    assert flagd.flag_metadata["cohort_share"] == 0.5
    assert arms == {("challenger", Reason.RAMP), ("champion", Reason.RAMP), ("champion", Reason.COHORT_EXCLUDED)}


@pytest.mark.parametrize(
    ("changes", "unit", "facts", "arm", "reason", "inside"),
    [
        ({"share": 1.0}, "u", {}, "challenger", Reason.RAMP, True),
        ({"share": 1.0, "state": "held"}, "u", {}, "challenger", Reason.RAMP, True),
        ({"share": 1.0, "stage": "shadow", "state": "shadow"}, "u", {}, "champion", Reason.SHADOW, True),
        ({"share": 1.0, "stage": None, "state": "armed"}, "u", {}, "champion", Reason.ARMED, False),
        ({"share": 1.0, "cohort": {"tier": {"in": ["gold"]}}}, "u", {"tier": "tin"}, "champion", Reason.COHORT_EXCLUDED, False),
        ({"share": 1.0}, None, {}, "champion", Reason.NO_UNIT, False),
        ({"share": 1.0, "expires_at": NOW}, "u", {}, "champion", Reason.EXPIRED, False),
        ({"share": 1.0, "expires_at": NOW + timedelta(seconds=1)}, "u", {}, "challenger", Reason.RAMP, True),
        ({"share": 1.0, "state": "rolled_back"}, "u", {}, "champion", Reason.ROLLED_BACK, False),
        ({"share": 1.0, "state": "promoted"}, "u", {}, "champion", Reason.PROMOTED, False),
        ({"toggle": None, "challenger": None, "state": "none"}, "u", {}, "champion", Reason.NO_TOGGLE, False),
        ({"champion": None}, "u", {}, "champion", Reason.NO_CHAMPION, False),
    ],
)
def test_each_reason_names_its_cause(rule_of, changes, unit, facts, arm, reason, inside) -> None:
    answer = compile_rule(rule_of(**changes))(unit, facts, NOW)
    assert (answer.arm, answer.reason) == (arm, reason)
    assert (answer.toggle, answer.revision > 0, answer.stage is not None) == (
        "flight_delay-2013-07-01" if inside else None,
        inside,
        inside,
    )
    assert answer.version == ("" if reason is Reason.NO_CHAMPION else "4" if arm == "challenger" else "3")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"share": 1.2}, "between 0 and 1"),
        ({"share": 0.00004}, "0.01 %"),
        ({"share": float("nan")}, "between 0 and 1"),
        ({"salt": "Zoë"}, "not ASCII"),
        ({"state": "rampng"}, "unknown"),
        ({"expires_at": datetime(2013, 1, 1)}, "time zone"),  # noqa: DTZ001 (the missing zone is the point)
        ({"cohort": {"geo.country": {"in": ["US"]}}}, "geo.country"),
        ({"cohort_share": 0.0}, "cohort_share"),
        ({"cohort_share": 0.00009}, "cohort_share"),
        ({"cohort_share": 1.01}, "cohort_share"),
        ({"cohort_share": float("nan")}, "cohort_share"),
    ],
)
def test_a_rule_that_flagd_would_read_differently_is_refused(rule_of, changes, says) -> None:
    with pytest.raises(RetrainError, match=says):
        rule_of(**changes)


odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.binary(),
    st.datetimes(),
    st.text(st.characters(categories=["Cs", "L"])),
    st.tuples(st.text()),
    st.sets(st.text()),
    st.dictionaries(st.text(), st.integers(), max_size=1),
    st.sampled_from([Decimal("sNaN"), np.float32(1), np.int64(5), np.bool_(True), np.array([1.0, 2.0]), np.str_("JFK"), 10**400]),
)


@settings(max_examples=500, deadline=None)
@given(odd_values, cohorts, st.one_of(st.dictionaries(st.sampled_from(NAMES), odd_values), st.none(), st.just("JFK")), shares)
def test_no_request_makes_the_router_raise(rule_of, unit, cohort, facts, share) -> None:
    answer = compile_rule(rule_of(cohort=cohort, share=share, cohort_share=0.5))(unit, facts, NOW)
    assert answer.arm in ("champion", "challenger")
    assert answer.reason in (Reason.RAMP, Reason.NO_UNIT, Reason.COHORT_EXCLUDED)


@pytest.mark.parametrize(
    "unit", [None, "", b"u", 1.0, True, ["u"], object()], ids=["none", "empty", "bytes", "float", "boolean", "list", "object"]
)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_what_is_neither_text_nor_integer_names_no_unit(rule_of, unit, share) -> None:
    assert compile_rule(rule_of(share=share))(unit, {}, NOW).reason is Reason.NO_UNIT


def test_an_integer_unit_has_the_arm_of_its_decimal_text(rule_of) -> None:
    route = compile_rule(rule_of(share=0.5, stage="50"))
    numbers = [*range(-50, 50), 2**63, 10**40, np.int64(7)]
    assert [route(number, {}, NOW) for number in numbers] == [route(str(int(number)), {}, NOW) for number in numbers]
    assert len({route(number, {}, NOW).arm for number in numbers}) == 2


@pytest.mark.parametrize(
    "unit", ["u\x00v", "u" * 1_000_000, "é" * 100_000, " ", "\n", "%", "cohort:u"], ids=lambda unit: ascii(unit[:8])
)
def test_odd_and_very_long_units_have_the_arm_of_flagd(rule_of, flagd_arm, unit) -> None:
    for salt in ("a:", "b:", "c:", "{}", "%s"):
        rule = rule_of(share=0.5, stage="50", salt=salt, cohort_share=0.7)
        assert compile_rule(rule)(unit, {}, NOW).arm == flagd_arm(rule, unit, {}, NOW)


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.4999, 0.5, 0.5001, 0.9999, 1.0])
def test_a_cohort_share_ends_at_the_bucket_at_which_it_ends_for_flagd(rule_of, flagd_arm, share) -> None:
    rule = rule_of(share=1.0, stage="100", cohort_share=share)
    route, boundary = compile_rule(rule), round(share * 10_000)
    found = {bucket_of(f"{rule.salt}cohort:{number}", 10_000): str(number) for number in range(200_000)}
    for bucket, reason in ((0, Reason.RAMP), (boundary - 1, Reason.RAMP), (boundary, Reason.COHORT_EXCLUDED)):
        if bucket < 10_000:
            answer = route(found[bucket], {}, NOW)
            assert answer.reason is reason
            assert answer.arm == flagd_arm(rule, found[bucket], {}, NOW)
    assert route("Zoë", {}, NOW).arm == flagd_arm(rule, "Zoë", {}, NOW)


def test_a_unit_outside_the_cohort_share_is_answered_without_the_toggle(rule_of) -> None:
    rule = rule_of(share=1.0, stage="100", cohort_share=0.5, cohort={"tier": {"in": ["gold"]}})
    answers = {compile_rule(rule)(unit, {"tier": "gold"}, NOW) for unit in UNITS}
    assert {(one.arm, one.version, one.toggle, one.revision, one.stage, one.reason) for one in answers} == {
        ("champion", "3", None, 0, None, Reason.COHORT_EXCLUDED),
        ("challenger", "4", "flight_delay-2013-07-01", 4, "100", Reason.RAMP),
    }


def test_attributes_that_hold_defaults_are_read_and_left_as_they_are(rule_of) -> None:
    facts: defaultdict[str, str] = defaultdict(lambda: "JFK")
    rule = rule_of(share=1.0, stage="100", cohort={"origin": {"in": ["JFK"]}, "tier": {"not_in": ["x"]}})
    assert compile_rule(rule)("u", facts, NOW).reason is Reason.COHORT_EXCLUDED
    assert facts == {}
