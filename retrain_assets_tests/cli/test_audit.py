from __future__ import annotations

import re
from datetime import timedelta

from .conftest import Run, parsed
from .world import FIRST, MODEL, RUTH, SECOND, World


def test_list_and_show_are_the_record(run: Run, ramping: World) -> None:
    rows = parsed(run("audit", "list", "--json"))
    assert [(row["retrain"], row["ended"]) for row in rows] == [(FIRST, "bootstrapped"), (SECOND, None)]
    shown = parsed(run("audit", "show", MODEL, FIRST, "--json"))["events"]
    recorded = [event.to_json() for event in ramping.controller.ledger.events(model=MODEL, retrain=FIRST)]
    assert shown == recorded
    text = run("audit", "show", MODEL).stdout
    assert len(text.splitlines()) == 1 + len(ramping.controller.ledger.events(model=MODEL))
    assert "champion_bootstrapped" in text
    assert "there is no retrain '2020-01-01'" in run("audit", "show", MODEL, "2020-01-01", code=3).stderr


def test_the_platforms_record_keeps_who_gave_a_token_that_is_gone_and_who_engaged_what(
    run: Run, act: Run, ramping: World
) -> None:
    act("token", "add", "pager", "--actor", "system:pager", "--scope", "operate", "--model", MODEL, "--expires-after", "2d")
    act("token", "revoke", "pager")
    act("kill", MODEL)
    act("freeze", "add", "--from", "2024-04-10", "--to", "2024-04-12")
    act("owner", "left", "team:gone")
    head, *rows = [re.split(r"  +", line.strip()) for line in run("audit", "platform").stdout.splitlines()]
    assert head == ["event", "at", "by", "kind", "model", "what", "reason"]
    told = parsed(run("audit", "platform", "--json"))["events"]
    assert [event["sequence"] for event in told] == [int(row[0]) for row in rows]
    rows = [row for row in rows if row[2] == str(RUTH)]
    assert [row[3:6] for row in rows] == [
        ["token_added", "all", f"all models: pager: operate of {MODEL} for system:pager, until {until(ramping)}"],
        ["token_revoked", "all", "all models: pager"],
        ["kill_switch_engaged", MODEL, "-"],
        ["freeze_declared", "all", "all models: 2024-04-10 to 2024-04-12"],
        ["owner_left", "all", "all models: team:gone"],
    ]
    assert {row[6] for row in rows} == {"because of the test"}
    everything = parsed(run("audit", "show", "--json"))
    assert told == [event for event in everything["events"] if event["retrain"] is None]
    assert everything.keys() == parsed(run("audit", "platform", "--json")).keys()


def until(world: World) -> str:
    return f"{world.clock.now() + timedelta(days=2):%Y-%m-%d %H:%M} UTC"


def test_what_concerned_all_models_stands_among_a_models_events_with_what_it_was_about(
    run: Run, act: Run, ramping: World
) -> None:
    act("owner", "left", "team:accounts")
    act("freeze", "add", "--from", "2024-04-05", "--to", "2024-04-08")
    act("kill", "--all")
    act("owner", "back", "team:accounts")
    act("token", "add", "checkout", "--scope", "predict", "--actor", "system:checkout")
    said = ("owner_left  ", "freeze_declared  ", "kill_switch_engaged  ", "rolled_back  ")
    for shown in (run("audit", "show", MODEL).stdout, run("audit", "show", MODEL, SECOND).stdout):
        assert all(kind in shown for kind in said)
        assert re.search(r"all models: team:accounts +because of the test", shown)
        assert re.search(r"all models: 2024-04-05 to 2024-04-08 +because of the test", shown)
    assert "owner_back  " in run("audit", "show", MODEL).stdout
    assert "token_added" not in shown
    everything = run("audit", "show").stdout
    assert re.search(r"all models: checkout: predict for system:checkout +because of the test", everything)
    document = parsed(run("audit", "show", "--json"))
    assert len(document["events"]) == ramping.controller.ledger.head()[0]
