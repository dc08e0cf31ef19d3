from __future__ import annotations

from retrain_assets.contract import Contract

from .conftest import Run, parsed
from .world import ATTRIBUTES, MODEL, RUTH, World

DAYS = ("--from", "2024-04-05", "--to", "2024-04-08")


def test_a_declared_freeze_stops_the_ramp_and_is_listed_until_it_is_lifted(act: Run, run: Run, ramping: World) -> None:
    act("toggle", "hold", MODEL)
    text = act("freeze", "add", *DAYS).stdout
    number = ramping.controller.platform().freezes[0].number
    assert f"freeze {number} of all models: none → 2024-04-05 to 2024-04-08 (because of the test)" in text
    assert "resume is stopped: 2024-04-05 is in a change freeze" in act("toggle", "resume", MODEL, code=1).stderr
    (row,) = parsed(run("freeze", "list", "--json"))
    assert (row["number"], row["model"], row["state"]) == (number, None, "in force")
    assert "in force  person:ruth@example.org  because of the test" in run("freeze", "list").stdout
    assert "CHANGE FREEZE of all models until 2024-04-08 is over: because of the test" in run("status").stdout
    shown = run("toggle", "show", MODEL).stdout
    assert "stopped:        resume: 2024-04-05 is in a change freeze (because of the test)" in shown
    assert "(because of the test) → none" in act("freeze", "lift", str(number)).stdout
    assert "no freeze is in force or to come" in run("freeze", "list").stdout
    assert "held at 50 % → ramping at 50 %" in act("toggle", "resume", MODEL).stdout


def test_a_freeze_of_one_model_is_listed_for_it_with_its_contracts_own(act: Run, run: Run, ramping: World) -> None:
    freeze = {"start": "2024-12-20", "end": "2025-01-02", "reason": "holidays"}
    contract = Contract.model_validate({**ATTRIBUTES, "cadence": {"min_interval": "7d", "freeze": [freeze]}})
    ramping.controller.launch_retrain(contract, None, {"kind": "person"}, RUTH)
    act("freeze", "add", *DAYS, MODEL)
    rows = parsed(run("freeze", "list", MODEL, "--json"))
    assert [(row["by"], row["state"], row["reason"]) for row in rows] == [
        ("person:ruth@example.org", "in force", "because of the test"),
        ("contract", "to come", "holidays"),
    ]
    ramping.forward(days=10)
    assert [row["by"] for row in parsed(run("freeze", "list", "--json"))] == ["contract"]
    assert [row["state"] for row in parsed(run("freeze", "list", "--over", "--json"))] == ["over", "to come"]


def test_what_cannot_be_is_refused_in_one_line(act: Run, ramping: World) -> None:
    assert "it ends before it begins" in act("freeze", "add", "--from", "2024-04-09", "--to", "2024-04-08", code=1).stderr
    assert "it is over already" in act("freeze", "add", "--from", "2024-04-01", "--to", "2024-04-02", code=1).stderr
    assert "no declared freeze 7" in act("freeze", "lift", "7", code=1).stderr
    assert "'soon' does not match" in act("freeze", "add", "--from", "soon", "--to", "2024-04-02", code=2).stderr
    assert "did you mean churn?" in act("freeze", "add", *DAYS, "chrun", code=3).stderr
