"""Views for people and scripts: plain JSON, complete, and never a change."""

from __future__ import annotations

import json

from retrain_assets.ledger import EventKind
from retrain_assets.release import audit_trail, recorded_evidence, status

from .world import MODEL, RUTH, World

KEY = "2013-07-01"


def test_the_status_says_champion_toggle_and_retrains(world: World) -> None:
    name = world.awaiting(KEY)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    view = json.loads(json.dumps(status(world.state, world.clock.now())))
    assert view["champion"]["version"] == "1"
    assert view["champion_retrain"] == "2013-04-01"
    active = view["active_toggle"]
    assert (active["toggle"], active["state"], active["stage"], active["share"]) == (name, "awaiting_approval", "50", 0.5)
    assert active["possible"] == ["hold", "extend", "transfer", "approve", "promote", "roll back"]
    assert [(item["approver"], item["counts"]) for item in active["approvals"]] == [(RUTH.name, True)]
    first, second = view["retrains"]
    assert (first["decision"], first["ended"]) == ("promote", "bootstrapped")
    assert second["gates"] == {"data": "pass", "training": "pass", "offline": "pass", "canary": "pass"}
    assert (second["toggle_state"], second["decision"]) == ("awaiting_approval", None)


def test_a_model_nothing_is_known_about_has_an_empty_status(world: World) -> None:
    view = status(world.controller.state("unheard_of"), world.clock.now())
    assert (view["champion"], view["active_toggle"], view["retrains"]) == (None, None, [])


def test_the_audit_trail_is_every_event_in_order(world: World) -> None:
    world.promoted(KEY)
    trail = audit_trail(world.ledger.events(model=MODEL, retrain=KEY))
    assert [entry["sequence"] for entry in trail] == sorted(entry["sequence"] for entry in trail)
    kinds = [entry["kind"] for entry in trail]
    assert kinds[0] == EventKind.RETRAIN_LAUNCHED
    assert kinds[-3:] == [EventKind.PROMOTED, EventKind.DECISION_RECORDED, EventKind.RETRAIN_ENDED]
    json.dumps(trail)


def test_all_evidence_the_ledger_speaks_of_is_in_the_store(world: World) -> None:
    world.promoted(KEY)
    digests = recorded_evidence(world.ledger.events())
    assert world.contract.digest in digests
    assert world.toggle(KEY).last_look.evidence in digests
    assert world.evidence.verify(digests) == []
