from __future__ import annotations

import sqlite3

import pytest

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.ledger import SYSTEM

from .conftest import Run, parsed
from .world import FIRST, MODEL, RUTH, SECOND, TOGGLE, World


def test_list_and_show_tell_the_state_and_what_is_possible(run: Run, ramping: World) -> None:
    (row,) = parsed(run("toggle", "list", "--json"))
    assert (row["toggle"], row["state"], row["share"]) == (TOGGLE, "ramping", 0.5)
    assert f"{TOGGLE}  ramping at 50 %  2        team:accounts  4 d  2024-04-21     -" in run("toggle", "list", MODEL).stdout
    text = run("toggle", "show", MODEL).stdout
    assert text.startswith(f"active toggle of {MODEL}:\n")
    assert "ramp:           shadow, [50], 100" in text
    assert f'possible:       retrain toggle hold {TOGGLE} --reason "why"\n' in text
    assert text.endswith(f'retrain toggle rollback {TOGGLE} --reason "why"\n                ask approval, by the model\'s jobs\n')
    assert parsed(run("toggle", "show", TOGGLE, "--json"))["revision"] == 4


@pytest.mark.parametrize("name", [TOGGLE, MODEL])
def test_hold_and_resume_by_toggle_or_by_model(act: Run, ramping: World, name: str) -> None:
    text = act("toggle", "hold", name).stdout
    assert f"{MODEL}: toggle {TOGGLE}: ramping at 50 % → held at 50 %" in text
    assert f"{MODEL}: revision of {TOGGLE}: 4 → 5" in text
    assert "toggle_held at 2024-04-05 06:00 UTC by ruth@example.org: because of the test" in text
    assert (f"active toggle of {MODEL} is {TOGGLE}" in text) is (name == MODEL)
    assert ramping.flags()["flags"][MODEL]["metadata"]["state"] == "held"
    assert "held at 50 % → ramping at 50 %" in act("toggle", "resume", name).stdout


def test_a_change_as_json_holds_what_changed_and_the_events(act: Run, ramping: World) -> None:
    change = parsed(act("toggle", "hold", MODEL, "--json"))
    assert {"what": f"toggle {TOGGLE}", "from": "ramping at 50 %", "to": "held at 50 %"} in change["changed"]
    assert change["actor"] == "person:ruth@example.org"
    assert change["toggle"]["state"] == "held"
    assert [event["kind"] for event in change["events"]] == ["toggle_held"]
    assert change["events"][0]["reason"] == "because of the test"


def test_step_goes_through_the_ramp_and_no_further(act: Run, candidates: World) -> None:
    candidates.bootstrap()
    assert "toggle churn-2024-04-01: none → armed" in act("toggle", "arm", MODEL, SECOND).stdout
    assert "armed → shadow" in act("toggle", "step", MODEL).stdout
    assert f"share of {TOGGLE}: 0 → 0.5" in act("toggle", "step", MODEL).stdout
    refused = act("toggle", "step", MODEL, code=1)
    assert "it is the last stage below 100, and 100 is the promotion" in refused.stderr


@pytest.mark.parametrize("name", [[MODEL, SECOND], [TOGGLE], [MODEL]])
def test_arming_takes_a_model_and_a_retrain_in_any_writing(act: Run, candidates: World, name: list[str]) -> None:
    candidates.bootstrap()
    assert "none → armed" in act("toggle", "arm", *name).stdout
    assert candidates.flags()["flags"][MODEL]["metadata"]["toggle"] == TOGGLE


def test_arming_is_refused_without_a_champion_and_beside_an_active_toggle(act: Run, candidates: World) -> None:
    assert "2024-03-01 and 2024-04-01 wait for a toggle; name one" in act("toggle", "arm", MODEL, code=1).stderr
    assert "the model has no champion" in act("toggle", "arm", MODEL, SECOND, code=1).stderr
    candidates.bootstrap()
    act("toggle", "arm", MODEL)
    assert "no retrain has a candidate that waits" in act("toggle", "arm", MODEL, code=1).stderr
    assert "it was decided already" in act("toggle", "arm", MODEL, FIRST, code=1).stderr


