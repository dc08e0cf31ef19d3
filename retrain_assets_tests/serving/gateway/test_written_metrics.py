"""The gateway tells what sensors and ledger wrote, beside its own metrics."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from retrain_assets.observability.sensor_metrics import count_tick
from retrain_assets.serving.gateway.written_metrics import WrittenMetrics


def test_what_sensors_wrote_is_told_as_they_wrote_it(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    registry.register(WrittenMetrics(tmp_path / "metrics"))
    assert generate_latest(registry) == b""
    for sensor in ("drift", "upkeep"):
        count_tick(tmp_path / "metrics", sensor, seconds=0.5, looks=3, faults=0, requests=1, left=0, ended=100.0)
    told = generate_latest(registry).decode()
    assert 'retrain_sensor_looks_total{sensor="drift"} 3.0\n' in told
    assert told.count("# TYPE retrain_sensor_looks_total counter") == 1
