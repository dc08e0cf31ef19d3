"""A retrain that ended is reviewed by itself, recorded once, and printed by the command."""

from __future__ import annotations

import json
from datetime import timedelta

import dagster as dg
import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.ledger import EventKind
from retrain_assets_tests.scenarios.story import FIRST, MODEL, RETRAIN, RUTH, WORSE, Story


def recorded(story: Story) -> list[tuple[str | None, dict[str, object]]]:
    events = story.events(EventKind.RELEASE_REVIEWED)
    return [(event.retrain, story.evidence.get(event.payload["evidence"])) for event in events]


def test_a_rolled_back_challenger_is_reviewed_with_its_way_back_and_shown_in_dagster(evaluated: Story) -> None:
    evaluated.look()
    evaluated.serve_days(2, WORSE)
    evaluated.travel(timedelta(hours=1))
    evaluated.look()
    assert [retrain for retrain, _ in recorded(evaluated)] == [FIRST], "the first champion's; the other one has not ended"
    evaluated.decide()

    (_, (retrain, review)) = recorded(evaluated)
    assert (retrain, review["retrain"], review["fate"]) == (RETRAIN, RETRAIN, "harmed")
    recovery = review["recovery"]
    assert isinstance(recovery, dict)
    assert recovery["seconds_recorded_to_flags"] is not None
    assert recovery["answers_after"] == 0
    assert recovery["last_answer_at"] is not None
    shown = evaluated.instance.get_latest_materialization_event(dg.AssetKey([MODEL, "release_review"]))
    assert shown is not None
    assert shown.asset_materialization is not None
    metadata = shown.asset_materialization.metadata
    assert metadata["finding"].value == review["finding"]
    assert "data:image/svg+xml" in str(metadata["plots"].value)

    assert evaluated.materialize("release_review").success
    assert len(recorded(evaluated)) == 2, "the same review again adds nothing"

    printed = CliRunner().invoke(app, ["review", MODEL, RETRAIN, "--json"])
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.stdout) == {**review, "recorded": True}
    told = CliRunner().invoke(app, ["review", MODEL, RETRAIN]).stdout
    assert told.startswith(str(review["finding"]))
    assert "The way back" in told


def test_a_review_that_fails_keeps_nothing_waiting(evaluated: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision and the audit record are made before it begins; afterwards it can be made by hand."""
    from retrain_assets.assets import release_review

    def broken(*_: object, **__: object) -> dict[str, object]:
        raise ZeroDivisionError

    monkeypatch.setattr(release_review, "review_of", broken)
    evaluated.controller.reject(MODEL, RETRAIN, RUTH, "not this one")
    evaluated.decide()
    assert evaluated.retrain_state().ended == "rejected"
    assert evaluated.retrain_state().audit is not None
    assert evaluated.decide() == [], "nothing is asked for again because of it"
    monkeypatch.undo()
    assert evaluated.materialize("release_review").success
    assert recorded(evaluated)[-1][0] == RETRAIN


def test_a_promotion_that_is_rolled_back_later_is_reviewed_anew(waiting: Story) -> None:
    waiting.approve()
    waiting.decide()
    waiting.controller.rollback(waiting.toggle().name, RUTH, "it misses what matters")
    assert "made now" in CliRunner().invoke(app, ["review", MODEL, RETRAIN]).stdout, "the recorded one is of before"
    waiting.decide()
    reviews = [review for retrain, review in recorded(waiting) if retrain == RETRAIN]
    assert [review["why"] for review in reviews] == ["promoted and kept", "rolled back after its promotion"]
