"""A unit gets the same arm from our router, from the batch and from flagd itself; a ramp only adds units."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrain_assets.contract import RetrainError, digest_of
from retrain_assets.routing import Reason, assign_frame, bucket_of, compile_rule, flag_document, routing_key

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
UNITS = [f"2013-07-01 UA {number} JFK" for number in range(4000)]

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["JFK", "LGA", "EWR", "", "5", "0", "nan", "true", "é"]),
    st.lists(st.just("JFK")),
)
allowed = st.lists(st.one_of(st.sampled_from(["JFK", "LGA", "5", "é"]), st.sampled_from([0.0, 1.0, 5.0, -2.5]), st.booleans()))
conditions = st.fixed_dictionaries(
    {},
    optional={"in": allowed, "not_in": allowed, "at_least": st.sampled_from([0, 2.5, 5]), "below": st.sampled_from([1, 5.5])},
).filter(bool)
cohorts = st.dictionaries(st.sampled_from(["origin", "distance", "tier"]), conditions)
attributes = st.dictionaries(st.sampled_from(["origin", "distance", "tier", "other"]), values)
shares = st.one_of(st.sampled_from([0.0, 0.0001, 0.05, 0.25, 0.5, 1.0]), st.integers(0, 10_000).map(lambda parts: parts / 10_000))
salts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
units = st.one_of(st.none(), st.text(), st.text(st.characters(max_codepoint=127), min_size=1), st.integers().map(str))
stages = st.sampled_from([None, "shadow", "5", "25", "50", "100"])
states = st.sampled_from(
    ["registered", "armed", "shadow", "ramping", "held", "awaiting_approval", "promoted", "rolled_back", "rejected", "retired"]
)
expiries = st.sampled_from([None, datetime(2001, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)])


@given(units, cohorts, attributes, shares, salts, stages, states, expiries)
@example("7", {"origin": {"in": [1.0]}}, {"origin": True}, 1.0, "s", "5", "ramping", None)
@example("7", {"distance": {"at_least": 0}}, {"distance": "5"}, 1.0, "s", "5", "ramping", None)
@example("7", {"origin": {"not_in": ["JFK"]}}, {}, 1.0, "s", "5", "ramping", None)
@example(
    "7",
    {"origin": {"in": ["JFK", True]}, "tier": {"not_in": [1.0]}},
    {"origin": "True", "tier": True},
    1.0,
    "s",
    "5",
    "held",
    None,
)
@example("", {}, {}, 1.0, "s", "5", "ramping", None)
@example(None, {}, {}, 1.0, "s", "5", "ramping", None)
def test_the_router_gives_the_arm_of_flagd(rule_of, flagd_arm, unit, cohort, given_attributes, share, salt, stage, state, expiry):
    rule = rule_of(cohort=cohort, share=share, salt=salt, stage=stage, state=state, expires_at=expiry)
    now = datetime.now(UTC)
    assert compile_rule(rule)(unit, given_attributes, now).arm == flagd_arm(rule, unit, given_attributes)


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


def test_a_unit_keeps_its_arm_from_release_to_release(rule_of) -> None:
    route = compile_rule(rule_of(share=0.05))
    challenged = [unit for unit in UNITS if route(unit, {}, NOW).arm == "challenger"]
    assert len(challenged) == 198
    assert digest_of(challenged) == "sha256:04b01a27fbc89ff770aaacca4a5230498258c7ae55ef2b5aba8a9895b8885c62"


def test_the_flagd_provider_in_file_mode_agrees_on_every_unit(rule_of, tmp_path) -> None:
    from openfeature import api
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType
    from openfeature.evaluation_context import EvaluationContext

    rule = rule_of(share=0.25, cohort={"origin": {"in": ["JFK", "LGA"]}, "distance": {"at_least": 500}})
    path = tmp_path / "flags.json"
    path.write_text(json.dumps(flag_document([rule], metadata={"ledger_sequence": 12})))
    api.set_provider_and_wait(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path)))
    try:
        client = api.get_client()
        route = compile_rule(rule)
        arms = set()
        for number, unit in enumerate([*UNITS[:600], "Zoë", "飞机"]):
            facts = {"origin": ("JFK", "LGA", "EWR")[number % 3], "distance": number}
            flagd = client.get_string_details(rule.model, "code default", EvaluationContext(routing_key(unit), facts))
            ours = route(unit, facts, NOW)
            assert (ours.arm, "4" if ours.arm == "challenger" else "3") == (flagd.value, ours.version)
            arms.add((ours.arm, ours.reason))
        assert flagd.flag_metadata["challenger_version"] == "4"
        assert arms == {("challenger", Reason.RAMP), ("champion", Reason.RAMP), ("champion", Reason.COHORT_EXCLUDED)}
    finally:
        api.shutdown()


@settings(deadline=None)  # the first batch of a process imports NumPy
@given(st.lists(st.tuples(units, attributes), min_size=1, max_size=20), cohorts, shares, salts, stages, states, expiries)
def test_a_batch_gives_what_each_single_call_gives(rule_of, rows, cohort, share, salt, stage, state, expiry):
    rule = rule_of(cohort=cohort, share=share, salt=salt, stage=stage, state=state, expires_at=expiry)
    origins = [str(facts.get("origin")) if "origin" in facts else None for _, facts in rows]
    distances = [facts["distance"] if isinstance(facts.get("distance"), float) else None for _, facts in rows]
    tiers = [facts["tier"] if isinstance(facts.get("tier"), bool) else None for _, facts in rows]
    frame = pl.DataFrame(
        {"unit": [_storable(unit) for unit, _ in rows], "origin": origins, "distance": distances, "tier": tiers},
        schema={"unit": pl.String, "origin": pl.String, "distance": pl.Float64, "tier": pl.Boolean},
    )
    assigned = assign_frame(rule, frame, "unit", NOW)
    route = compile_rule(rule)
    single = [route(row["unit"], row, NOW) for row in frame.iter_rows(named=True)]
    assert assigned["arm"].to_list() == [one.arm for one in single]
    assert assigned["reason"].to_list() == [one.reason for one in single]


@given(units.filter(bool), salts, shares, shares)
def test_a_larger_share_never_takes_a_unit_from_the_challenger(rule_of, unit, salt, one, other):
    small, large = sorted((one, other))
    before = compile_rule(rule_of(salt=salt, share=small, stage="5"))(unit, {}, NOW)
    after = compile_rule(rule_of(salt=salt, share=large, stage="25", revision=5))(unit, {}, NOW)
    assert after.arm == "challenger" or before.arm == "champion"


def test_every_stage_keeps_the_challengers_units_of_the_stage_before(rule_of) -> None:
    reached: set[str] = set()
    for share in (0.05, 0.25, 0.5, 1.0):
        route = compile_rule(rule_of(share=share, stage=f"{share * 100:g}"))
        now = {unit for unit in UNITS if route(unit, {}, NOW).arm == "challenger"}
        assert reached <= now
        assert abs(len(now) / len(UNITS) - share) < 0.03
        reached = now
    assert reached == set(UNITS)


def test_a_new_salt_divides_the_units_independently(rule_of) -> None:
    arms = [
        {unit for unit in UNITS if compile_rule(rule_of(share=0.5, stage="50", salt=salt))(unit, {}, NOW).arm == "challenger"}
        for salt in ("first:", "second:")
    ]
    both = len(arms[0] & arms[1]) / len(UNITS)
    assert abs(both - 0.25) < 0.03


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
    ],
)
def test_a_rule_that_flagd_would_read_differently_is_refused(rule_of, changes, says) -> None:
    with pytest.raises(RetrainError, match=says):
        rule_of(**changes)


def test_a_frame_without_the_columns_of_the_rule_is_refused(rule_of) -> None:
    rule = rule_of(cohort={"tier": {"in": ["gold"]}})
    with pytest.raises(RetrainError, match="column tier is missing"):
        assign_frame(rule, pl.DataFrame({"unit": ["a"]}), "unit", NOW)
    with pytest.raises(RetrainError, match="text or integers"):
        assign_frame(rule_of(), pl.DataFrame({"unit": [1.5]}), "unit", NOW)


def test_integer_units_count_as_their_decimal_text_and_each_row_may_have_its_own_time(rule_of) -> None:
    rule = rule_of(share=1.0, stage="100", expires_at=NOW)
    moments = pl.Series([NOW - timedelta(seconds=1), NOW]).dt.cast_time_unit("us")
    assigned = assign_frame(rule, pl.DataFrame({"unit": [17, 17]}), "unit", moments)
    assert assigned["arm"].to_list() == ["challenger", "champion"]
    assert assigned["reason"].to_list() == ["ramp", "expired"]


def _storable(unit: Any) -> Any:
    return None if unit is None else unit.encode("utf-8", "replace").decode()
