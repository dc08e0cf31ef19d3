"""A ledger recorded before toggles were offered, reviewed and stopped: it still says what it said, and goes on from there.

``recorded_ledger.jsonl`` holds its events as they were written then; nobody writes it anew.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from retrain_assets.ledger import Actor, Event, EventDraft, EventKind, event_hash
from retrain_assets.release import PlatformState, ToggleStatus, fold, fold_platform, toggle_debt, toggle_view
from retrain_assets.release.fold import _MEANING
from retrain_assets.release.platform import PLATFORM_KINDS

from .world import EVE, MODEL, PAUL, RUTH, World

RECORDED = Path(__file__).with_name("recorded_ledger.jsonl")
OPEN = f"{MODEL}-2013-09-01"


def recorded() -> list[Event]:
    lines = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    return [
        Event(
            **{
                **line,
                "at": datetime.fromisoformat(line["at"]),
                "recorded_at": datetime.fromisoformat(line["recorded_at"]),
                "actor": Actor(**line["actor"]),
                "kind": EventKind(line["kind"]),
            }
        )
        for line in lines
    ]


@pytest.fixture
def revived(world: World) -> World:
    """A world whose ledger those events are in."""
    events = recorded()
    drafts = [
        EventDraft(
            **{name: getattr(event, name) for name in ("at", "actor", "kind", "model", "reason", "retrain", "toggle", "payload")},
            revision_before=event.revision_before,
            revision_after=event.revision_after,
        )
        for event in events
    ]
    world.ledger.append_all(drafts)
    world.clock.at = events[-1].at
    return world


def test_every_event_still_has_its_hash() -> None:
    for event in recorded():
        assert event_hash(event.to_json()) == event.hash


def test_it_says_what_it_said() -> None:
    state = fold(recorded())[MODEL]
    assert {name: (str(toggle.state), toggle.owner, toggle.revision) for name, toggle in state.toggles.items()} == {
        f"{MODEL}-2013-07-01": ("promoted", "team:product", 7),
        f"{MODEL}-2013-08-01": ("retired", "team:growth", 12),
        OPEN: ("shadow", "mia@flights.example", 4),
    }
    assert state.champion is not None
    assert state.champion.version == "2"
    assert fold_platform(recorded()) == PlatformState()


def test_what_was_not_recorded_then_is_not_there() -> None:
    toggle = fold(recorded())[MODEL].toggles[OPEN]
    assert (toggle.offer, toggle.reviewed_at) == (None, None)
    assert toggle.created_at == toggle.armed_at


def test_its_toggles_are_shown_owed_for_and_moved_on(revived: World) -> None:
    toggle = revived.state.toggles[OPEN]
    json.dumps(toggle_view(toggle, revived.clock.now(), revived.controller.platform()))
    revived.clock.forward(days=20)
    (debt, kept) = toggle_debt(revived.state, revived.controller.platform(), revived.clock.now())
    assert {debt.kind, kept.kind} == {"review_overdue", "promoted_kept"}
    mia = Actor("person", "mia@flights.example")
    revived.controller.offer_transfer(OPEN, "team:growth", mia, "they own the funnel")
    assert revived.controller.accept_transfer(OPEN, EVE, "we take it").owner == "team:growth"
    done = revived.controller.engage_kill_switch(None, PAUL, "prices are wrong")
    assert [one.name for one in done.rolled_back] == [OPEN]
    revived.controller.release_kill_switch(None, RUTH, "over")


def test_every_kind_of_event_means_something_to_a_model_or_to_all_but_never_to_both() -> None:
    of_no_state = {EventKind.TOKEN_ADDED, EventKind.TOKEN_REVOKED, EventKind.SYSTEM_KEY_ADDED}
    assert set(_MEANING) | PLATFORM_KINDS | of_no_state == set(EventKind)
    assert not set(_MEANING) & PLATFORM_KINDS
    assert ToggleStatus.PROMOTED in {toggle.state for toggle in fold(recorded())[MODEL].toggles.values()}
