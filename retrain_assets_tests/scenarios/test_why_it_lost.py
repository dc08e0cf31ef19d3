"""Whoever reads the record a year later finds why a retrain was lost."""

from __future__ import annotations

import json

from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.experiment import Look
from retrain_assets.gates.canary_view import CanaryView
from retrain_assets.ledger import EventKind
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN, RUTH, WORSE, Story


def test_a_rollback_says_why_in_the_ledger_the_evidence_the_pack_and_the_command(evaluated: Story) -> None:
    evaluated.look()
    evaluated.serve_days(3, WORSE)
    (rollback,) = evaluated.events(EventKind.ROLLED_BACK)
    assert rollback.payload["failure"]["mode"] == "genuine_weakness"
    assert "cost" in rollback.payload["failure"]["sentence"]

    document = evaluated.evidence.get(rollback.payload["evidence"])
    view = CanaryView.from_json(document["view"])
    assert view.sentence.startswith("healthy technically, worse commercially: cost")
    assert view.total.technical.challenger.requests > 1000
    assert [one.measure for one in view.total.business] == [one.spec.name for one in Look.from_json(document).results]

    evaluated.decide()
    pack = json.loads((evaluated.home.reports_dir(MODEL) / f"{RETRAIN}.json").read_text())
    assert pack["answer"]["failure"]["mode"] == "genuine_weakness"
    assert pack["answer"]["failure"]["sentence"] == rollback.payload["failure"]["sentence"]
    shown = CliRunner().invoke(app, ["audit", "show", MODEL, RETRAIN], catch_exceptions=False)
    assert f"why {RETRAIN} was lost: genuine weakness: the challenger is weaker" in shown.output


def test_a_person_who_takes_a_winner_off_is_the_reason_and_no_mode_is_made_up(waiting: Story) -> None:
    waiting.controller.reject(MODEL, RETRAIN, RUTH, "complaints at the desk")
    waiting.decide()
    pack = json.loads((waiting.home.reports_dir(MODEL) / f"{RETRAIN}.json").read_text())
    assert pack["answer"]["failure"]["mode"] == "inconclusive"
    assert "ruth@example.org took it off" in pack["answer"]["failure"]["sentence"]
