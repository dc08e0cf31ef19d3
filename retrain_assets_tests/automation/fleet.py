"""Several models in one home and one instance, and the ticks of the sensors that serve all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from retrain_assets.assets import Road
from retrain_assets.contract import Contract
from retrain_assets.ledger import EventDraft
from retrain_assets.serving import ExposureLog
from retrain_assets_tests.automation.watch import WorldPlatform, contract_telling, watching
from retrain_assets_tests.release.world import CONTRACT, MODEL, World

Make = Callable[..., dg.SensorDefinition]


@dataclass
class Fleet:
    """A world whose one model's history some models share, and the sensors over all of them."""

    world: World
    instance: dg.DagsterInstance
    contracts: Sequence[Contract]
    cursors: dict[str, str | None] = field(default_factory=dict)

    @property
    def roads(self) -> list[Road]:
        return [Road(contract) for contract in self.contracts]

    def share_history(self) -> None:
        """What happened to the first model happened to all."""
        known = self.world.ledger.events(model=MODEL)
        for contract in self.contracts:
            if contract.model != MODEL:
                self.world.ledger.append_all([_as(contract.model, event) for event in known])
                versions = self.world.registry.versions.items()
                copied = {(contract.model, version): path for (model, version), path in versions if model == MODEL}
                self.world.registry.versions |= copied
        self.world.controller.reconcile()

    def tick(self, make: Make, *, remembering: bool = True) -> dg.SensorResult:
        """One tick of a kind of sensor, as the daemon makes it: with the cursor of the last one; or with none."""
        sensor = make(self.roads)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor.name) if remembering else None,
            resources={"platform": WorldPlatform(root=str(self.world.root))},
        )
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        if remembering:
            self.cursors[sensor.name] = result.cursor
        return result

    def expose(self, model: str) -> None:
        """One exposure of every hour of the last three days, in the model's active toggle."""
        toggle, now = self.world.controller.state(model).active_toggle, self.world.clock.now()
        assert toggle is not None
        moments = pl.datetime_range(now - timedelta(days=3), now, "1h", time_unit="us", time_zone="UTC", eager=True)
        count = len(moments)
        rows = pl.DataFrame(
            {
                "request_id": [f"{now:%d}-{number}" for number in range(count)],
                "model": model,
                "unit_id": [f"u{number}" for number in range(count)],
                "toggle": toggle.name,
                "revision": toggle.stage_revision,
                "stage": toggle.stage,
                "arm": "champion",
                "version": "1",
                "bundle": "sha256:1",
                "exposed_at": moments,
                "latency_ms": 1.0,
                "error": False,
                "score": 0.5,
                "shadow_score": None,
            },
            schema_overrides={"revision": pl.Int64, "shadow_score": pl.Float64},
        )
        ExposureLog(self.world.home).append_exposures(model, rows, f"{now:%Y-%m-%dT%H}")


@contextmanager
def fleet(root: Path, count: int, *notify: str, **sections: dict[str, Any]) -> Iterator[Fleet]:
    """So many models; the first is the world's."""
    first = contract_telling(*notify, **sections)
    others = [contract_telling(*notify, model=f"model_{number:03d}", **sections) for number in range(1, count)]
    with watching(root, first) as watch:
        assert first.model == CONTRACT["model"]
        yield Fleet(watch.world, watch.instance, [first, *others])


def asked(result: dg.SensorResult) -> list[tuple[str | None, str | None, str | None]]:
    """The runs a tick asked for."""
    return sorted((one.job_name, one.partition_key, one.run_key) for one in result.run_requests or ())


def said(result: dg.SensorResult) -> str:
    return str(result.skip_reason.skip_message) if result.skip_reason else ""


def _as(model: str, event: Any) -> EventDraft:
    return EventDraft(
        at=event.at,
        actor=event.actor,
        kind=event.kind,
        model=model,
        reason=event.reason,
        retrain=event.retrain,
        toggle=event.toggle and event.toggle.replace(MODEL, model),
        revision_before=event.revision_before,
        revision_after=event.revision_after,
        payload=event.payload,
    )
