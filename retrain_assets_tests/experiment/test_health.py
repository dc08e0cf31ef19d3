"""Is the experiment sound: the split, outcomes that arrive, records that make sense; what is odd is told from what is broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from retrain_assets.experiment import ArmCounts, CanaryData, HealthCheck, StageCounts, health_checks
from retrain_assets.experiment.health.split import SAMPLE_RATIO_ALPHA, sample_ratios
from retrain_assets_tests.experiment.builders import ARMED, counts, plan_of, winning
from retrain_assets_tests.experiment.stories import DAY

PLAN = plan_of()


def checks(data: CanaryData, before: tuple[HealthCheck, ...] = ()) -> dict[str, HealthCheck]:
    found = health_checks(data, PLAN, stage_started_at=ARMED, armed_at=ARMED, now=ARMED + 5 * DAY, before=before)
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


def staged(*stages: StageCounts, **more: Any) -> CanaryData:
    return CanaryData(stages=stages, measures={}, **more)


class TestTheSplit:
    def test_a_stage_with_a_wrong_split_is_found_among_sound_ones(self) -> None:
        found = checks(staged(counts(19_000, 1_000, revision=3, stage="5", share=0.05), counts(20_000, 19_000)))
        assert found["sample_ratio_5_r3"].ok
        assert not found["sample_ratio_50_r4"].ok
        assert not found["sample_ratio"].ok

    def test_an_alarm_stays_however_many_sound_units_follow(self) -> None:
        """At 1,500 units the split was 900 : 600; at 100,000 it is sound again, and the first days remain what they were."""
        early = checks(staged(counts(900, 600)))
        assert not early["sample_ratio"].ok
        late = staged(counts(50_100, 49_900))
        assert checks(late)["sample_ratio"].ok
        remembered = checks(late, tuple(early.values()))
        assert not remembered["sample_ratio"].ok
        assert not remembered["sample_ratio_50_r4"].ok
        assert "an alarm stays" in remembered["sample_ratio"].message
        again = checks(late, tuple(remembered.values()))
        assert again["sample_ratio"].observed == early["sample_ratio"].observed

    def test_an_alarm_outlasts_looks_whose_records_cannot_be_read(self) -> None:
        early = checks(staged(counts(900, 600)))
        unread = checks(CanaryData(stages=(), measures={}, problem="a file is truncated"), tuple(early.values()))
        assert not unread["sample_ratio"].ok
        assert not checks(staged(counts(50_100, 49_900)), tuple(unread.values()))["sample_ratio"].ok

    def test_a_segment_that_is_split_wrongly_is_named_although_the_total_is_sound(self) -> None:
        segments = {"device=ios": (counts(5_000, 4_000),), "device=web": (counts(5_000, 6_000),)}
        found = checks(staged(counts(10_000, 10_000), segment_stages=segments))
        assert found["sample_ratio"].ok
        assert not found["sample_ratio_segments"].ok
        assert "device=" in found["sample_ratio_segments"].message

    def test_each_of_many_segments_gets_its_part_of_the_level(self) -> None:
        odd = {"s0": (counts(2_700, 2_400),)}
        alone = checks(staged(counts(10_000, 10_000), segment_stages=odd))["sample_ratio_segments"]
        sound = {f"s{k}": (counts(2_500, 2_500),) for k in range(1, 200)}
        among = checks(staged(counts(10_000, 10_000), segment_stages={**odd, **sound}))["sample_ratio_segments"]
        assert among.observed == pytest.approx(min(1.0, 200 * alone.observed))

    def test_shadow_has_no_split(self) -> None:
        found = checks(staged(counts(500, 500, stage="shadow", share=0.0)))
        assert found["sample_ratio"].observed is None
        assert found["sample_ratio"].ok

    def test_an_arm_that_should_get_nobody_and_does_is_found(self) -> None:
        assert not checks(staged(counts(500, 500, share=0.0)))["sample_ratio"].ok

    def test_a_sound_split_watched_in_stages_and_segments_raises_an_alarm_no_more_often_than_stated(self) -> None:
        """Returning units: the same 2,000 in every stage, their arm by the same hash, forty looks; 1,500 canaries."""
        generator = np.random.default_rng(7)
        alarms = 0
        for _ in range(1500):
            bucket, segment = generator.random(2000), generator.integers(0, 4, 2000)
            before: tuple[HealthCheck, ...] = ()
            stages: list[StageCounts] = []
            for revision, share in ((3, 0.05), (4, 0.25), (5, 0.5)):
                for seen in (500, 1000, 2000):
                    here = _split(bucket[:seen] < share, revision, share)
                    now = [*stages, here]
                    those = {f"s{k}": [_split(bucket[:seen][segment[:seen] == k] < share, revision, share)] for k in range(4)}
                    before = tuple(sample_ratios(now, those, before))
                stages = now
            alarms += any(not check.ok for check in before)
        assert alarms / 1500 <= 2 * SAMPLE_RATIO_ALPHA


def _split(challenger: np.ndarray[Any, Any], revision: int, share: float) -> StageCounts:
    number = int(challenger.sum())
    return counts(len(challenger) - number, number, revision=revision, stage=f"{share * 100:g}", share=share)


class TestOutcomes:
    def test_too_many_units_without_an_outcome_are_too_many_in_either_arm(self) -> None:
        assert checks(staged(counts(5_000, 5_000, with_outcome=0.81)))["missing_outcomes"].ok
        found = checks(staged(replace(counts(5_000, 5_000), champion=ArmCounts(5_000, 5_000, 3_900)), unknown_outcomes=1_100))
        assert not found["missing_outcomes"].ok
        assert "champion" in found["missing_outcomes"].message
        assert "1100 outcome rows name a request that was not exposed" in found["missing_outcomes"].message

    def test_outcomes_that_stop_in_the_present_stage_are_not_hidden_by_the_stages_before(self) -> None:
        good = counts(100_000, 5_000, revision=3, stage="5", share=0.05)
        stopped = counts(5_000, 5_000, with_outcome=0.5)
        assert checks(staged(good))["missing_outcomes"].ok
        found = checks(staged(good, stopped))["missing_outcomes"]
        assert not found.ok
        assert "present stage" in found.message

    def test_outcomes_missing_in_one_arm_bias_the_comparison(self) -> None:
        lost = replace(counts(20_000, 20_000), challenger=ArmCounts(20_000, 20_000, 19_000))
        found = checks(staged(lost))
        assert found["missing_outcomes"].ok
        assert not found["missing_outcomes_alike"].ok
        assert "biased" in found["missing_outcomes_alike"].message


def test_units_that_never_have_an_outcome_and_come_back_in_every_stage_raise_no_alarm() -> None:
    """Counted anew in eight stages they seem to be eight times as many: taken so, a tenth of the sound canaries alarm."""
    draw, alarms, shares = np.random.default_rng(5), 0, (0.05, 0.25, *[0.5] * 6)
    for _ in range(150):
        bucket, missing = draw.random(2_000), draw.random(2_000) < 0.1
        stages: tuple[StageCounts, ...] = ()
        for revision, share in enumerate(shares, start=2):
            arms = [(int(arm.sum()), int((arm & ~missing).sum())) for arm in (bucket >= share, bucket < share)]
            champion, challenger = (ArmCounts(n, n, complete) for n, complete in arms)
            stages += (StageCounts(revision, "50", share, champion, challenger, ARMED),)
        alarms += any(not checks(staged(*stages[: k + 1]))["missing_outcomes_alike"].ok for k in range(len(stages)))
    assert alarms <= 2


ODD = {
    "outcomes_before_exposure": ("outcomes_before_exposure", 400, 401),
    "late_outcomes": ("late_outcomes", 10_000, 10_001),
    "duplicate_exposures": ("duplicate_exposures", 2_000, 2_001),
    "clock_skew": ("future_rows", 0, 1),
    "unknown_revisions": ("unknown_revisions", 0, 1),
    "cross_arm_units": ("cross_arm_units", 40, 41),
}
"""Name of the check, field of the data, the most of 40,000 rows that are odd and the least that are broken."""


@pytest.mark.parametrize("name", ODD)
def test_a_few_odd_records_are_reported_and_many_are_broken(name: str) -> None:
    field, odd, broken = ODD[name]
    few, many = (checks(replace(winning(), **{field: number}))[name] for number in (odd, broken))
    assert few.ok
    assert not many.ok
    assert str(broken) in many.message


@pytest.mark.parametrize("name", ["outcomes_before_exposure", "late_outcomes", "duplicate_exposures"])
def test_a_handful_is_no_share(name: str) -> None:
    tiny = staged(counts(5, 5))
    assert checks(replace(tiny, **{name: 10}))[name].ok
    assert not checks(replace(tiny, **{name: 11}))[name].ok


def test_shares_are_of_the_rows_read_where_a_unit_has_many() -> None:
    found = replace(winning(), duplicate_exposures=10_000)
    assert not checks(found)["duplicate_exposures"].ok
    assert checks(replace(found, exposures=400_000))["duplicate_exposures"].ok


def test_corrections_are_reported_and_never_wrong() -> None:
    found = checks(replace(winning(), duplicate_outcomes=40_000, unknown_outcomes=40_000))
    assert found["duplicate_outcomes"].observed == 40_000
    assert all(check.ok for check in found.values())


WEIRD = {
    "negative": ArmCounts(-1, -1, -1),
    "more matured than exposed": ArmCounts(10, 11, 5),
    "more outcomes than matured": ArmCounts(10, 9, 10),
    "infinite": ArmCounts(float("inf"), 5, 5),  # type: ignore[arg-type]
    "not a number": ArmCounts(float("nan"), 5, 5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", WEIRD)
@pytest.mark.parametrize("where", ["stage", "segment"])
def test_counts_that_cannot_be_are_named_and_nothing_else_is_made_of_them(name: str, where: str) -> None:
    odd = (replace(counts(9, 9), challenger=WEIRD[name]),)
    data = staged(*odd) if where == "stage" else staged(counts(9, 9), segment_stages={"origin=JFK": odd})
    found = checks(data)
    assert not found["counts"].ok
    assert ("origin=JFK" in found["counts"].message) == (where == "segment")
    assert "sample_ratio" not in found


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_cannot_be_is_named(share: float) -> None:
    assert not checks(staged(replace(counts(9, 9), challenger_share=share)))["counts"].ok


def test_a_negative_number_of_odd_rows_is_a_fault_of_counting() -> None:
    assert not checks(replace(winning(), late_outcomes=-3))["late_outcomes"].ok
    assert not checks(replace(winning(), future_rows=-3))["clock_skew"].ok
    assert not checks(replace(winning(10), cross_arm_units=-20))["cross_arm_units"].ok
