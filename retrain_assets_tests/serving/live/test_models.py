"""A step, a rollback, a promotion is in force as soon as the document says so; what is warm needs no load for it."""

from __future__ import annotations

from typing import Any

import pytest

from retrain_assets.ledger import SYSTEM
from retrain_assets.routing import Reason
from retrain_assets_tests.serving.live.conftest import Canary
from retrain_assets_tests.serving.live.world import (
    FEATURES,
    MODEL,
    RUTH,
    SECOND,
    THIRD,
    TOGGLE,
    Served,
    Worker,
    row,
    units,
    until,
)

pytestmark = pytest.mark.anyio


async def spread(worker: Worker) -> dict[str, int]:
    """Units by version, of the first 200."""
    worker.models.look()
    found: dict[str, int] = {}
    for one in await worker.predict(*map(row, units())):
        found[one.version] = found.get(one.version, 0) + 1
    return found


def loads(world: Served) -> list[str]:
    return [call for call in world.registry.calls if call.startswith("download")]


async def test_every_move_of_the_toggle_is_in_force_at_once_and_loads_nothing(canary: Canary) -> None:
    world = canary(0)
    async with world.worker() as worker:
        assert worker.models.state().loaded == {MODEL: ("1", "2")}
        before = loads(world)
        assert await spread(worker) == {"1": 200}
        world.controller.step(TOGGLE, SYSTEM, "shadow")
        assert await spread(worker) == {"1": 200}
        world.controller.step(TOGGLE, SYSTEM, "25")
        some = await spread(worker)
        assert 20 < some["2"] < 80
        world.controller.step(TOGGLE, SYSTEM, "50")
        more = await spread(worker)
        assert some["2"] < more["2"] < 130
        world.controller.hold(TOGGLE, SYSTEM, "hold")
        assert await spread(worker) == more
        world.controller.rollback(TOGGLE, SYSTEM, "enough")
        assert await spread(worker) == {"1": 200}
        assert not any(one.error for one in await worker.predict(*map(row, units())))
        assert loads(world) == before
        assert worker.meter.flips == sorted(worker.meter.flips)
        assert len(worker.meter.flips) == 6


async def test_a_kill_switch_is_in_force_at_once_and_the_ledger_vouches_for_it(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        world.controller.engage_kill_switch(None, RUTH, "everything off")
        assert await spread(worker) == {"1": 200}
        world.controller.release_kill_switch(None, RUTH, "on again")
        assert await spread(worker) == {"1": 200}
        await until(lambda: worker.models._known.sequence == worker.models.state().ledger_sequence)
        assert worker.models.warnings() == []


async def test_a_promotion_and_its_rollback_load_nothing_while_the_registry_is_away(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        world.promote(TOGGLE)
        world.registry.is_away = True
        assert await spread(worker) == {"2": 200}
        world.controller.rollback(TOGGLE, SYSTEM, "it does harm after all")
        assert await spread(worker) == {"1": 200}
        (answer,) = await worker.predict(row("N1"))
        champion = worker.models.current(MODEL).champion
        assert champion is not None
        assert answer.score == champion.score_rows([FEATURES])[0]
        assert answer.reason is Reason.ROLLED_BACK
        assert worker.models.problems() == []


async def test_after_a_restart_the_previous_champion_is_warm_and_no_registry_is_needed(canary: Canary) -> None:
    world = canary()
    async with world.worker():
        world.promote(TOGGLE)
    world.registry.is_away = True
    async with world.worker() as worker:
        await until(
            lambda: worker.models.state().loaded == {MODEL: ("1", "2")} or worker.models.state().loaded == {MODEL: ("2", "1")}
        )
        assert await spread(worker) == {"2": 200}
        assert worker.models.problems() == worker.models.warnings() == []


async def test_a_new_challenger_is_loaded_when_it_is_armed_and_what_nobody_needs_is_dropped(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        world.promote(TOGGLE)
        world.clock.forward(days=1)
        other = world.armed(THIRD)
        worker.models.look()
        await until(lambda: set(worker.models.state().loaded[MODEL]) == {"1", "2", "3"})
        world.controller.rollback(other, SYSTEM, "not needed")
        worker.models.look()
        await until(lambda: set(worker.models.state().loaded[MODEL]) == {"1", "2"})
        assert await spread(worker) == {"2": 200}


async def test_only_models_whose_flag_changed_are_made_anew(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        live = worker.models.current(MODEL)
        world.controller.record_stage_failure(MODEL, SECOND, "canary", "a note that routes nothing")
        world.edit_flags(lambda document: None)
        worker.models.look()
        assert worker.models.current(MODEL) is live


async def test_the_terms_are_the_active_toggles_and_then_the_champions(canary: Canary) -> None:
    world = canary(None)
    async with world.worker() as worker:
        first = worker.models.current(MODEL).terms
        assert first.digest == world.contract.digest
        values = world.contract.to_json()
        values["serving"]["max_rows"] = 7
        world.contract = type(world.contract).model_validate(values)
        name = world.armed()
        worker.models.look()
        await until(lambda: worker.models.current(MODEL).terms.serving.max_rows == 7)
        world.controller.rollback(name, SYSTEM, "enough")
        worker.models.look()
        await until(lambda: worker.models.current(MODEL).terms == first)


async def test_a_document_that_is_damaged_keeps_the_last_good_state_and_is_a_warning(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        good, path = await spread(worker), world.home.flags_path
        whole = path.read_bytes()
        damages: dict[str, Any] = {
            "is not JSON": whole[: len(whole) // 2],
            "is not JSON ": b"",
            "there is no flags object": b"[]",
            "which ledger sequence": b'{"flags": {}}',
            "flag flight_delay is gone": b'{"flags": {}, "metadata": {"ledger_sequence": 10000}}',
            "was served already": whole.replace(b'"ledger_sequence": ', b'"ledger_sequence": -'),
            "was edited": whole.replace(b'"share": 0.25', b'"share": 0.99'),
            "metadata cannot be read": whole.replace(b'"salt"', b'"sugar"'),
        }
        for message, content in damages.items():
            assert content != whole
            path.write_bytes(content)
            assert await spread(worker) == good
            assert any(message.strip() in one for one in worker.models.warnings()), (message, worker.models.warnings())
            assert worker.models.problems() == []
        path.unlink()
        assert await spread(worker) == good
        assert any("is missing" in one for one in worker.models.warnings())
        path.write_bytes(whole)
        assert await spread(worker) == good
        assert worker.models.warnings() == []


async def test_the_document_is_seen_without_a_request(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        world.controller.rollback(TOGGLE, SYSTEM, "enough")
        await until(lambda: worker.models._models[MODEL].rule.state == "rolled_back")
        await until(lambda: worker.meter.flips)
        assert worker.models.state().age_seconds < 60


async def test_while_the_ledger_is_away_what_is_warm_is_flipped_all_the_same(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        document = world.home.flags_path.read_bytes()
        world.controller.rollback(TOGGLE, SYSTEM, "enough")
        after = world.home.flags_path.read_bytes()
        world.home.flags_path.write_bytes(document)
        ledger = world.root / "ledger.db"
        ledger.rename(ledger.with_suffix(".away"))
        ledger.mkdir()
        world.home.flags_path.write_bytes(after)
        assert await spread(worker) == {"1": 200}
        await until(lambda: any("the ledger cannot be asked" in one for one in worker.models.warnings()))
        assert worker.models.problems() == []
        ledger.rmdir()
        ledger.with_suffix(".away").rename(ledger)
        await until(lambda: worker.models.warnings() == [])
