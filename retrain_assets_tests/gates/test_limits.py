"""An observed number and a limit: only a finite number on the right side passes."""

from __future__ import annotations

import pytest

from retrain_assets.contract import Gate, Outcome
from retrain_assets.gates.limits import at_least, at_most, counted, listed, number, within


@pytest.mark.parametrize(
    ("observed", "outcome"),
    [
        (0.2, Outcome.PASS),
        (0.1, Outcome.PASS),
        (0.2000001, Outcome.FAIL),
        (None, Outcome.NO_DATA),
        (float("nan"), Outcome.ERROR),
        (float("-inf"), Outcome.ERROR),
    ],
)
def test_only_a_finite_number_at_or_below_an_upper_limit_passes(observed: float | None, outcome: Outcome) -> None:
    assert at_most(Gate.DATA, "rule", observed, 0.2, what="share").outcome is outcome


@pytest.mark.parametrize(
    ("observed", "outcome"), [(5, Outcome.PASS), (4.9, Outcome.FAIL), (None, Outcome.NO_DATA), (float("inf"), Outcome.ERROR)]
)
def test_only_a_finite_number_at_or_above_a_lower_limit_passes(observed: float | None, outcome: Outcome) -> None:
    assert at_least(Gate.DATA, "rule", observed, 5, what="rows").outcome is outcome


def test_both_limits_hold_together_and_the_message_has_value_and_threshold() -> None:
    found = within(Gate.OFFLINE, "rule", 0.9, lower=0.2, upper=0.8, what="score")
    assert (found.outcome, found.threshold) == (Outcome.FAIL, "0.2 to 0.8")
    assert found.message == "score is 0.9; required is at least 0.2 and at most 0.8"


def test_numbers_names_and_counts_read_well() -> None:
    assert [number(value) for value in (None, 3.0, 12345.0, 0.123456)] == ["undefined", "3", "12,345", "0.1235"]
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert [counted(count, "row") for count in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
