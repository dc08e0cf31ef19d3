"""Several models in one home: what is due of all is done for all, and one model's change costs what that model is."""

from __future__ import annotations

from typing import Any

import pytest

from retrain_assets.contract import RegistryUnavailable
from retrain_assets.ledger import Event, Ledger
from retrain_assets.release import ReleaseController

from .world import MODEL, OTHER, PAUL, World

KEY = "2013-07-01"
NAME = f"{MODEL}-{KEY}"


def test_what_ends_of_several_models_is_all_recorded_and_routed_although_the_registry_does_not_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    name = world.ramp(KEY)
    other = world.second_model(KEY)
    deaf = ReleaseController(world.home, world.ledger, world.evidence, _deaf, world.clock)
    world.clock.forward(days=31)
    assert [toggle.name for toggle in deaf.expire_due()] == [name, other]
    assert [one["metadata"]["state"] for one in world.flags()["flags"].values()] == ["rolled_back", "rolled_back"]
    world.clock.forward(days=31)
    assert [toggle.name for toggle in deaf.retire_abandoned()] == [name, other]
    assert "the registry is behind the ledger: it does not answer" in caplog.text
    assert world.controller.reconcile().registry


def test_bringing_the_registry_up_to_the_ledger_reads_the_events_of_the_models_that_moved_alone(world: World) -> None:
    world.ramp(KEY)
    world.second_model(KEY)
    read: list[str | None] = []

    class Watched(Ledger):
        def events(self, *, model: str | None = None, after: int = 0, **more: Any) -> list[Event]:
            if not after:
                read.append(model)
            return super().events(model=model, after=after, **more)

    world.controller.ledger = Watched(world.home.ledger_url)
    world.controller.rollback(NAME, PAUL, "complaints")
    assert read == [MODEL]
    assert world.registry.aliases[OTHER, "challenger"] == "2"
    assert (MODEL, "challenger") not in world.registry.aliases


def _deaf() -> World:
    raise RegistryUnavailable("it does not answer")
