"""What the sensors do, as files that Prometheus' textfile collector reads: one a sensor, written whole after each tick."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from retrain_assets.observability.exposition import Family, Labels, exposed, labels, merged, samples_in

HELP: Mapping[str, tuple[str, str]] = {
    "retrain_sensor_ticks_total": ("counter", "Ticks of a sensor."),
    "retrain_sensor_tick_seconds_total": ("counter", "Time the ticks of a sensor took."),
    "retrain_sensor_looks_total": ("counter", "Models a sensor looked at; those that rest are not looked at."),
    "retrain_sensor_faults_total": ("counter", "Looks at a model that failed."),
    "retrain_sensor_requests_total": ("counter", "Runs a sensor asked for."),
    "retrain_sensor_left": ("gauge", "Models the last tick did not come to."),
    "retrain_sensor_last_tick_timestamp_seconds": ("gauge", "When the last tick ended."),
}


def count_tick(
    folder: Path, sensor: str, *, seconds: float, looks: int, faults: int, requests: int, left: int, ended: float
) -> None:
    """Count one tick of a sensor.

    Args:
        folder: of the metrics files.
        sensor: its kind, as ``upkeep``.
        seconds: how long it took.
        looks: models it looked at.
        faults: looks that failed.
        requests: runs it asked for.
        left: models it did not come to.
        ended: seconds since the epoch.

    Raises:
        OSError: when the file cannot be written.
    """
    file = folder / f"sensor_{sensor}.prom"
    before = samples_in(file.read_text(encoding="utf-8")) if file.is_file() else {}
    of: Labels = labels(sensor=sensor)
    new = dict(zip(HELP, (1, seconds, looks, faults, requests, left, ended), strict=True))
    families = [
        Family(name, "counter", text, {of: before.get((name, of), 0.0) + new[name]})
        if kind == "counter"
        else Family(name, "gauge", text, {of: new[name]})
        for name, (kind, text) in HELP.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.{uuid4().hex}")
    scratch.write_text(exposed(families), encoding="utf-8")
    scratch.replace(file)


def sensor_metrics(folder: Path) -> str:
    """What all sensors wrote, as one text; empty where none did."""
    return merged([file.read_text(encoding="utf-8") for file in sorted(folder.glob("sensor_*.prom"))])
