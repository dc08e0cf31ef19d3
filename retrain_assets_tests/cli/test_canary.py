from __future__ import annotations

from retrain_assets.serving.look import look_at

from .conftest import Run, parsed
from .world import FIRST, MODEL, SECOND, TOGGLE, World


def test_a_look_shows_measures_stages_and_health_and_records_nothing(run: Run, ramping: World) -> None:
    head = ramping.controller.ledger.head()
    text = run("canary", MODEL).stdout
    assert f"{TOGGLE}: ramping at 50 %, looked at 2024-04-05 06:00 UTC; nothing was recorded" in text
    assert "calls for: ask approval" in text
    for heading in ("measure", "stage", "health"):
        assert any(line.startswith(heading) for line in text.splitlines())
    assert ramping.controller.ledger.head() == head


def test_a_look_as_json_is_the_look(run: Run, ramping: World) -> None:
    document = parsed(run("canary", MODEL, SECOND, "--json"))
    look = look_at(ramping.home, ramping.toggle, ramping.clock.now()).to_json()
    assert {name: document[name] for name in look} == look
    assert (document["toggle"], document["state"]) == (TOGGLE, "ramping")


def test_without_a_toggle_there_is_no_canary(run: Run, candidates: World, act: Run) -> None:
    assert "no toggle is active, so there is no canary; retrains with a toggle: none" in run("canary", MODEL, code=3).stderr
    candidates.bootstrap()
    assert f"retrain {FIRST} has no toggle" in run("canary", MODEL, FIRST, code=3).stderr
    act("toggle", "arm", MODEL, SECOND)
    assert "has not been armed" in run("canary", MODEL, code=3).stderr


def test_a_toggle_that_ended_can_still_be_looked_at(run: Run, act: Run, ramping: World) -> None:
    act("toggle", "rollback", MODEL)
    assert "(too late: the toggle has ended)" in run("canary", MODEL, SECOND).stdout
