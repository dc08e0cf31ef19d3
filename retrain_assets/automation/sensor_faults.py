"""Models for which a sensor failed: noted in the home, so that the upkeep sensor tells their people, until a look succeeds."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from retrain_assets.home import Home


@dataclass(frozen=True, slots=True)
class SensorFault:
    """A sensor that fails for a model.

    Args:
        sensor: its kind.
        model: the model.
        since: since when.
        line: why, the first time.
    """

    sensor: str
    model: str
    since: datetime
    line: str


class SensorFaults:
    """The faults of one kind of sensor, or of all.

    Args:
        home: the home.
        sensor: the kind; empty: all kinds, to be read only.
    """

    def __init__(self, home: Home, sensor: str = "") -> None:
        self._root, self._sensor = home.root / "cache" / "sensor_faults", sensor

    def note(self, faults: Mapping[str, str], well: Container[str], now: datetime) -> None:
        """Note the models a tick failed for, and that others are well again."""
        known = {fault.model for fault in self.standing()}
        for model in known:
            if model in well:
                self._place(model).unlink(missing_ok=True)
        for model, line in faults.items():
            if model not in known:
                self._root.mkdir(parents=True, exist_ok=True)
                scratch = self._place(model).with_suffix(".new")
                scratch.write_text(json.dumps([self._sensor, model, now.isoformat(), line]))
                scratch.replace(self._place(model))

    def standing(self) -> list[SensorFault]:
        """What is noted, by sensor and model."""
        found = []
        for place in sorted(self._root.glob(f"{self._sensor or '*'}-*.json")):
            try:
                sensor, model, since, line = json.loads(place.read_text())
            except FileNotFoundError:  # the model is well again since the folder was listed
                continue
            except ValueError:  # loss of power left it half written; a fault that stands is noted again
                place.unlink(missing_ok=True)
                continue
            found.append(SensorFault(sensor, model, datetime.fromisoformat(since), line))
        return found

    def _place(self, model: str) -> Path:
        return self._root / f"{self._sensor}-{model}.json"
