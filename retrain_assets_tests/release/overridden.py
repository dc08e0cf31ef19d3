"""Candidates that a check keeps back, and the words of the approvers who override it."""

from __future__ import annotations

from typing import Any

from retrain_assets.contract import Gate, Outcome
from retrain_assets.ledger import Actor, Event, EventKind
from retrain_assets.release import Ending, overrides_in_force

from .world import MODEL, PAUL, RUTH, World, verdict

KEY = "2013-07-01"
OFFLINE = "offline.slices_hold"
WHY = "the slice is ten rows, and closed since May"


def judge(world: World, gate: Gate, check: str, outcome: Outcome = Outcome.FAIL, **subjects: str) -> None:
    """One more check of a gate of the candidate."""
    known = dict(world.state.retrains[KEY].subjects)
    if gate is Gate.OFFLINE and world.state.champion is not None:
        known["champion"] = world.state.champion.bundle
    world.controller.record_gate(MODEL, KEY, gate, [verdict(gate, check, outcome)], {**known, **subjects})


def stopped(world: World, *checks: str) -> World:
    """A candidate whose retrain ended because checks of gate offline did not hold."""
    world.bootstrap()
    world.candidate(KEY)
    for check in checks or ("slices_hold",):
        judge(world, Gate.OFFLINE, check)
    assert world.controller.decide(MODEL, KEY).decision == "reject"
    assert world.state.retrains[KEY].ended is Ending.STOPPED
    return world


def override(world: World, actor: Actor, check: str = OFFLINE, reason: str = WHY, **more: Any) -> Any:
    return world.controller.override(MODEL, KEY, check, actor, reason, **more)


def both(world: World, check: str = OFFLINE) -> None:
    for actor in (RUTH, PAUL):
        override(world, actor, check)


def in_force(world: World) -> list[str]:
    return [one.name for one in overrides_in_force(world.state.retrains[KEY], world.clock.now())]


def signings(world: World) -> list[Event]:
    return [event for event in world.ledger.events() if event.kind is EventKind.OVERRIDE_SIGNED]
