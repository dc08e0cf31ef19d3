from __future__ import annotations

import pytest

from retrain_assets.ledger import EVERY_MODEL, EventDraft, EventKind
from retrain_assets_tests.tampering import tampered

from .conftest import Run, parsed
from .world import MODEL, RUTH, SECOND, TOGGLE, World

SCOPES = pytest.mark.parametrize(("scope", "whose"), [(MODEL, MODEL), ("--all", "all models")])


@SCOPES
def test_the_switch_rolls_back_at_once_and_says_what_it_changed(
    act: Run, run: Run, ramping: World, scope: str, whose: str
) -> None:
    text = act("kill", scope).stdout
    assert f"kill switch of {whose}: none → engaged (because of the test)" in text
    assert f"{MODEL}: toggle {TOGGLE}: ramping at 50 % → rolled back at 50 %" in text
    assert f"{MODEL}: share of {TOGGLE}: 0.5 → 0" in text
    assert "kill_switch_engaged at 2024-04-05 06:00 UTC by ruth@example.org: because of the test" in text
    assert run("route", MODEL, "--units", "-", stdin="a\n").stdout == "a\tchampion\t1\trolled_back\n"
    assert "nothing changed; it was so already" in act("kill", scope).stdout
    assert "holds" in run("audit", "verify").stdout


@SCOPES
def test_status_and_list_say_loudly_that_it_is_engaged(act: Run, run: Run, ramping: World, scope: str, whose: str) -> None:
    act("kill", scope)
    loud = f"KILL SWITCH of {whose} ENGAGED since 2024-04-05 06:00 UTC by ruth@example.org: because of the test"
    for shown in (run("status"), run("status", MODEL), run("toggle", "list"), run("toggle", "list", MODEL)):
        assert f'{loud}; when its cause is gone: retrain kill --release {scope} --reason "why"\n' in shown.stdout
    document = parsed(run("status", "--json"))
    assert [one["model"] for one in document["kill_switches"]] == [None if scope == "--all" else MODEL]
    assert document["models"][0]["kill_switch"]["reason"] == "because of the test"
    assert parsed(run("toggle", "list", "--json"))[0]["kill_switch"]["by"] == "person:ruth@example.org"


@SCOPES
def test_nothing_is_armed_until_it_is_released(act: Run, candidates: World, scope: str, whose: str) -> None:
    candidates.bootstrap()
    act("kill", scope)
    refused = act("toggle", "arm", MODEL, code=1).stderr
    assert f"arm is stopped: the kill switch of {whose} is engaged since 2024-04-01 06:00 UTC" in refused
    assert f"when its cause is gone: retrain kill --release {scope}" in refused
    text = act("kill", "--release", scope).stdout
    assert f"kill switch of {whose}: engaged (because of the test) → none" in text
    assert "none → armed" in act("toggle", "arm", MODEL).stdout


def test_releasing_one_says_which_is_engaged_still(act: Run, ramping: World) -> None:
    act("kill", MODEL)
    act("kill", "--all")
    assert f"still engaged: the kill switch of {MODEL}" in act("kill", "--release", "--all").stdout


def test_as_json_it_holds_the_switches_the_changes_and_the_events(act: Run, ramping: World) -> None:
    change = parsed(act("kill", "--all", "--json"))
    assert [one["model"] for one in change["kill_switches"]] == [None]
    assert change["changed"] == [{"what": "kill switch of all models", "from": None, "to": "engaged (because of the test)"}]
    assert {"what": f"share of {TOGGLE}", "from": "0.5", "to": "0"} in change["models"][MODEL]
    assert [event["kind"] for event in change["events"]] == ["kill_switch_engaged", "rolled_back"]


def test_it_is_done_although_the_registry_does_not_answer(act: Run, ramping: World) -> None:
    deaf = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    result = act("kill", "--all", **deaf)
    assert "ramping at 50 % → rolled back at 50 %" in result.stdout
    assert result.stderr.startswith("retrain: note: recorded and routed, but the registry is behind (")
    assert ramping.flags()["flags"][MODEL]["metadata"]["state"] == "rolled_back"


