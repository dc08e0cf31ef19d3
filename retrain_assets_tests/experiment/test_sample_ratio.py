"""The sequential sample-ratio test against reference vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from retrain_assets.experiment import log_e_value, p_value

Oracles = Callable[[str], list[dict[str, Any]]]


def test_e_and_p_values_equal_the_reference_vectors(oracles: Oracles) -> None:
    for case in oracles("srm_sequential"):
        running, first = 1.0, None
        for index, look in enumerate(case["cumulative_counts"]):
            log_e = log_e_value(look, case["expected_shares"], case["alpha0"])
            assert log_e == pytest.approx(case["log_e_value"][index], abs=1e-7), case["id"]
            if case["prior"] == "k_times_shares" and sum(case["alpha0"]) == 100:
                assert log_e_value(look, case["expected_shares"]) == pytest.approx(log_e, abs=1e-9), case["id"]
            instant = p_value(log_e)
            running = min(running, instant)
            if case["p_value"][index] > 1e-290:
                assert instant == pytest.approx(case["p_value_instant"][index], rel=1e-6), case["id"]
                assert running == pytest.approx(case["p_value"][index], rel=1e-6), case["id"]
            first = index if first is None and running <= 0.05 else first
        assert first == case["first_reject_005"], case["id"]


def test_a_unit_in_an_arm_that_should_have_none_is_proof() -> None:
    assert log_e_value((100, 1), (1.0, 0.0)) == math.inf
    assert log_e_value((100, 0), (1.0, 0.0)) == 0.0
    assert p_value(math.inf) == 0.0


@pytest.mark.parametrize(("counts", "shares"), [((1, -1), (0.5, 0.5)), ((1, 1), (0.5, 0.6)), ((1,), (0.5, 0.5))])
def test_impossible_counts_and_shares_are_refused(counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        log_e_value(counts, shares)
