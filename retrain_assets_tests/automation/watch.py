"""The upkeep sensor's ticks on a real home and ledger, as Dagster's daemon makes them: with the cursor of the last one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from retrain_assets.assets import Platform, Road
from retrain_assets.automation.upkeep_sensor import upkeep_sensor
from retrain_assets.contract import Contract
from retrain_assets.home import Clock
from retrain_assets.release import ReleaseController
from retrain_assets_tests.release.world import CONTRACT, World

TOGGLE = "flight_delay-2013-07-01"
RETRAIN = "2013-07-01"
_WORLDS: dict[str, World] = {}


class WorldPlatform(Platform):
    """The platform of a test's world: its clock, and its registry instead of MLflow."""

    @property
    def controller(self) -> ReleaseController:
        return _WORLDS[self.root].controller

    @property
    def clock(self) -> Clock:
        return _WORLDS[self.root].clock


@dataclass
class Watch:
    """A world and the sensor that watches one of its models."""

    world: World
    instance: dg.DagsterInstance
    contract: Contract
    cursor: str | None = None
    said: str = ""
    events: list[Any] = field(default_factory=list)

    def tick(self, *, stored: bool = True) -> dg.SensorResult:
        """One tick; a process that dies before Dagster has ``stored`` the cursor makes it with the old one again."""
        definition = upkeep_sensor([Road(self.contract)])
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"platform": WorldPlatform(root=str(self.world.root))}
        )
        result = definition(context)
        assert isinstance(result, dg.SensorResult)
        assert not result.run_requests
        if stored:
            self.cursor = result.cursor
        self.said = str(result.skip_reason.skip_message) if result.skip_reason else ""
        self.events = list(result.asset_events)
        for event in self.events:
            self.instance.report_runless_asset_event(event)
        return result

    def pass_days(self, days: float) -> None:
        """Tick at every quarter of a day."""
        for _ in range(round(days * 4)):
            self.world.clock.forward(hours=6)
            self.tick()


def contract_telling(
    *notify: str, model: str = "flight_delay", by_role: dict[str, list[str]] | None = None, **sections: dict[str, Any]
) -> Contract:
    """The world's contract with people to tell, everything or each role its own."""
    values = {**CONTRACT, "model": model, "notify": by_role or list(notify)}
    for name, changes in sections.items():
        values[name] = {**values[name], **changes}
    return Contract.model_validate(values)


@contextmanager
def watching(root: Path, contract: Contract) -> Iterator[Watch]:
    """A watched world at 0 o'clock on 2013-07-01."""
    world = World(root, contract=contract)
    _WORLDS[str(root)] = world
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(world, instance, contract)
    del _WORLDS[str(root)]