def test_a_candidate_that_a_gate_stopped_waits_for_no_toggle(act: Run, candidates: World) -> None:
    third = "2024-04-02"
    candidates.bootstrap()
    candidates.candidate(third)
    assert f"{SECOND} and {third} wait for a toggle" in act("toggle", "arm", MODEL, code=1).stderr
    stopped = Verdict(Gate.OFFLINE, "holds", Outcome.FAIL, "does not hold", 0.5, 0.6)
    controller = candidates.controller
    subjects = dict(controller.state(MODEL).retrains[third].subjects)
    controller.record_gate(MODEL, third, Gate.OFFLINE, [stopped], subjects)
    assert f"toggle {TOGGLE}: none → armed" in act("toggle", "arm", MODEL).stdout


def test_rollback_of_the_active_toggle_gives_all_traffic_back(run: Run, act: Run, ramping: World) -> None:
    text = act("toggle", "rollback", MODEL).stdout
    assert f"active toggle of {MODEL} is {TOGGLE}" in text
    assert f"toggle {TOGGLE}: ramping at 50 % → rolled back at 50 %" in text
    assert f"share of {TOGGLE}: 0.5 → 0" in text
    assert (
        run("route", MODEL, "--units", "-", stdin="a\nb\n").stdout == "a\tchampion\t1\trolled_back\nb\tchampion\t1\trolled_back\n"
    )


def test_a_rollback_is_done_although_the_registry_does_not_answer(run: Run, act: Run, ramping: World) -> None:
    """What serves changes first; the registry follows when it answers, by the next command."""
    deaf = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    result = act("toggle", "rollback", MODEL, **deaf)
    assert "ramping at 50 % → rolled back at 50 %" in result.stdout
    assert result.stderr.startswith("retrain: note: ")
    assert "the registry is behind" in result.stderr
    assert "http://127.0.0.1:9: the MLflow store does not open" in result.stderr
    assert result.stderr.count("\n") == 1
    assert ramping.flags()["flags"][MODEL]["metadata"]["state"] == "rolled_back"
    assert "the registry is behind the ledger" in run("status", **deaf).stderr
    assert "brought up to it (churn/2 rolled_back, churn@challenger -> nothing" in run("status").stderr
    assert run("status").stderr == ""


def test_a_rollback_is_done_although_the_registry_is_damaged(act: Run, ramping: World) -> None:
    with sqlite3.connect(ramping.home.root / "mlflow.db") as registry:
        registry.execute("DROP TABLE registered_model_aliases")
    registry.close()
    result = act("toggle", "rollback", MODEL)
    assert "ramping at 50 % → rolled back at 50 %" in result.stdout
    assert result.stderr.startswith("retrain: note: recorded and routed, but the registry is behind (")
    assert "no such table: registered_model_aliases)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_rollback_by_model_after_a_promotion_restores_the_previous_champion(run: Run, act: Run, awaiting: World) -> None:
    awaiting.controller.approve(MODEL, SECOND, RUTH, "clear win")
    assert awaiting.controller.decide(MODEL, SECOND, SYSTEM).decision == "promote"
    assert awaiting.champion == "2"
    text = act("toggle", "rollback", MODEL).stdout
    assert f"last promoted toggle of {MODEL} is {TOGGLE}" in text
    assert f"{MODEL}: champion: version 2 → version 1" in text
    assert awaiting.flags()["flags"][MODEL]["metadata"]["champion_version"] == "1"
    assert "holds" in run("audit", "verify").stdout
    refused = act("toggle", "rollback", MODEL, code=1)
    assert "there is nothing to roll back: no challenger gets traffic, and no promoted toggle made the champion" in refused.stderr