def test_what_could_not_be_done_is_said_and_the_exit_code_tells(
    act: Run, ramping: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("retrain_assets.release.door.write_flags", full)
    result = act("kill", "--all", code=3)
    assert "not done: flag document: [Errno 28] No space left on device" in result.stdout
    assert "the switch is engaged, and this could not be done: flag document" in result.stderr


@pytest.mark.parametrize("arguments", [[], [MODEL, "--all"]])
def test_it_takes_one_model_or_all(act: Run, ramping: World, arguments: list[str]) -> None:
    assert "name one model or write --all" in act("kill", *arguments, code=2).stderr


def test_a_model_nobody_knows_is_refused_and_a_machine_does_not_release(act: Run, run: Run, ramping: World) -> None:
    assert "nothing is recorded about model 'chrun'; did you mean churn?" in act("kill", "chrun", code=3).stderr
    act("kill", MODEL)
    refused = run("kill", "--release", MODEL, "--reason", "why", "--as", "system:pager", code=1)
    assert "releasing a kill switch is for a person" in refused.stderr


def test_a_model_of_the_project_that_never_ran_can_be_stopped_beforehand(act: Run, run: Run, ramping: World) -> None:
    with tampered(ramping.home.root / "ledger.db") as ledger:
        ledger.execute("DELETE FROM events")
        ledger.execute("UPDATE head SET sequence = 0, hash = ?", ("0" * 64,))
        ledger.execute("DELETE FROM projections")
    ramping.home.flags_path.unlink()
    assert f"kill switch of {MODEL}: none → engaged" in act("kill", MODEL).stdout
    assert f"KILL SWITCH of {MODEL} ENGAGED" in run("status").stdout
    assert not ramping.home.flags_path.exists()
    assert run("reconcile").stderr == ""


def test_the_record_verifies_with_a_switch_of_a_model_the_registry_has_never_seen(run: Run, ramping: World) -> None:
    ramping.controller.engage_kill_switch("model_to_come", RUTH, "not before the audit")
    assert "holds" in run("audit", "verify").stdout
    assert "KILL SWITCH of model_to_come ENGAGED" in run("status").stdout


@pytest.mark.parametrize(("scope", "days", "named"), [(MODEL, 8, True), ("--all", 6, True), ("--all", 8, False)])
def test_a_promoted_champion_which_it_does_not_stop_is_named_with_the_way_back(
    act: Run, awaiting: World, scope: str, days: int, named: bool
) -> None:
    act("approve", MODEL, SECOND)
    awaiting.controller.decide(MODEL, SECOND)
    awaiting.forward(days=days)
    text = act("kill", scope).stdout
    assert "no challenger got traffic; champions answered everybody already" in text
    champion = f"{MODEL}: its champion, version 2, was promoted on 2024-04-05 and goes on; back to version 1: "
    assert (f'{champion}retrain toggle rollback {TOGGLE} --reason "why"\n' in text) is named


@pytest.mark.parametrize("arguments", [("reconcile",), ("reconcile", "--json"), ("status",)])
def test_what_a_switch_was_to_roll_back_when_its_process_died_is_rolled_back_and_said(
    run: Run, ramping: World, arguments: tuple[str, ...]
) -> None:
    ramping.controller.ledger.append(
        EventDraft(ramping.clock.now(), RUTH, EventKind.KILL_SWITCH_ENGAGED, EVERY_MODEL, "and then its process died")
    )
    result = run(*arguments)
    said = {
        ("reconcile",): f"{TOGGLE}: rolled back, as an engaged kill switch demands\n",
        ("reconcile", "--json"): f'"rolled_back": [\n    "{TOGGLE}"\n  ]',
        ("status",): f"retrain: note: {TOGGLE} was rolled back, as an engaged kill switch demands\n",
    }[arguments]
    assert said in (result.stderr if arguments == ("status",) else result.stdout)
    assert ramping.flags()["flags"][MODEL]["metadata"]["state"] == "rolled_back"
