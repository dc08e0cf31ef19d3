"""Effects in segments: the spread between them, how far each is moved towards the total, and who moves against it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from retrain_assets.experiment import ArmStatistics, MeasureResult, MeasureSpec, MeasureStatistics, judge
from retrain_assets.experiment.estimation.segments import (
    Effect,
    between_variance,
    effects_of,
    moves_against_total,
    shrunk_estimates,
    with_shrunk_estimates,
)
from retrain_assets_tests.experiment.builders import COST, arm, events, measure, plan_of, stratum


def test_the_between_segment_variance_is_that_of_dersimonian_and_laird() -> None:
    """Worked by hand: weights 4, 2, 1; mean 10/7; Q = 4 (3/7)^2 + 2 (4/7)^2 + (18/7)^2; tau^2 = (Q - 2) / (7 - 21/7)."""
    effects = [Effect(1.0, 0.25), Effect(2.0 / 1.0, 0.5), Effect(4.0, 1.0)]
    mean = (4 * 1 + 2 * 2 + 4) / 7
    q = 4 * (1 - mean) ** 2 + 2 * (2 - mean) ** 2 + (4 - mean) ** 2
    assert between_variance(effects) == pytest.approx((q - 2) / (7 - 21 / 7))
    assert between_variance(effects[:1]) == between_variance([]) == 0.0


def test_segments_that_differ_by_chance_only_all_get_the_total() -> None:
    shrunk = shrunk_estimates({"a": Effect(1.0, 1.0), "b": Effect(1.5, 0.5), "c": Effect(0.8, 2.0)})
    total = (1.0 + 1.5 / 0.5 + 0.8 / 2) / (1 + 2 + 0.5)
    assert list(shrunk.values()) == pytest.approx([total] * 3)


def test_a_small_segment_is_moved_further_than_a_large_one_and_none_beyond_the_total() -> None:
    effects = {"small": Effect(-3.0, 4.0), "large": Effect(3.0, 0.01), "other": Effect(1.0, 0.01)}
    shrunk = shrunk_estimates(effects)
    moved = {name: abs(shrunk[name] - one.estimate) for name, one in effects.items()}
    assert moved["small"] > 10 * moved["large"]
    assert -3.0 < shrunk["small"] < 2.0
    assert 1.0 < shrunk["other"] < shrunk["large"] < 3.0


def test_shrunk_estimates_are_nearer_to_the_truth() -> None:
    """Over many draws the mean squared error of the shrunk estimates is well below that of the segments' own."""
    draw = np.random.default_rng(8)
    own, shrunk = 0.0, 0.0
    for _ in range(300):
        truth = draw.normal(0, 0.5, 8)
        variances = draw.uniform(0.2, 2.0, 8)
        seen = truth + draw.normal(size=8) * np.sqrt(variances)
        found = shrunk_estimates({str(i): Effect(float(seen[i]), float(variances[i])) for i in range(8)})
        own += float(((seen - truth) ** 2).mean())
        shrunk += float(((np.array([found[str(i)] for i in range(8)]) - truth) ** 2).mean())
    assert shrunk < 0.5 * own


def segment(change: float, n: int = 4000) -> MeasureStatistics:
    return measure(stratum(arm(n, 10.0, 8.0), arm(n, 10.0 + change, 8.0)))


def results_of(statistics: dict[str, dict[str, MeasureStatistics]]) -> dict[str, tuple[MeasureResult, ...]]:
    plan = plan_of(COST)
    return {name: (judge(COST, one["cost"], plan),) for name, one in statistics.items()}


def test_segments_of_one_column_are_shrunk_towards_each_other_and_not_towards_another_column() -> None:
    statistics = {
        "origin=EWR": {"cost": segment(-2.0)},
        "origin=JFK": {"cost": segment(0.5)},
        "tier=gold": {"cost": segment(9.0)},
        "tier=none": {"cost": measure(stratum(arm(1, 10.0), arm(1, 10.0)))},
    }
    shrunk = with_shrunk_estimates(results_of(statistics), statistics)
    ewr, jfk = shrunk["origin=EWR"][0], shrunk["origin=JFK"][0]
    assert ewr.estimate is not None
    assert ewr.shrunk_estimate is not None
    assert jfk.shrunk_estimate is not None
    assert ewr.estimate < ewr.shrunk_estimate < -1.5
    assert 0.0 < jfk.shrunk_estimate < 0.5
    assert shrunk["tier=gold"][0].shrunk_estimate is None
    assert shrunk["tier=none"][0].shrunk_estimate is None


def test_a_segment_without_a_variance_of_its_own_is_not_taken_for_certain() -> None:
    """No error at all among 40 units: its own variance would be 0, and it would outweigh every other segment."""
    effects = effects_of(
        {
            "quiet": measure(stratum(events(40, 0), events(40, 0))),
            "busy": measure(stratum(events(4000, 400), events(4000, 480))),
        }
    )
    assert effects["quiet"].variance > 20 * effects["busy"].variance
    shrunk = shrunk_estimates(effects)
    assert shrunk["quiet"] == pytest.approx(0.02, abs=0.005)


def test_broken_and_empty_segments_have_no_effect_and_spoil_no_other() -> None:
    statistics = {
        "sound": segment(1.0),
        "broken": measure(stratum(arm(50, 1.0), ArmStatistics.of_mean(50, math.nan, 1.0))),
        "empty": measure(),
        "shadow": measure(stratum(arm(50, 1.0), arm(50, 1.0), stage="shadow")),
        "no denominator": MeasureStatistics(
            ("value", "per"), (stratum(ArmStatistics(50, (1.0, 0.0), (1.0, 0.0, 0.0)), ArmStatistics.empty(2)),)
        ),
        "zero denominator": MeasureStatistics(
            ("value", "per"),
            (stratum(ArmStatistics(50, (1.0, 0.0), (1.0, 0.0, 0.0)), ArmStatistics(50, (1.0, 0.0), (1.0, 0.0, 0.0))),),
        ),
    }
    assert set(effects_of(statistics)) == {"sound"}


@pytest.mark.parametrize(
    ("direction", "total", "shrunk", "warned"),
    [
        ("decrease", -1.0, 0.9, True),
        ("increase", 1.0, -0.9, True),
        ("increase", -1.0, 0.9, False),
        ("decrease", -1.0, 0.01, False),
        ("decrease", -1.0, -0.9, False),
        ("decrease", 1.0, 0.9, False),
    ],
    ids=["worse against better", "the other direction", "better against worse", "within chance", "with the total", "all worse"],
)
def test_a_high_value_segment_that_loses_while_the_total_wins_is_named(
    direction: Any, total: float, shrunk: float, *, warned: bool
) -> None:
    spec: MeasureSpec = replace(COST, direction=direction)
    whole = judge(spec, segment(total), plan_of(spec))
    part = replace(judge(spec, segment(shrunk), plan_of(spec)), shrunk_estimate=shrunk)
    segments = {"tier=gold": (part,), "tier=none": (part,)}
    sentences = list(moves_against_total([whole], segments, ("tier=gold", "tier=silver")))
    assert [("tier=gold" in one, "to the worse" in one) for one in sentences] == ([(True, True)] if warned else [])
    assert list(moves_against_total([whole], segments, ())) == []
