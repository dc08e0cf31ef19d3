"""What the upkeep sensor ends by itself, whom it tells of what and how often, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from retrain_assets.automation.outbox import TRIES
from retrain_assets.ledger import SYSTEM, Actor
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.automation.inbox import Inbox, closed_port, inbox
from retrain_assets_tests.automation.watch import RETRAIN, TOGGLE, Watch, contract_telling, watching
from retrain_assets_tests.release.world import PAUL, RUTH
from retrain_assets_tests.tampering import tampered

OPS = Actor("person", "ops@flights.example")


@pytest.fixture
def box() -> Iterator[Inbox]:
    with inbox() as found:
        yield found


@pytest.fixture
def watch(tmp_path: Path, box: Inbox) -> Iterator[Watch]:
    """A model whose people read one inbox; the sensor has ticked once on the empty ledger."""
    with watching(tmp_path, contract_telling(box.url())) as found:
        found.tick()
        yield found


def unread(watch: Watch, box: Inbox) -> None:
    """What happened up to here is told, and read."""
    watch.tick()
    box.messages.clear()


def test_an_idle_tick_says_nothing_shows_nothing_and_keeps_its_cursor(watch: Watch, box: Inbox) -> None:
    watch.tick()
    before = watch.cursor
    watch.tick()
    assert (watch.said, watch.events, watch.cursor) == ("nothing is due", [], before)
    assert box.attempts == 0


def test_an_approval_that_waits_is_told_once_with_the_commands_to_type(watch: Watch, box: Inbox) -> None:
    watch.world.ramp()
    unread(watch, box)
    watch.world.look(RETRAIN, "ask_approval", "better on cost, guardrails hold")
    for _ in range(3):
        watch.tick()
    (message,) = box.messages
    assert message["title"] == "[today] flight_delay: retrain 2013-07-01 waits for approval"
    assert message["type"] == "warning"
    body = message["message"]
    assert '\n    retrain approve flight_delay 2013-07-01 --reason "why it may go live"\n' in body
    assert '\n    retrain reject flight_delay 2013-07-01 --reason "why not"\n' in body
    assert "0 of 1 approvals are given; approvers are ruth@flights.example, paul@flights.example." in body
    assert "better on cost, guardrails hold" in body
    assert "retrain runbook flight_delay" in body


def test_an_approval_is_asked_for_again_when_one_that_was_given_lapsed(tmp_path: Path, box: Inbox) -> None:
    with watching(tmp_path, contract_telling(box.url(), approval={"required": 2})) as watch:
        watch.tick()
        watch.world.awaiting()
        watch.tick()
        watch.world.controller.approve("flight_delay", RETRAIN, RUTH, "fine")
        watch.tick()
        assert len(box.messages) == 1
        watch.world.clock.forward(days=4)
        watch.tick()
        assert "1 given before does not count any more" in box.messages[-1]["message"]
        assert len(box.messages) == 2


def test_a_rollback_by_a_guardrail_is_told_with_its_reason_its_stage_and_where_to_read_on(watch: Watch, box: Inbox) -> None:
    watch.world.ramp()
    unread(watch, box)
    watch.world.look(RETRAIN, "roll_back", "error_rate is shown harmed", cause="harm")
    watch.tick()
    (message,) = box.messages
    assert message["title"] == "[today] flight_delay: retrain 2013-07-01 rolled back at 50 %: error_rate is shown harmed"
    assert "Version 1 answers everybody" in message["message"]
    assert "    retrain audit show flight_delay 2013-07-01\n" in message["message"]
    assert str(watch.world.home.reports_dir("flight_delay") / "2013-07-01.html") in message["message"]


def test_an_expiry_is_announced_as_the_contract_says_then_carried_out_and_told(watch: Watch, box: Inbox) -> None:
    """30 days after arming; the contract warns 7 days and 1 day before."""
    watch.world.arm()
    watch.pass_days(31)
    told = [title for title in box.titles if "expires" in title or "rolled back" in title]
    assert told == [
        "[this week] flight_delay: toggle flight_delay-2013-07-01 expires in 7 days",
        "[today] flight_delay: toggle flight_delay-2013-07-01 expires in 24 hours",
        "[to know] flight_delay: retrain 2013-07-01 rolled back before it got traffic: it expired",
    ]
    assert watch.world.toggle(RETRAIN).state is ToggleStatus.ROLLED_BACK
    warning = next(one["message"] for one in box.messages if "in 7 days" in one["title"])
    assert 'retrain toggle extend flight_delay-2013-07-01 --by 7d --reason "why it needs longer"' in warning


def test_after_an_extension_the_warnings_come_anew(watch: Watch, box: Inbox) -> None:
    watch.world.arm()
    watch.pass_days(24)
    watch.world.controller.extend(TOGGLE, timedelta(days=5), RUTH, "slow summer")
    watch.tick()
    assert box.titles[-1] == f"[to know] flight_delay: toggle {TOGGLE} expires later, 2013-08-05 00:00 UTC: slow summer"
    watch.pass_days(6)
    assert [title for title in box.titles if "expires in" in title] == [
        "[this week] flight_delay: toggle flight_delay-2013-07-01 expires in 7 days"
    ] * 2


def test_an_extension_that_does_not_reach_far_tells_the_new_day(watch: Watch, box: Inbox) -> None:
    watch.world.arm()
    watch.pass_days(27)
    watch.world.controller.extend(TOGGLE, timedelta(days=1), RUTH, "one more day")
    watch.tick()
    assert [title for title in box.titles if "expires in" in title][-1].endswith("expires in 4 days (and 1 more)")


def test_what_happened_before_the_first_tick_is_not_told_and_what_waits_is(tmp_path: Path, box: Inbox) -> None:
    with watching(tmp_path, contract_telling(box.url())) as watch:
        watch.world.ramp("2013-07-01")
        watch.world.look("2013-07-01", "roll_back", "hurts")
        watch.world.awaiting("2013-07-08")
        watch.tick()
        watch.tick()
        assert box.titles == ["[today] flight_delay: retrain 2013-07-08 waits for approval"]


def test_after_a_long_pause_one_message_sums_up_the_most_urgent_first(watch: Watch, box: Inbox) -> None:
    for day in range(1, 7):
        watch.world.ramp(f"2013-07-0{day}")
        watch.world.look(f"2013-07-0{day}", "roll_back", "hurts", cause="harm" if day == 3 else "inconclusive")
    watch.tick()
    (message,) = box.messages
    assert message["title"] == "[today] flight_delay: retrain 2013-07-03 rolled back at 50 %: hurts (and 38 more)"
    assert message["message"].count("\n== ") == 2, "three are told in full"
    assert message["message"].count("\n- 2013-0") == 20
    assert "\n- and 16 more: retrain status flight_delay\n" in message["message"]


def test_a_message_that_is_not_taken_is_tried_again_and_brings_along_what_came_meanwhile(watch: Watch, box: Inbox) -> None:
    box.status = 500
    watch.world.awaiting()
    watch.tick()
    assert "HTTP status 500; try 1 of 24, again from" in watch.said
    watch.tick()
    assert box.attempts == 1, "not before its pause is over"
    watch.world.controller.reject("flight_delay", RETRAIN, RUTH, "too dear")
    box.status = 200
    watch.world.clock.forward(minutes=1)
    watch.tick()
    (message,) = box.messages
    assert "rolled back" in message["title"]
    assert "waits for approval" not in message["message"], "nobody waits any more"


def test_a_rollback_that_was_not_taken_is_told_when_the_service_is_back(watch: Watch, box: Inbox) -> None:
    """Its event lies before the cursor by then."""
    watch.world.ramp()
    unread(watch, box)
    box.status = 500
    watch.world.controller.rollback(TOGGLE, RUTH, "hurts")
    watch.tick()
    watch.tick()
    box.status = 200
    watch.world.clock.forward(hours=1)
    watch.tick()
    watch.tick()
    assert box.titles == ["[to know] flight_delay: retrain 2013-07-01 rolled back at 50 %: hurts"]


def test_a_person_who_retires_a_toggle_is_not_told_of_it(watch: Watch, box: Inbox) -> None:
    watch.world.ramp()
    watch.world.controller.reject("flight_delay", RETRAIN, RUTH, "hurts")
    watch.tick()
    watch.world.controller.retire(TOGGLE, RUTH, "done")
    watch.tick()
    assert not any("retired" in title for title in box.titles)


def test_who_took_a_message_does_not_get_it_again_because_another_did_not(tmp_path: Path, box: Inbox) -> None:
    with inbox() as broken, watching(tmp_path, contract_telling(box.url(), broken.url(), "${NOT_SET}")) as watch:
        broken.status = 503
        watch.tick()
        watch.world.awaiting()
        for _ in range(4):
            watch.tick()
            watch.world.clock.forward(minutes=5)
        assert len(box.messages) == 1
        broken.status = 200
        watch.world.clock.forward(minutes=15)
        watch.tick()
        assert broken.titles == box.titles
        assert "notify[2] ${NOT_SET}: the environment variable NOT_SET is not set" in watch.said


def test_what_nobody_takes_is_given_up_shown_on_the_asset_and_not_tried_for_ever(tmp_path: Path) -> None:
    with watching(tmp_path, contract_telling(f"json://127.0.0.1:{closed_port()}/")) as watch:
        watch.tick()
        watch.world.awaiting()
        for _ in range(TRIES - 1):
            watch.tick()
            watch.world.clock.forward(minutes=15)
        assert "cannot be reached; try 23 of 24" in watch.said
        watch.tick()
        assert "given up after 24 tries: notify[0] json://…: the service cannot be reached; it was: [today]" in watch.said
        (observation,) = [event for event in watch.events if isinstance(event, dg.AssetObservation)]
        assert observation.asset_key == dg.AssetKey(["flight_delay", "toggle_debt"])
        assert "waits for approval" in str(observation.description)
        watch.world.clock.forward(minutes=15)
        watch.tick()
        assert watch.said == "nothing is due"


def test_a_service_that_is_down_does_not_keep_a_toggle_from_expiring(tmp_path: Path) -> None:
    with watching(tmp_path, contract_telling(f"json://127.0.0.1:{closed_port()}/", "nosuchservice://token")) as watch:
        watch.world.arm()
        watch.tick()
        watch.world.clock.forward(days=30)
        watch.tick()
        assert watch.world.toggle(RETRAIN).state is ToggleStatus.ROLLED_BACK
        assert watch.said.startswith("flight_delay-2013-07-01 expired and was rolled back")


def test_a_process_that_died_before_its_cursor_was_stored_tells_again(watch: Watch, box: Inbox) -> None:
    watch.world.awaiting()
    watch.tick(stored=False)
    watch.tick()
    assert len(box.titles) == 2
    assert len(set(box.titles)) == 1


def test_a_kill_switch_of_all_models_is_told_once_to_an_inbox_that_several_share(tmp_path: Path, box: Inbox) -> None:
    with inbox() as own, watching(tmp_path, contract_telling(box.url())) as watch:
        other = Watch(watch.world, watch.instance, contract_telling(box.url(), own.url(), model="taxi_fare"))
        watch.world.ramp()
        watch.tick()
        other.tick()
        watch.world.controller.engage_kill_switch(None, OPS, "prices are wrong everywhere")
        for one in (watch, other, watch, other):
            one.tick()
        assert box.titles == ["[now] all models: kill switch of all models engaged: prices are wrong everywhere"]
        assert own.titles == box.titles
        assert "retrain kill --release --all" in box.messages[0]["message"]
        watch.world.controller.release_kill_switch(None, OPS, "mended")
        for one in (other, watch):
            one.tick()
        assert len(box.titles) == len(own.titles) == 2


def test_an_offer_to_another_owner_is_told_with_how_to_accept_it(watch: Watch, box: Inbox) -> None:
    watch.world.ramp()
    unread(watch, box)
    watch.world.controller.offer_transfer(TOGGLE, PAUL.name, RUTH, "new team")
    watch.tick()
    (message,) = box.messages
    assert message["title"] == "[this week] flight_delay: toggle flight_delay-2013-07-01 is offered to paul@flights.example"
    assert "    retrain toggle accept flight_delay-2013-07-01" in message["message"]
    watch.world.controller.accept_transfer(TOGGLE, PAUL, "mine now")
    watch.tick()
    assert box.titles[-1] == "[to know] flight_delay: toggle flight_delay-2013-07-01 now belongs to paul@flights.example"


def test_a_review_that_is_due_is_told_once_and_again_a_period_after_the_next_review(watch: Watch, box: Inbox) -> None:
    watch.world.ramp()
    watch.pass_days(15)
    watch.world.controller.review(TOGGLE, RUTH, "still needed")
    watch.pass_days(14)
    reviews = [one for one in box.messages if "nobody has said" in one["title"] + one["message"]]
    assert len(reviews) == 2
    assert "flight_delay-2013-07-01: nobody has said for more than 14d" in reviews[0]["title"]


def test_what_nobody_ends_is_retired_at_its_removal_date_and_told(watch: Watch, box: Inbox) -> None:
    watch.world.ramp()
    watch.world.controller.rollback(TOGGLE, RUTH, "hurts")
    watch.world.clock.forward(days=61)
    watch.tick()
    assert watch.world.toggle(RETRAIN).state is ToggleStatus.RETIRED
    assert "flight_delay-2013-07-01 was retired by policy" in watch.said
    assert any("retired by policy" in message["message"] + message["title"] for message in box.messages)


@pytest.mark.parametrize("asset", ["toggle_debt", "release_board"])
def test_a_page_is_shown_when_it_changes_and_once_a_day_and_else_not(watch: Watch, asset: str) -> None:
    def shown() -> list[type]:
        watch.tick()
        for event in watch.events:
            watch.instance.report_runless_asset_event(event)
        return [type(event) for event in watch.events if event.asset_key.path[-1] == asset]

    both = [dg.AssetMaterialization, dg.AssetCheckEvaluation]
    watch.world.arm()
    assert shown() == both
    watch.world.clock.forward(hours=5)
    assert shown() == []
    watch.world.clock.forward(hours=20)
    assert shown() == both, "its ages are a day older"
    watch.world.controller.engage_kill_switch("flight_delay", OPS, "harm")
    assert shown() == both


def test_upkeep_that_fails_is_told_and_does_not_end_the_tick(watch: Watch, box: Inbox) -> None:
    """The chain's end is damaged: nothing can be recorded, so an expired toggle is rolled back in the flag document alone."""
    watch.world.arm()
    unread(watch, box)
    with tampered(watch.world.home.root / "ledger.db") as ledger:
        ledger.execute("UPDATE head SET hash = 'x'")
    watch.world.clock.forward(days=30)
    watch.tick()
    watch.tick()
    assert "upkeep failed" in watch.said
    assert "retrain audit verify" in watch.said
    assert [title for title in box.titles if "upkeep failed" in title] == [box.titles[0]]
    assert box.titles[0].startswith("[now] flight_delay: upkeep failed")


def test_a_cursor_that_was_reset_tells_nothing_of_the_past(watch: Watch, box: Inbox) -> None:
    watch.world.ramp()
    watch.world.controller.rollback(TOGGLE, SYSTEM, "hurts")
    watch.cursor = "reset by hand"
    watch.tick()
    assert box.titles == []
