"""What a unit may rely on: its arm changes only where the toggle says so, and toggles do not know of each other."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain_assets.contract import digest_of
from retrain_assets.routing import RoutingRule, VersionRef, assign_frame, compile_rule

from .requests import salts, shares, units

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
UNITS = [f"2013-07-01 UA {number} JFK" for number in range(4000)]
MANY = pl.DataFrame({"unit": [f"2013-07-01 UA {number} JFK" for number in range(100_000)]})
RAMP = (0.0001, 0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 1.0)


def challenged(rule: RoutingRule) -> pl.Series:
    return assign_frame(rule, MANY, "unit", NOW)["arm"] == "challenger"


def taking_part(rule: RoutingRule) -> pl.Series:
    return assign_frame(rule, MANY, "unit", NOW)["reason"] == "ramp"


def chance(one: pl.Series, other: pl.Series) -> float:
    """The p-value of two divisions of the same units having nothing to do with each other (chi-square)."""
    from scipy.stats import chi2_contingency

    table = [[(first & second).sum() for second in (other, ~other)] for first in (one, ~one)]
    return float(chi2_contingency(table, correction=False).pvalue)


def test_a_unit_keeps_its_arm_from_release_to_release(rule_of) -> None:
    route = compile_rule(rule_of(share=0.05))
    found = [unit for unit in UNITS if route(unit, {}, NOW).arm == "challenger"]
    assert len(found) == 198
    assert digest_of(found) == "sha256:04b01a27fbc89ff770aaacca4a5230498258c7ae55ef2b5aba8a9895b8885c62"


def test_a_unit_keeps_its_place_in_or_outside_a_cohort_share_from_release_to_release(rule_of) -> None:
    route = compile_rule(rule_of(share=0.5, stage="50", cohort_share=0.1))
    answers = [route(unit, {}, NOW) for unit in UNITS]
    found = [unit for unit, answer in zip(UNITS, answers, strict=True) if answer.reason == "ramp"]
    assert digest_of(found) == "sha256:8f1c98d4e6a08c3546e86368bbb00c16bcc67b6ca11012e335ea3291aa635a0d"


@given(units.filter(bool), salts, shares, shares)
def test_a_larger_share_never_takes_a_unit_from_the_challenger(rule_of, unit, salt, one, other):
    small, large = sorted((one, other))
    before = compile_rule(rule_of(salt=salt, share=small, stage="5"))(unit, {}, NOW)
    after = compile_rule(rule_of(salt=salt, share=large, stage="25", revision=5))(unit, {}, NOW)
    assert after.arm == "challenger" or before.arm == "champion"


@pytest.mark.parametrize("cohort_share", [1.0, 0.3])
def test_a_ramp_only_adds_units_and_each_stage_has_its_share(rule_of, cohort_share) -> None:
    reached = pl.repeat(False, MANY.height, eager=True)
    inside = taking_part(rule_of(cohort_share=cohort_share))
    for share in RAMP:
        rule = rule_of(share=share, stage=f"{share * 100:g}", cohort_share=cohort_share)
        now = challenged(rule)
        assert not (reached & ~now).any()
        assert (taking_part(rule) == inside).all()
        expected = share * inside.sum()
        assert abs(now.sum() - expected) <= 4 * (expected * (1 - share)) ** 0.5
        reached = now
    assert (reached == inside).all()


def test_a_larger_cohort_share_only_adds_units_to_the_experiment(rule_of) -> None:
    reached = pl.repeat(False, MANY.height, eager=True)
    for share in RAMP:
        now = taking_part(rule_of(cohort_share=share))
        assert not (reached & ~now).any()
        reached = now
    assert reached.all()


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "held"},
        {"state": "held", "revision": 5},
        {"state": "ramping", "revision": 6},
        {"state": "awaiting_approval", "revision": 7},
        {"toggle": "flight_delay-2013-07-01 again", "revision": 1},
        {"expires_at": datetime(2500, 1, 1, tzinfo=UTC)},
        {"challenger": VersionRef("9", "sha256:" + "c" * 64)},
    ],
    ids=["hold", "hold with revision", "resume", "wait for approval", "re-arm", "extend", "same salt, other version"],
)
def test_holding_resuming_and_arming_again_with_the_same_salt_keep_every_assignment(rule_of, changes) -> None:
    before = {"share": 0.25, "stage": "25", "cohort_share": 0.8}
    assert (challenged(rule_of(**before)) == challenged(rule_of(**before, **changes))).all()


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_a_new_challenger_draws_its_units_anew(rule_of, share) -> None:
    one, other = (challenged(rule_of(share=share, stage="x", salt=salt)) for salt in ("model-2013-07-01:", "model-2013-07-15:"))
    kept = (one == other).mean()
    by_chance = share**2 + (1 - share) ** 2
    assert abs(kept - by_chance) <= 4 * (by_chance * (1 - by_chance) / MANY.height) ** 0.5


def test_a_toggle_on_the_same_traffic_is_independent_of_another_and_the_test_would_notice(rule_of) -> None:
    first = challenged(rule_of(share=0.5, stage="50", salt="pricing-2013-07-01:"))
    for number in range(10):
        other = rule_of(model="churn", share=0.25, stage="25", salt=f"churn-{number}:")
        assert chance(first, challenged(other)) > 0.001
    same = rule_of(model="churn", share=0.25, stage="25", salt="pricing-2013-07-01:")
    assert chance(first, challenged(same)) < 1e-100


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5])
def test_who_takes_part_is_independent_of_the_arm_and_the_test_would_notice(rule_of, share) -> None:
    for salt in ("first:", "second:", "third:"):
        arms = challenged(rule_of(share=share, stage="x", salt=salt))
        inside = taking_part(rule_of(share=share, stage="x", salt=salt, cohort_share=0.3))
        assert chance(arms, inside) > 0.001
        assert chance(arms, challenged(rule_of(share=0.3, stage="x", salt=salt))) < 1e-100


@given(st.integers(0, 10**6), st.floats(0.0001, 1.0))
def test_a_cohort_share_moves_nobody_to_another_arm(rule_of, number, share) -> None:
    whole = compile_rule(rule_of(share=0.5, stage="50"))(f"u{number}", {}, NOW)
    part = compile_rule(rule_of(share=0.5, stage="50", cohort_share=share))(f"u{number}", {}, NOW)
    assert part.arm == whole.arm or part.reason == "cohort_excluded"
