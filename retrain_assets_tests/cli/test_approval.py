from __future__ import annotations

from retrain_assets.ledger import SYSTEM

from .conftest import Run, parsed
from .world import FIRST, MODEL, SECOND, TOGGLE, World


def test_bootstrap_makes_the_first_champion_from_the_projects_contract(run: Run, act: Run, candidates: World) -> None:
    text = act("bootstrap", MODEL, FIRST).stdout
    assert f"{MODEL}: champion: none → version 1" in text
    assert f"{MODEL}: retrain {FIRST}: open → bootstrapped" in text
    assert "the model has a champion, version 1" in act("bootstrap", MODEL, SECOND, code=1).stderr
    assert candidates.champion == "1"


def test_only_an_approver_bootstraps(run: Run, candidates: World) -> None:
    refused = run("bootstrap", MODEL, FIRST, "--reason", "why", "--as", "eve@elsewhere.example", code=1)
    assert "person:eve@elsewhere.example is not an approver of churn; ask ruth@example.org or paul@example.org" in refused.stderr
    assert candidates.champion is None


def test_approval_says_what_happens_next_and_the_decision_follows(act: Run, awaiting: World) -> None:
    text = act("approve", MODEL, SECOND).stdout
    assert "1 of 1 approvals; the decision job promotes at its next tick" in text
    assert f"approvals of {TOGGLE}: none → ruth@example.org" in text
    assert "has approved this very evidence already" in act("approve", MODEL, SECOND, code=1).stderr
    assert awaiting.controller.decide(MODEL, SECOND, SYSTEM).decision == "promote"


def test_approval_says_what_it_rests_on_before_it_says_what_it_changed(act: Run, awaiting: World) -> None:
    text = act("approve", MODEL, SECOND).stdout
    lines = text.splitlines()
    assert lines[0] == "approved on the look of 2024-04-05 06:00 UTC, which calls for:"
    assert lines[1].startswith("ASK FOR APPROVAL: ")
    assert text.index("shown better") < text.index("1 of 1 approvals")


def test_approval_of_a_look_that_is_not_the_last_loses_the_race(run: Run, act: Run, awaiting: World) -> None:
    last = parsed(run("toggle", "show", MODEL, "--json"))["last_look"]["evidence"]
    lost = act("approve", MODEL, SECOND, "--look", "sha256:0123", code=5)
    assert f"the last look is {last}, not sha256:0123" in lost.stderr
    assert awaiting.toggle.approvals == ()
    for nothing in ("", "sha256:", last[:8]):
        act("approve", MODEL, SECOND, "--look", nothing, code=5)
    act("approve", MODEL, SECOND, "--look", last[:20])
    assert [approval.evidence for approval in awaiting.toggle.approvals] == [last]


def test_approval_is_refused_before_the_canary_asks_for_it(act: Run, ramping: World, run: Run) -> None:
    assert "approve is not possible while the toggle is ramping" in act("approve", MODEL, SECOND, code=1).stderr
    refused = run("approve", MODEL, SECOND, "--reason", "why", "--as", "eve@elsewhere.example", code=1)
    assert "not an approver" in refused.stderr
    assert "there is no retrain '2024-09-09'" in act("approve", MODEL, "2024-09-09", code=3).stderr


def test_an_approval_can_be_taken_back(act: Run, awaiting: World) -> None:
    assert "person:ruth@example.org has not approved it" in act("withdraw", MODEL, SECOND, code=1).stderr
    act("approve", MODEL, SECOND)
    assert f"approvals of {TOGGLE}: ruth@example.org → none" in act("withdraw", MODEL, SECOND).stdout
    assert awaiting.controller.decide(MODEL, SECOND, SYSTEM).decision == "wait"


def test_rejecting_rolls_back_and_ends_the_retrain(act: Run, awaiting: World) -> None:
    text = act("reject", MODEL, SECOND).stdout
    assert f"toggle {TOGGLE}: awaiting approval at 50 % → rejected at 50 %" in text
    assert f"retrain {SECOND}: open → rejected" in text
    assert "it was decided already" in act("reject", MODEL, SECOND, code=1).stderr


def test_a_candidate_that_never_met_traffic_can_be_rejected(act: Run, candidates: World) -> None:
    assert f"retrain {FIRST}: open → rejected" in act("reject", MODEL, FIRST).stdout


def test_an_approval_in_a_change_freeze_says_what_it_waits_for(run: Run, act: Run, awaiting: World) -> None:
    act("freeze", "add", "--from", "2024-04-05", "--to", "2024-04-06")
    waits = "it is not promoted while 2024-04-05 is in a change freeze (because of the test)"
    assert f"1 of 1 approvals; {waits}" in act("approve", MODEL, SECOND).stdout
    assert f"due: {TOGGLE} is approved (given: ruth@example.org); {waits}\n" in run("status").stdout


def test_an_approval_that_lapsed_is_not_counted_with_the_next_one(run: Run, act: Run, awaiting: World) -> None:
    act("approve", MODEL, SECOND)
    awaiting.forward(days=3)
    said = run("approve", MODEL, SECOND, "--reason", "why", "--as", "paul@example.org").stdout
    assert "1 of 1 approvals; the decision job promotes at its next tick" in said
