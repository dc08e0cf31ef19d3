"""Views for people and scripts: plain JSON, complete, and never a change."""

from __future__ import annotations

import json
from datetime import date

from retrain_assets.ledger import EventKind
from retrain_assets.release import audit_trail, platform_view, recorded_evidence, status, toggle_view

from .world import MODEL, RUTH, World

KEY = "2013-07-01"


def test_the_status_says_champion_toggle_and_retrains(world: World) -> None:
    name = world.awaiting(KEY)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    view = json.loads(json.dumps(status(world.state, world.clock.now(), world.controller.platform())))
    assert view["champion"]["version"] == "1"
    assert view["champion_retrain"] == "2013-04-01"
    active = view["active_toggle"]
    assert (active["toggle"], active["state"], active["stage"], active["share"]) == (name, "awaiting_approval", "50", 0.5)
    assert active["possible"] == ["hold", "extend", "transfer", "review", "approve", "promote", "roll back"]
    assert [(item["approver"], item["counts"]) for item in active["approvals"]] == [(RUTH.name, True)]
    first, second = view["retrains"]
    assert (first["decision"], first["ended"]) == ("promote", "bootstrapped")
    assert second["gates"] == {"data": "pass", "training": "pass", "offline": "pass", "canary": "pass"}
    assert (second["toggle_state"], second["decision"]) == ("awaiting_approval", None)


def test_a_model_nothing_is_known_about_has_an_empty_status(world: World) -> None:
    view = status(world.controller.state("unheard_of"), world.clock.now(), world.controller.platform())
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


def test_a_toggle_is_shown_with_its_terms_its_age_and_what_stops_it(world: World) -> None:
    name = world.arm(KEY)
    world.clock.forward(days=15)
    world.controller.declare_freeze(world.clock.now().date(), world.clock.now().date(), RUTH, "holidays")
    view = json.loads(json.dumps(toggle_view(world.toggle(KEY), world.clock.now(), world.controller.platform())))
    assert view["toggle"] == name
    assert (view["created_at"], view["created_by"], view["age_days"]) == (view["armed_at"], "system:retrain_assets", 15)
    assert (view["cohort"]["origin"]["in"], view["cohort_share"]) == (["JFK", "EWR"], 1.0)
    assert view["guardrails"]["error_rate"]["margin"] == 0.01
    assert view["rolls_back_to"]["version"] == "1"
    assert (view["review_due"], view["review_overdue"]) == ("2013-07-15T00:00:00+00:00", True)
    assert [debt["kind"] for debt in view["debt"]] == ["review_overdue"]
    assert (view["kill_switch"], view["freeze"]["reason"]) == (None, "holidays")
    assert view["possible"] == ["hold", "transfer", "review", "roll back"]
    assert view["stopped"] == {move: ["2013-07-16 is in a change freeze (holidays)"] for move in ("step", "extend")}


def test_what_holds_for_many_models_is_shown(world: World) -> None:
    world.controller.engage_kill_switch(None, RUTH, "prices are wrong")
    world.controller.declare_freeze(world.clock.now().date(), world.clock.now().date(), RUTH, "holidays", model=MODEL)
    world.controller.mark_owner_left("team:product", RUTH, "dissolved")
    view = json.loads(json.dumps(platform_view(world.controller.platform())))
    assert [(one["model"], one["reason"], one["by"]) for one in view["kill_switches"]] == [(None, "prices are wrong", str(RUTH))]
    assert [(one["model"], one["start"], one["reason"]) for one in view["freezes"]] == [(MODEL, "2013-07-01", "holidays")]
    assert [(one["owner"], one["reason"]) for one in view["owners_left"]] == [("team:product", "dissolved")]


def test_freezes_that_overlap_are_shown_as_one_until_the_last_is_over(world: World) -> None:
    world.arm(KEY)
    for day, reason in ((4, "holidays"), (9, "audit")):
        world.controller.declare_freeze(date(2013, 7, 1), date(2013, 7, day), RUTH, reason)
    view = toggle_view(world.toggle(KEY), world.clock.now(), world.controller.platform())
    assert view["freeze"] == {"start": "2013-07-01", "end": "2013-07-09", "reason": "holidays; audit"}
