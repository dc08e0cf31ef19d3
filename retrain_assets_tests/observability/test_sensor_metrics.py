"""Counts of sensors go on over processes and are read whole."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from retrain_assets.observability.sensor_metrics import HELP, count_tick, sensor_metrics


def read(folder: Path) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(sensor_metrics(folder))
    return {(one.name, one.labels["sensor"]): one.value for family in families for one in family.samples}


def test_counters_go_on_and_gauges_are_the_last_ticks(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    count_tick(folder, "upkeep", seconds=0.5, looks=3, faults=1, requests=2, left=4, ended=100.0)
    count_tick(folder, "upkeep", seconds=0.25, looks=2, faults=0, requests=0, left=0, ended=160.0)
    count_tick(folder, "drift", seconds=1.0, looks=1, faults=0, requests=1, left=0, ended=170.0)
    found = read(folder)
    assert {name for name, _ in found} == set(HELP)
    assert [found[name, "upkeep"] for name in HELP] == [2, 0.75, 5, 1, 2, 0, 160]
    assert found["retrain_sensor_requests_total", "drift"] == 1
    assert [file.name for file in sorted(folder.iterdir())] == ["sensor_drift.prom", "sensor_upkeep.prom"]


def test_nothing_is_told_before_a_sensor_ticked(tmp_path: Path) -> None:
    assert sensor_metrics(tmp_path / "metrics") == ""
