"""Windows without change are called drifted at the stated rate at most, small or with many columns; shifts are seen."""

from __future__ import annotations

import math

import pytest

from benchmarks.drift_simulation import Shift, detection, null_shares

RATE = 0.01


@pytest.mark.parametrize(
    ("columns", "rows", "references", "windows"),
    [(20, 50, 15, 10), (20, 200, 15, 10), (20, 1000, 10, 10), (20, 10_000, 7, 3), (200, 200, 3, 5)],
)
def test_windows_without_change_do_not_alarm(columns, rows, references, windows) -> None:
    found = null_shares(columns=columns, rows=rows, references=references, windows=windows, seed=columns + rows)
    most = RATE + 3 * math.sqrt(RATE / found.windows)
    assert found.drifted <= most
    assert found.above <= found.drifted
    assert found.alarmed <= found.above
    if rows <= 200:
        assert found.plain > 0.95


def test_a_planted_shift_is_seen_the_sooner_the_larger_and_the_more_rows() -> None:
    settings = {"columns": 20, "sequences": 4, "windows": 4, "seed": 4}
    large, medium, small = (detection(shift=Shift(mean=mean), rows=1000, **settings) for mean in (1.0, 0.5, 0.1))
    assert (large.drifted, large.above, large.delays) == (1.0, 1.0, (2, 2, 2, 2))
    assert medium.drifted == 1.0
    assert medium.above > 0.9
    assert small.above == 0
    assert small.delays == (None,) * 4
    assert detection(shift=Shift(mean=0.1), rows=10_000, **settings).drifted > 0.9
    assert detection(shift=Shift(mean=1.0), rows=100, **settings).drifted > 0.8


@pytest.mark.parametrize("shift", [Shift(missing=0.1), Shift(vanished=0)])
def test_missing_values_and_a_vanished_level_raise_an_alarm_with_the_second_window(shift) -> None:
    found = detection(shift=shift, columns=20, rows=1000, sequences=3, windows=4, seed=1)
    assert (found.drifted, found.above, found.delays) == (1.0, 1.0, (2, 2, 2))
