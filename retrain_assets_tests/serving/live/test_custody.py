"""Nothing is served that the ledger does not vouch for: no tampered bundle, no forged document."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.ledger import SYSTEM
from retrain_assets.routing import RoutingRule, VersionRef, flag_document
from retrain_assets.serving.live import LiveModels, NotReady
from retrain_assets_tests.serving.live.conftest import Canary
from retrain_assets_tests.serving.live.world import (
    FIRST,
    MODEL,
    SECOND,
    THIRD,
    TOGGLE,
    Served,
    Worker,
    bundle_manifest,
    row,
    units,
    until,
)

pytestmark = pytest.mark.anyio


def forge(world: Served, **changes: Any) -> None:
    """A document that agrees with itself, of a ledger sequence to come, and that no ledger event stands behind."""
    toggle = world.toggle(SECOND)
    values: dict[str, Any] = {
        "model": MODEL,
        "champion": world.state.champion,
        "challenger": toggle.challenger,
        "toggle": TOGGLE,
        "revision": 99,
        "stage": "50",
        "salt": toggle.salt,
        "share": 0.5,
        "cohort": toggle.contract["experiment"]["cohort"],
        "expires_at": toggle.expires_at,
        "state": "ramping",
    }
    sequence = changes.pop("sequence", 10_000)
    others = [RoutingRule(model=name, champion=world.state.champion) for name in changes.pop("others", [])]
    document = flag_document([RoutingRule(**{**values, **changes}), *others], metadata={"ledger_sequence": sequence})
    world.home.flags_path.write_text(json.dumps(document))


async def versions(worker: Worker) -> set[str]:
    worker.models.look()
    return {one.version for one in await worker.predict(*map(row, units(40)))}


def unvouched(world: Served) -> VersionRef:
    """A version in the registry that no toggle was armed with."""
    return world.candidate(THIRD, registered=bundle_manifest(THIRD))


async def test_a_tampered_bundle_is_refused_by_its_digest(canary: Canary) -> None:
    world = canary()
    model = world.registry.versions[MODEL, "2"] / "model.txt"
    model.write_text(model.read_text().replace("leaf_value=", "leaf_value=0", 1))
    async with world.worker() as worker:
        answers = await worker.predict(*map(row, units(40)))
        assert all(one.error == (one.arm == "challenger") for one in answers)
        why = worker.models.current(MODEL).unavailable["challenger"]
        assert "model.txt" in why
        assert "SHA-256" in why


async def test_another_whole_bundle_in_a_versions_place_is_refused(canary: Canary) -> None:
    world = canary(None)
    world.registry.versions[MODEL, "1"] = _other_bundle(world)
    async with world.worker() as worker:
        with pytest.raises(NotReady, match=r"bundle has digest sha256:.*, recorded is"):
            await worker.ask("N1")


async def test_a_damaged_copy_is_replaced_from_the_registry(canary: Canary) -> None:
    world = canary(None)
    async with world.worker() as worker:
        before = await worker.ask("N1")
    (copy,) = world.home.serving_cache_dir(MODEL).glob("[0-9a-f]*")
    (copy / "model.txt").write_text("tree")
    async with world.worker() as worker:
        assert (await worker.ask("N1")).score == before.score
    assert (copy / "model.txt").read_text().startswith("tree\nversion=")


async def test_a_damaged_copy_is_not_served_while_the_registry_is_away(canary: Canary) -> None:
    world = canary(None)
    async with world.worker():
        pass
    (copy,) = world.home.serving_cache_dir(MODEL).glob("[0-9a-f]*")
    (copy / "categories.json").write_text("{}")
    world.registry.is_away = True
    async with world.worker() as worker:
        with pytest.raises(NotReady, match="nobody answers"):
            await worker.ask("N1")


@pytest.mark.parametrize("kind", ["challenger", "champion", "share", "sequence", "earlier promotion", "another model"])
async def test_a_document_no_ledger_event_stands_behind_is_refused_and_the_last_true_one_holds(canary: Canary, kind: str) -> None:
    world = canary()
    stranger = unvouched(world)
    forged: dict[str, dict[str, Any]] = {
        "challenger": {"challenger": stranger},
        "champion": {"champion": stranger},
        "share": {"share": 1.0},
        "sequence": {"share": 1.0, "sequence": world.state.activation_sequence},
        "earlier promotion": {"champion": world.toggle(SECOND).challenger, "challenger": None, "toggle": None, "state": "none"},
        "another model": {"share": 1.0, "others": ["churn"]},
    }
    async with world.worker() as worker:
        good = worker.models.current(MODEL).rule
        forge(world, **forged[kind])
        worker.models.look()
        await until(lambda: any("as the ledger does not say" in one for one in worker.models.warnings()))
        assert worker.models.current(MODEL).rule == good
        assert await versions(worker) == {"1", "2"}
        assert stranger.version not in worker.models.state().loaded[MODEL]
        assert not list(world.home.serving_cache_dir(MODEL).glob(stranger.bundle.removeprefix("sha256:")))
        world.controller.rollback(TOGGLE, SYSTEM, "enough")
        assert await versions(worker) == {"1"}
        await until(lambda: worker.models.warnings() == [])


async def test_what_a_forged_document_says_at_the_start_is_not_served(canary: Canary) -> None:
    world = canary()
    forge(world, share=1.0)
    async with world.worker() as worker:
        with pytest.raises(NotReady, match=r"the ledger does not hold how flags\.json routes it"):
            await worker.ask("N1")
        assert worker.models.problems()
        world.controller.rollback(TOGGLE, SYSTEM, "enough")
        worker.models.look()
        await until(lambda: not worker.models.problems())
        assert await versions(worker) == {"1"}


@pytest.mark.parametrize("content", [None, "{}", "damaged"])
async def test_without_the_contract_in_force_a_model_is_not_served(canary: Canary, content: str | None) -> None:
    world = canary(None)
    path = world.evidence.path(world.contract.digest)
    whole = path.read_bytes()
    path.unlink() if content is None else path.write_text(content)
    async with world.worker() as worker:
        with pytest.raises(NotReady, match="its contract in force cannot be read"):
            await worker.ask("N1")
        with pytest.raises(NotReady, match="its contract is not known yet"):
            await worker.answering.record_outcomes(MODEL, [])
        path.write_bytes(whole)
        await until(lambda: not worker.models.problems())
        assert not (await worker.ask("N1")).error


async def test_a_worker_that_opens_the_home_itself_puts_a_forged_document_right(canary: Canary) -> None:
    world = canary()
    async with world.worker():
        true = world.home.flags_path.read_bytes()
    forge(world, share=1.0)
    models = LiveModels(world.home)
    await models.start()
    try:
        assert world.home.flags_path.read_bytes() == true
        assert models.problems() == models.warnings() == []
        assert models.current(MODEL).rule.share == 0.25
    finally:
        await models.close()


async def test_a_version_that_was_only_registered_is_never_loaded(canary: Canary) -> None:
    world = canary()
    unvouched(world)
    async with world.worker() as worker:
        known = worker.models.vouched(MODEL)
        assert known is not None
        assert {one.version for one in known.versions} == {"1", "2"}
        assert set(worker.models.state().loaded[MODEL]) == {"1", "2"}


def _other_bundle(world: Served) -> Path:
    from retrain_assets_tests.serving.live.world import write_bundle

    place = world.root / "elsewhere"
    shutil.rmtree(place, ignore_errors=True)
    write_bundle(place, f"{FIRST}.2")
    return place
