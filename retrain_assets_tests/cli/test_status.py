from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run, parsed
from .world import FIRST, MODEL, SECOND, TOGGLE, World


def test_a_home_without_a_record_says_so_and_stays_empty(run: Run, retrain_home: Path) -> None:
    assert "nothing is recorded here yet" in run("status").stdout
    assert parsed(run("status", "--json"))["models"] == []
    assert parsed(run("toggle", "list", "--json")) == []
    assert parsed(run("audit", "list", "--json")) == []
    assert not retrain_home.exists()


def test_a_typing_error_in_the_home_makes_no_ledger(run: Run, act: Run, retrain_home: Path) -> None:
    for arguments in (["status", MODEL], ["toggle", "show", MODEL], ["audit", "verify"], ["canary", MODEL], ["reconcile"]):
        assert "there is no ledger here" in run(*arguments, code=3).stderr
    assert "there is no ledger here" in act("toggle", "hold", MODEL, code=3).stderr
    assert not retrain_home.exists()


def test_status_tells_champion_toggle_and_retrains(run: Run, ramping: World) -> None:
    text = run("status").stdout
    assert f"home: {ramping.home.root}" in text
    assert "replay clock: 2024-04-05 06:00 UTC" in text
    assert f"{MODEL}: champion is version 1 of retrain {FIRST}, since 2024-04-01 06:00 UTC" in text
    assert f"toggle {TOGGLE}: ramping at 50 %, revision 4, expires 2024-04-21 06:00 UTC" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith("2024-")] == [FIRST, SECOND]


def test_status_as_json_is_what_the_ledger_says(run: Run, ramping: World) -> None:
    document = parsed(run("status", MODEL, "--json"))
    (model,) = document["models"]
    assert document["replay_clock"] is True
    assert document["now"] == ramping.clock.now().isoformat()
    assert model["champion"]["version"] == "1"
    assert model["active_toggle"]["toggle"] == TOGGLE
    assert [toggle["state"] for toggle in model["toggles"]] == ["ramping"]
    assert [retrain["ended"] for retrain in model["retrains"]] == ["bootstrapped", None]


def test_status_on_the_system_clock_does_not_speak_of_a_replay(run: Run, ramping: World) -> None:
    ramping.home.replay_clock_path.unlink()
    assert "replay clock" not in run("status").stdout


def test_status_says_what_waits_for_a_person(run: Run, awaiting: World) -> None:
    assert (
        f"due: {TOGGLE} waits for approval: 1 of ruth@example.org or paul@example.org (given: none yet)" in run("status").stdout
    )


def test_status_counts_only_approvals_that_a_promotion_would_count(run: Run, act: Run, awaiting: World) -> None:
    """At the next look, and when it lapses, an approval is none any more; who gave it must hear so."""
    act("approve", MODEL, SECOND)
    assert "(given: ruth@example.org)" in run("status").stdout
    awaiting.forward(days=10)
    said = run("status").stdout
    assert "(given: none yet; no longer counted" in said
    assert "ruth@example.org)" in said


def test_status_says_which_toggle_is_past_its_dates(run: Run, act: Run, ramping: World) -> None:
    ramping.forward(days=20)
    assert f"due: {TOGGLE}: it expired on 2024-04-21 and is not rolled back yet\n" in run("status").stdout
    act("reject", MODEL, SECOND)
    ramping.forward(days=10)
    said = run("status").stdout
    assert f"due: {TOGGLE}: it was to be gone by 2024-05-01 and is rejected\n       retrain toggle retire {TOGGLE}" in said


def test_an_unknown_model_is_named_with_the_one_that_was_meant(run: Run, ramping: World) -> None:
    assert "nothing is recorded about model 'chrun'; did you mean churn?" in run("status", "chrun", code=3).stderr


def test_a_table_in_a_pipe_is_neither_cut_nor_coloured(run: Run, act: Run, ramping: World) -> None:
    reason = "a long reason " * 30
    run("toggle", "hold", MODEL, "--reason", reason, "--as", "ann@example.org")
    text = run("audit", "show", MODEL, SECOND).stdout
    assert reason.strip() in text
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_reason_cannot_move_the_cursor_of_who_reads_it(run: Run, ramping: World) -> None:
    run("toggle", "hold", MODEL, "--reason", "fine\x1b[2K\rall good\nsecond line", "--as", "ann@example.org")
    text = run("audit", "show", MODEL, SECOND).stdout
    assert "\x1b" not in text
    assert "\r" not in text
    assert "fine [2K all good second line" in text


def test_what_a_killed_process_left_is_repaired_by_the_next_command(run: Run, ramping: World) -> None:
    before = ramping.home.flags_path.read_bytes()
    ramping.home.flags_path.unlink()
    result = run("status")
    assert ramping.home.flags_path.read_bytes() == before
    assert result.stderr == "retrain: note: flags.json was not what the ledger says and was written again\n"
    assert run("status").stderr == ""


def test_who_made_the_first_champion_stands_as_its_approver(run: Run, ramping: World) -> None:
    (row,) = [line for line in run("status").stdout.splitlines() if line.startswith(FIRST)]
    assert row.endswith("ruth@example.org (bootstrap)")


def test_an_open_follow_up_is_told_once_however_old_it_is(run: Run, act: Run, ramping: World) -> None:
    act("toggle", "rollback", MODEL)
    ramping.forward(days=8)
    text = run("status").stdout
    assert text.count("retrain follow-up close") == 1
    assert "FOLLOW-UP" in text


def test_of_many_retrains_the_last_ten_are_printed_and_where_all_are_is_said(
    run: Run, ramping: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrain_assets.cli.status.LAST_RETRAINS", 1)
    text = run("status").stdout
    assert [line.split()[0] for line in text.splitlines() if line.startswith("2024-")] == [SECOND]
    assert f"1 earlier retrain: retrain audit list {MODEL}" in text
    assert len(parsed(run("status", "--json"))["models"][0]["retrains"]) == 2
