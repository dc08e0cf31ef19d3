"""The benchmark of the canary on Spark, small: it measures what it says, and cleans up after itself."""

from __future__ import annotations

from pathlib import Path

from benchmarks.spark_canary import measured_apart

ROWS = 200_000


def test_two_hundred_thousand_exposures_are_counted_in_a_process_of_their_own(java: None, tmp_path: Path) -> None:
    found = measured_apart(ROWS, tmp_path)
    assert (found["exposures"], found["outcomes"], found["rows"]) == (ROWS, ROWS, ROWS)
    assert found["parts"] == 1
    assert 0 < found["most_collected_bytes"] < 100_000
    assert 20 < found["shuffled_bytes"] / ROWS < 120
    assert found["peak_bytes"] > 200_000_000
    plan = found["plan"]
    assert plan.count("Exchange") == 1
    assert plan.count("MapInArrow") == 2
    assert "bundle" not in plan