def test_extend_and_retire_say_from_and_to(act: Run, ramping: World) -> None:
    assert "2024-04-21 06:00 UTC → 2024-04-28 06:00 UTC" in act("toggle", "extend", MODEL, "--by", "7d").stdout
    assert "would lie after the removal date" in act("toggle", "extend", MODEL, "--by", "7d", code=1).stderr
    assert "it has no toggle to retire" in act("toggle", "retire", MODEL, code=1).stderr
    act("reject", MODEL, SECOND)
    assert "rejected at 50 % → retired" in act("toggle", "retire", MODEL).stdout


def test_a_reason_is_required_in_one_clear_line(run: Run, ramping: World) -> None:
    result = run("toggle", "hold", MODEL, "--as", RUTH.name, code=2)
    assert result.stderr == "retrain: toggle hold: a reason is missing; add --reason and say why in one sentence\n"
    assert "a reason is missing" in run("toggle", "hold", MODEL, "--as", RUTH.name, "--reason", " ", code=1).stderr
    assert ramping.toggle.revision == 4


def test_somebody_must_be_named_by_option_or_environment(run: Run, ramping: World) -> None:
    refused = run("toggle", "hold", MODEL, "--reason", "why", code=1)
    assert refused.stderr == "retrain: nobody is named as the one who acts; add --as you@example.org or set RETRAIN_ACTOR\n"
    assert "by ann@example.org" in run("toggle", "hold", MODEL, "--reason", "why", RETRAIN_ACTOR="ann@example.org").stdout
    assert "by system:pager" in run("toggle", "rollback", MODEL, "--reason", "why", "--as", "system:pager").stdout
    nobody = run("toggle", "hold", MODEL, "--reason", "why", "--as", "bob", code=1).stderr
    assert "'bob' is not an e-mail address; write --as you@example.org" in nobody
    assert "'team:x' is not an actor" in run("toggle", "hold", MODEL, "--reason", "why", "--as", "team:x", code=3).stderr


def test_a_machine_may_roll_back_and_not_resume(run: Run, act: Run, ramping: World) -> None:
    act("toggle", "hold", MODEL)
    refused = run("toggle", "resume", MODEL, "--reason", "why", "--as", "system:pager", code=1)
    assert "resume is for a person" in refused.stderr


def test_a_revision_that_was_overtaken_loses_the_race(act: Run, ramping: World) -> None:
    act("toggle", "hold", MODEL, "--revision", "4")
    lost = act("toggle", "resume", MODEL, "--revision", "4", code=5)
    assert "the toggle is at revision 5, not 4" in lost.stderr
    assert ramping.toggle.state == "held"


def test_unknown_names_are_answered_with_the_one_that_was_meant(act: Run, run: Run, ramping: World) -> None:
    assert f"did you mean {TOGGLE}?" in run("toggle", "show", "churn-2024-04-10", code=3).stderr
    assert "retrain toggle list shows the toggles" in act("toggle", "hold", "xyz", code=3).stderr
    assert "there is no retrain '2024-05-01'" in act("toggle", "arm", MODEL, "2024-05-01", code=3).stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["toggle", "extend", MODEL, "--by", "soon"], "'soon' is not a duration"),
        (["toggle", "extend", MODEL], "missing option '--by'; see retrain toggle extend --help"),
        (["toggle", "hodl", MODEL], "no such command 'hodl'"),
        (["--what"], "--what"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(run: Run, arguments: list[str], told: str) -> None:
    more = ["--reason", "why", "--as", RUTH.name] if arguments[0] == "toggle" else []
    result = run(*arguments, *more, code=2)
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_rollback_that_cannot_be_routed_says_that_it_is_recorded_and_that_traffic_goes_on(
    run: Run, act: Run, ramping: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("retrain_assets.release.door.write_flags", full)
        refused = act("toggle", "rollback", MODEL, code=3).stderr
    assert "(rolled_back) is recorded, but flags.json does not show it (No space left on device)" in refused
    assert "traffic is divided as before; make room or make it writable, then: retrain reconcile\n" in refused
    assert ramping.flags()["flags"][MODEL]["metadata"]["state"] == "ramping"
    run("reconcile")
    assert ramping.flags()["flags"][MODEL]["metadata"]["state"] == "rolled_back"
