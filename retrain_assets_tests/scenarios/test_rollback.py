"""A challenger that hurts is rolled back by itself."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN, WORSE, Story
from retrain_assets_tests.simulation import contract_with
from retrain_assets_tests.simulation.traffic import Effect


@pytest.mark.parametrize(
    ("effect", "measure"),
    [(WORSE, "cost"), (Effect(cost=-3.0, complaint=0.3), "complaint")],
    ids=["success measure", "guardrail, although the success measure wins"],
)
def test_a_challenger_that_hurts_is_rolled_back_by_the_system_and_recorded(
    evaluated: Story, effect: Effect, measure: str
) -> None:
    """Harm ends the experiment without a person: the champion has all traffic again and the retrain its audit record."""
    first = evaluated.state.champion
    evaluated.look()
    evaluated.serve_days(1, effect)
    assert evaluated.rule.share == 0.5
    evaluated.serve_days(1, effect)
    assert evaluated.events(EventKind.ROLLED_BACK) == [], "one look at harm may be one bad batch of records"
    assert "1 of 2 looks" in evaluated.toggle().last_look.reason
    assert evaluated.look() == [], "nor is it confirmed by reading the same records at once"
    evaluated.travel(timedelta(hours=1))
    evaluated.look()

    (rollback,) = evaluated.events(EventKind.ROLLED_BACK)
    assert (rollback.actor, rollback.payload["cause"]) == (SYSTEM, "harm")
    assert measure in rollback.reason
    assert evaluated.toggle().state is ToggleStatus.ROLLED_BACK
    assert (evaluated.rule.champion, evaluated.rule.share) == (first, 0)
    assert evaluated.registry.aliases(MODEL) == {"champion": first.version}

    evaluated.decide()

    retrain = evaluated.retrain_state()
    assert retrain.ended == "rolled_back"
    pack = json.loads((evaluated.home.reports_dir(MODEL) / f"{RETRAIN}.json").read_text())
    assert evaluated.evidence.get(retrain.audit) == pack
    assert measure in pack["decision"]["reason"]
    assert evaluated.decide() == []


def test_a_challenger_that_changes_nothing_is_never_promoted_and_ends_rejected(evaluated: Story) -> None:
    """Inconclusive holds, and at the experiment's longest duration ends in a rejection."""
    story = Story(evaluated.home, evaluated.instance, contract_with(experiment__max_duration="4d"))
    before = story.state.champion
    story.look()
    story.serve_days(4, number=200)

    assert [event.payload["action"] for event in story.events(EventKind.CANARY_LOOKED)][-2:] == ["hold", "reject"]
    assert story.toggle().state is ToggleStatus.REJECTED
    story.decide()
    assert story.state.champion == before
    assert story.retrain_state().audit is not None
