"""Overrides and follow-ups in the pack and on the index: nobody who reads either can overlook them."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.contract import Gate, Outcome
from retrain_assets.ledger import Actor
from retrain_assets.release.follow_ups import close
from retrain_assets.reports import index_of, pack_of, pack_page
from retrain_assets.reports.page import index_page
from retrain_assets_tests.release.world import MODEL, World
from retrain_assets_tests.reports.conftest import packed, paged
from retrain_assets_tests.reports.sample import MODEL as SAMPLE
from retrain_assets_tests.reports.sample import Sample

MIA = Actor("person", "mia@flights.example")
RETRAIN = "2013-07-01"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "home")
    world.bootstrap()
    return world


def overridden(world: World) -> None:
    world.candidate(RETRAIN)
    world.judge(RETRAIN, Gate.OFFLINE, Outcome.FAIL)
    approvers = [Actor("person", name) for name in world.contract.approval.approvers[:2]]
    for number, approver in enumerate(approvers):
        world.controller.override(MODEL, RETRAIN, "offline.holds", approver, f"reason {number}")


def shown(world: World, retrain: str = RETRAIN) -> tuple[dict, str]:  # type: ignore[type-arg]
    pack = pack_of(world.ledger, world.evidence, world.home, MODEL, retrain)
    return pack, pack_page(pack, "sha256:" + "0" * 64)


def test_an_override_shouts_at_the_top_at_its_gate_and_on_the_index(world: World) -> None:
    overridden(world)
    pack, page = shown(world)
    (override,) = pack["overrides"]
    assert override["check"] == "offline.holds"
    assert override["why"] == "reason 0; reason 1"
    assert next(gate for gate in pack["gates"] if gate["gate"] == "offline")["overridden"] == ["holds"]
    assert page.index("Overridden: ") < page.index('id="trigger"')
    assert page.count('class="shout"') >= 4
    index = index_page(index_of(world.ledger, world.home, MODEL))
    assert "overridden: offline.holds" in index


def test_an_override_that_was_taken_back_stays_on_the_page_and_no_longer_marks_its_gate(world: World) -> None:
    overridden(world)
    approver = Actor("person", world.contract.approval.approvers[0])
    world.controller.withdraw_override(MODEL, RETRAIN, "offline.holds", approver, "I was wrong")
    pack, page = shown(world)
    assert pack["overrides"][0]["withdrawn"] is not None
    assert all(gate["overridden"] == [] for gate in pack["gates"])
    assert "(withdrawn " in page


def test_a_follow_up_stands_on_pack_and_index_with_its_command_until_it_is_closed(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.promoted(RETRAIN)
    assert 'class="shout"' not in paged(fresh, RETRAIN)
    assert packed(fresh, RETRAIN)["follow_ups"] == []
    fresh.roll_back(RETRAIN, "it warns nobody")
    (found,) = packed(fresh, RETRAIN)["follow_ups"]
    page = paged(fresh, RETRAIN)
    assert found["closed"] is None
    assert "To be looked into" in page
    assert f"retrain follow-up close {found['number']}" in page
    assert "To be looked into" in index_page(index_of(fresh.ledger, fresh.home, SAMPLE))
    fresh.do(MIA, "threshold was chosen on the wrong week", lambda drafts: close(drafts, found["number"]))
    page = paged(fresh, RETRAIN)
    assert packed(fresh, RETRAIN)["follow_ups"][0]["closed"]["finding"] == "threshold was chosen on the wrong week"
    assert "To be looked into" not in page
    assert "threshold was chosen on the wrong week" in page
    assert "To be looked into" not in index_page(index_of(fresh.ledger, fresh.home, SAMPLE))
