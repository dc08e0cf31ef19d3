"""When a guardrail counts as near its limit: a share of its margin is used, and not by chance alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from retrain_assets.automation.guardrails import Nearness, guarded, nearest
from retrain_assets.experiment import MeasureState
from retrain_assets_tests.reports.sample_looks import result, rich_look

INCONCLUSIVE, WORSE = MeasureState.INCONCLUSIVE, MeasureState.WORSE


def nearness(name: str, change: float | None, half: float, state: MeasureState = INCONCLUSIVE, **more: Any) -> Nearness:
    champion = None if change is None else 0.1
    look = rich_look(results=(result(name, state, champion, change, half, **more),), segments={}, judged_segments=())
    (found,) = guarded(look)
    return found.nearness


@pytest.mark.parametrize(
    ("change", "half", "expected"),
    [
        (0.024, 0.001, Nearness.CLEAR),
        (0.026, 0.001, Nearness.NEAR),
        (0.026, 0.051, Nearness.NEAR),
        (0.026, 0.053, Nearness.CLEAR),
        (0.049, 0.02, Nearness.NEAR),
        (0.051, 0.02, Nearness.PAST),
        (0.5, 1.2, Nearness.CLEAR),
        (-0.2, 0.01, Nearness.CLEAR),
        (0.0, 0.01, Nearness.CLEAR),
        (None, 0.01, Nearness.CLEAR),
    ],
)
def test_half_the_margin_and_half_its_own_uncertainty_make_it_near(change: float | None, half: float, expected: Nearness) -> None:
    """missed_late_rate may rise by 0.05."""
    assert nearness("missed_late_rate", change, half) is expected


@pytest.mark.parametrize("sign", [1, -1])
def test_harm_is_what_the_direction_says(sign: int) -> None:
    direction = "decrease" if sign > 0 else "increase"
    assert nearness("missed_late_rate", sign * 0.04, 0.01, spec={"direction": direction}) is Nearness.NEAR
    assert nearness("missed_late_rate", -sign * 0.04, 0.01, spec={"direction": direction}) is Nearness.CLEAR


def test_a_relative_margin_is_used_by_the_relative_change() -> None:
    """latency_p95 may rise by 20 % of 0.1."""
    assert nearness("latency_p95", 0.012, 0.002) is Nearness.NEAR
    assert nearness("latency_p95", 0.009, 0.002) is Nearness.CLEAR


def test_what_is_shown_worse_is_shown_whatever_the_numbers_and_of_success_measures_only_that_counts() -> None:
    assert nearness("missed_late_rate", 0.2, 0.05, WORSE) is Nearness.SHOWN
    assert nearness("cost_per_flight", 0.09, 0.01) is Nearness.CLEAR
    assert nearness("cost_per_flight", 0.09, 0.01, WORSE) is Nearness.SHOWN


def test_a_judged_segment_is_held_to_its_own_margin_and_another_one_is_not() -> None:
    part = result("missed_late_rate", INCONCLUSIVE, 0.1, 0.06, 0.01)
    part = replace(part, spec=part.spec.in_segment())
    look = rich_look(results=(), segments={"origin=JFK": (part,), "origin=LGA": (part,)}, judged_segments=("origin=JFK",))
    (name,) = nearest(look)
    assert name == "missed_late_rate in origin=JFK"
    assert nearest(look)[name].used == pytest.approx(0.06 / 0.08)
