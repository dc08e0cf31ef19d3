"""Windows without change are called drifted at the stated rate at most, small or with many columns; shifts are seen."""

from __future__ import annotations

import math

import pytest

from retrain_assets_tests.drift.simulation import detection_shares, null_shares

RATE = 0.01


@pytest.mark.parametrize(
    ("columns", "rows", "windows"), [(20, 50, 150), (20, 200, 150), (20, 1000, 100), (20, 10_000, 20), (200, 200, 15)]
)
def test_windows_without_change_do_not_alarm(columns, rows, windows) -> None:
    found = null_shares(columns=columns, rows=rows, windows=windows, seed=columns + rows)
    most = RATE + 3 * math.sqrt(RATE / windows)
    assert found.drifted <= most
    assert found.alarmed <= found.drifted
    if rows <= 200:
        assert found.plain > 0.95


def test_a_planted_shift_is_seen_the_sooner_the_larger_and_the_more_rows() -> None:
    settings = {"columns": 20, "windows": 20, "seed": 4}
    large, medium, small = (detection_shares(shift=shift, rows=1000, **settings) for shift in (1.0, 0.5, 0.1))
    assert large == (1.0, 1.0)
    assert medium[0] == 1.0
    assert medium[1] > 0.9
    assert small[1] == 0
    assert detection_shares(shift=0.1, rows=10_000, **settings)[0] > 0.9
    assert detection_shares(shift=1.0, rows=100, **settings)[0] > 0.8
