from __future__ import annotations

from .conftest import Run, parsed
from .world import MODEL, TOGGLE, World

PAUL, MIA = "paul@example.org", "mia@example.org"


def by(run: Run, who: str, *arguments: str, code: int = 0) -> str:
    result = run(*arguments, "--reason", "why", "--as", who, code=code)
    return result.stdout if code == 0 else result.stderr


def test_a_transfer_is_offered_shown_and_accepted_by_the_other_side(act: Run, run: Run, ramping: World) -> None:
    text = act("toggle", "transfer", MODEL, "--to", MIA).stdout
    assert f"offer of {TOGGLE}: none → to {MIA}, not accepted yet" in text
    assert f"owner:          team:accounts, offered to {MIA} by ruth@example.org" in run("toggle", "show", MODEL).stdout
    assert parsed(run("toggle", "list", "--json"))[0]["offered_to"]["owner"] == MIA
    assert f"it is offered to {MIA}, not to {PAUL}" in by(run, PAUL, "toggle", "accept", MODEL, code=1)
    accepted = by(run, MIA, "toggle", "accept", MODEL)
    assert f"owner of {TOGGLE}: team:accounts → {MIA}" in accepted
    assert f"offer of {TOGGLE}: to {MIA}, not accepted yet → none" in accepted
    assert f"it is {MIA}'s, not ruth@example.org's" in act("toggle", "transfer", MODEL, "--to", "team:growth", code=1).stderr


def test_an_offer_is_withdrawn_by_offering_it_back(act: Run, ramping: World) -> None:
    act("toggle", "transfer", MODEL, "--to", MIA)
    assert "not accepted yet → none" in act("toggle", "transfer", MODEL, "--to", "team:accounts").stdout
    assert "'growth' is not an owner; write team:NAME" in act("toggle", "transfer", MODEL, "--to", "growth", code=1).stderr


def test_an_owner_who_left_stops_the_ramp_and_an_approver_finds_another(act: Run, run: Run, ramping: World) -> None:
    text = act("owner", "left", "team:accounts").stdout
    assert "owner team:accounts: none → left on 2024-04-05 (because of the test)" in text
    assert f"{TOGGLE} stands still until somebody else accepts it: retrain toggle transfer {TOGGLE} --to OWNER" in text
    assert f"nothing of {MODEL} is armed until its contract names another toggle.owner" in text
    assert "team:accounts (left)" in run("toggle", "list").stdout
    assert f"due: {TOGGLE}: its owner team:accounts left on 2024-04-05" in run("status").stdout
    assert [one["owner"] for one in parsed(run("owner", "list", "--json"))] == ["team:accounts"]
    assert "is not an approver" in by(run, MIA, "toggle", "transfer", MODEL, "--to", "team:growth", code=1)
    by(run, PAUL, "toggle", "transfer", MODEL, "--to", "team:growth")
    assert "team:accounts → team:growth" in by(run, MIA, "toggle", "accept", MODEL)
    act("owner", "back", "team:accounts")
    assert "nobody left" in run("owner", "list").stdout
    assert "team:accounts has not left" in act("owner", "back", "team:accounts", code=1).stderr


def test_a_review_is_recorded_and_shown(act: Run, run: Run, ramping: World) -> None:
    assert "review due:     2024-04-15 06:00 UTC\n" in run("toggle", "show", MODEL).stdout
    assert "2024-04-05 06:00 UTC by ruth@example.org" in act("toggle", "review", MODEL).stdout
    shown = run("toggle", "show", MODEL).stdout
    assert "review due:     2024-04-19 06:00 UTC, last by ruth@example.org at 2024-04-05 06:00 UTC" in shown
