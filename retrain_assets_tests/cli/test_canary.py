from __future__ import annotations

from retrain_assets.experiment import Action
from retrain_assets.ledger import SYSTEM
from retrain_assets.reports import words
from retrain_assets.serving.look import look_at

from .conftest import Run, parsed
from .world import FIRST, MODEL, SECOND, TOGGLE, World


def test_a_look_shows_measures_stages_and_health_and_records_nothing(run: Run, ramping: World) -> None:
    head = ramping.controller.ledger.head()
    text = run("canary", MODEL).stdout
    assert f"{TOGGLE}: ramping at 50 %, looked at 2024-04-05 06:00 UTC; nothing was recorded" in text
    for heading in ("measure", "stage", "health: ", "both sides: ", "next look: "):
        assert any(line.startswith(heading) for line in text.splitlines()), heading
    assert ramping.controller.ledger.head() == head


def test_what_the_look_calls_for_and_why_come_before_everything_else(run: Run, ramping: World) -> None:
    lines = run("canary", MODEL).stdout.splitlines()
    look = look_at(ramping.home, ramping.toggle, ramping.clock.now())
    assert look.action is Action.ASK_APPROVAL
    assert lines[1:3] == ["", f"ASK FOR APPROVAL: {look.reason.partition(';')[0]}"]


def test_a_measure_is_one_line_with_its_numbers_and_fits_a_hundred_columns(run: Run, ramping: World) -> None:
    text = run("canary", MODEL).stdout
    cost, complaint = look_at(ramping.home, ramping.toggle, ramping.clock.now()).results
    (line,) = [line for line in text.splitlines() if line.startswith("cost ")]
    assert "shown better" in line
    assert words.change(cost.relative_estimate, cost.relative_lower, cost.relative_upper, relative=True) in line
    assert "to spare" in line
    (other,) = [line for line in text.splitlines() if line.startswith("complaint ")]
    assert words.change(complaint.estimate, complaint.lower, complaint.upper, relative=False) in other
    assert "not rise by 0.1" in other
    assert max(len(one) for one in text.splitlines()[:12]) <= 100


def test_checks_that_hold_are_one_line_and_those_that_fail_are_named(run: Run, ramping: World) -> None:
    look = look_at(ramping.home, ramping.toggle, ramping.clock.now())
    assert f"health: {len(look.health)} checks hold\n" in run("canary", MODEL).stdout
    for path in ramping.home.outcomes_dir(MODEL).glob("*.parquet"):
        path.unlink()
    text = run("canary", MODEL).stdout
    assert "  missing_outcomes: " in text
    assert "  times: " not in text
    assert "nan" not in text
    assert text.splitlines()[2].startswith("HOLD, CANNOT BE JUDGED: ")


def test_a_look_as_json_is_the_look(run: Run, ramping: World) -> None:
    document = parsed(run("canary", MODEL, SECOND, "--json"))
    look = look_at(ramping.home, ramping.toggle, ramping.clock.now()).to_json()
    assert {name: document[name] for name in look} == look
    assert (document["toggle"], document["state"]) == (TOGGLE, "ramping")


def test_a_look_back_at_a_promoted_challenger_says_what_its_last_stage_called_for(run: Run, act: Run, awaiting: World) -> None:
    act("approve", MODEL, SECOND)
    assert awaiting.controller.decide(MODEL, SECOND, SYSTEM).decision == "promote"
    text = run("canary", MODEL, SECOND).stdout
    assert "too late for what it calls for: the toggle has ended" in text
    assert "ASK FOR APPROVAL: " in text
    assert "not a stage of the ramp" not in text
    awaiting.forward(days=5)
    assert "nothing new has matured" not in run("canary", MODEL, SECOND).stdout, "it has no traffic of its own any more"


def test_traffic_that_stopped_is_said_before_the_measures(run: Run, ramping: World) -> None:
    ramping.forward(days=5)
    (warning,) = [line for line in run("canary", MODEL).stdout.splitlines() if "nothing new has matured" in line]
    assert warning.startswith("read before deciding: ")


def test_without_a_toggle_there_is_no_canary(run: Run, candidates: World, act: Run) -> None:
    assert "no toggle is active, so there is no canary; retrains with a toggle: none" in run("canary", MODEL, code=3).stderr
    candidates.bootstrap()
    assert f"retrain {FIRST} has no toggle" in run("canary", MODEL, FIRST, code=3).stderr
    act("toggle", "arm", MODEL, SECOND)
    assert "has not been armed" in run("canary", MODEL, code=3).stderr


def test_a_toggle_that_ended_can_still_be_looked_at(run: Run, act: Run, ramping: World) -> None:
    act("toggle", "rollback", MODEL)
    assert "too late for what it calls for: the toggle has ended" in run("canary", MODEL, SECOND).stdout
