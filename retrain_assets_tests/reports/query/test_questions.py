"""Every ready question on a record whose answer is known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrain_assets.contract import RetrainError
from retrain_assets.ledger import EventDraft, EventKind
from retrain_assets.reports.query import QUESTIONS, Database, Records
from retrain_assets_tests.release.world import MODEL, PAUL, RUTH, World
from retrain_assets_tests.reports.query.conftest import FIRST, HARMFUL, NOW, PROMOTED, STOPPED, Ask


def test_live_on_gives_champion_and_challenger_of_a_moment_with_their_shares(ask: Ask) -> None:
    def live(moment: str) -> list[tuple[str, str, float]]:
        return [(row["arm"], row["version"], row["share_of_traffic"]) for row in ask("live_on", date=moment, model=MODEL)]

    assert live("2013-06-30") == []
    assert live("2013-07-01T02:30:00+00:00") == [("challenger", "2", 0.5), ("champion", "1", 0.5)]
    assert live("2013-07-02") == [("champion", "2", 1.0)]
    assert live("2013-07-03") == [("champion", "1", 1.0)]
    assert live("2013-07-20T07:30:00+00:00") == [("challenger", "3", 0.05), ("champion", "1", 0.95)]


def test_approved_by_gives_every_word_of_a_person_and_what_counted(ask: Ask) -> None:
    rows = ask("approved_by", approver=RUTH.name)

    assert [(row["act"], row["retrain"], row["counted"]) for row in rows] == [
        ("champion_bootstrapped", FIRST, True),
        ("approved", PROMOTED, True),
    ]
    assert ask("approved_by", approver="nobody@flights.example") == []


def test_rollbacks_count_from_the_first_sign_of_harm_or_else_from_the_stage(ask: Ask) -> None:
    by_hand, harm = ask("rollbacks")

    assert (by_hand["by_whom"], by_hand["counted_from"], by_hand["hours_to_recover"]) == (RUTH.name, "promotion", 44.0)
    assert (by_hand["from_state"], by_hand["restored"]) == ("promoted", "1")
    assert (harm["cause"], harm["counted_from"], harm["hours_to_recover"]) == ("harm", "first sign of harm", 1.0)
    assert harm["first_sign"] == datetime(2013, 7, 20, 8, tzinfo=UTC)


def test_trained_on_takes_the_beginning_of_a_digest_with_or_without_its_algorithm(ask: Ask, recorded: World) -> None:
    digest = recorded.state.retrains[PROMOTED].subjects["dataset"]

    for written in (digest, digest[:20], digest.removeprefix("sha256:")[:10]):
        assert [(row["retrain"], row["version"], row["live_now"]) for row in ask("trained_on", dataset=written)] == [
            (PROMOTED, "2", False)
        ]
    assert [row["retrain"] for row in ask("trained_on", dataset="dddd")] == [STOPPED]


def test_toggles_past_expiry_are_those_of_the_moment_asked_for(ask: Ask) -> None:
    assert ask("toggles_past_expiry", as_of="2013-08-15") == []
    assert [row["toggle"] for row in ask("toggles_past_expiry", as_of="2013-09-05")] == [f"{MODEL}-{PROMOTED}"]
    rows = ask("toggles_past_expiry", as_of="2013-07-01T02:00:00+00:00")
    assert rows == []


def test_an_active_toggle_past_its_expiry_is_told_in_days(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.arm()
    (row,) = Database(Records(world.home, world.ledger)).ask(
        QUESTIONS["toggles_past_expiry"].sql, {"as_of": datetime(2013, 8, 2, 12, tzinfo=UTC)}
    ).rows  # fmt: skip
    assert row[:3] == (f"{MODEL}-{PROMOTED}", "team:product", "active")
    assert row[5] == 2.5


def test_shares_stopped_per_gate_and_days_to_promotion(ask: Ask) -> None:
    assert [(row["stopped_at"], row["retrains"], row["per_cent"]) for row in ask("stopped_per_gate")] == [
        ("offline", 1, 25.0),
        ("canary", 1, 25.0),
        ("went live", 2, 50.0),
    ]
    (days,) = ask("time_to_promotion", model=MODEL)
    assert (days["promotions"], days["mean_days"], days["retrains"]) == (1, 0.13, PROMOTED)


def test_who_acted_alone_at_night_and_who_did_not(ask: Ask) -> None:
    assert [(row["who"], row["kind"]) for row in ask("alone_at_night", from_hour="22", to_hour="5")] == [
        (RUTH.name, "champion_bootstrapped"),
        (RUTH.name, "approved"),
        (RUTH.name, "rolled_back"),
    ]
    assert ask("alone_at_night", from_hour="10", to_hour="12") == []


def test_follow_ups_stay_open_until_somebody_closes_them(ask: Ask) -> None:
    (row,) = ask("open_follow_ups")
    assert (row["kind"], row["opened_by"], row["days_open"]) == ("rollback", RUTH.name, 60.0)
    assert ask("open_follow_ups", as_of="2013-07-02") == []


def test_overridden_names_check_and_signers(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.bootstrap()
    world.candidate(PROMOTED)
    told = {"gate": "offline", "check": "slices_hold", "bundle": "sha256:b", "evidence": "sha256:e", "typed_by": "ops"}
    until = {"valid_until": "2013-08-01T00:00:00+00:00"}
    for actor, in_force in ((RUTH, False), (PAUL, True)):
        payload = {**told, **until, "signers": [RUTH.name, PAUL.name][: 1 + in_force], "in_force": in_force}
        world.ledger.append(
            EventDraft(world.clock.now(), actor, EventKind.OVERRIDE_SIGNED, MODEL, "ten rows", PROMOTED, payload=payload)
        )

    (row,) = Database(Records(world.home, world.ledger)).ask(QUESTIONS["overridden"].sql, {"model": None}).rows

    assert row[:6] == (MODEL, PROMOTED, "offline", "slices_hold", True, f"{RUTH.name} and {PAUL.name}")


def test_why_live_tells_the_road_of_a_version_in_order(ask: Ask) -> None:
    rows = ask("why_live", version="2", model=MODEL)

    whats = [row["what"] for row in rows]
    assert [row["event"] for row in rows] == sorted(row["event"] for row in rows)
    assert [what for what in whats if not what.startswith("toggle")] == [
        "retrain_launched", "candidate_registered", "gate data", "gate training", "gate offline",
        "look 1 in stage shadow", "look 2 in stage 5", "gate canary", "look 3 in stage 50", "approved, not signed",
        "promoted", "gate promotion", "retrain_ended", "rolled_back",
    ]  # fmt: skip


def test_what_changed_between_two_moments(ask: Ask) -> None:
    rows = ask("changed_between", **{"from": "2013-07-02", "to": "2013-07-20T07:30:00+00:00"})
    assert [row["kind"] for row in rows] == ["rolled_back", "rejected", "toggle_armed", "toggle_stepped", "toggle_stepped"]


def test_a_promotion_approved_by_its_launcher_alone_is_found(ask: Ask, tmp_path: Path) -> None:
    assert ask("launched_and_approved_alone") == []
    world = World(tmp_path / "home")
    world.candidate(FIRST, RUTH)
    world.controller.bootstrap(world.contract, FIRST, PAUL, "first")
    database = Database(Records(world.home, world.ledger))
    assert database.ask(QUESTIONS["launched_and_approved_alone"].sql, {"model": None}).rows == []

    other = World(tmp_path / "other")
    other.candidate(FIRST, RUTH)
    payload = {"version": "1", "bundle": "sha256:b"}
    kind = EventKind.CHAMPION_BOOTSTRAPPED
    at = other.clock.now()
    other.ledger.append(EventDraft(at, RUTH, kind, MODEL, "mine", FIRST, payload=payload))
    ended = {"ending": "bootstrapped"}
    other.ledger.append(EventDraft(at, RUTH, EventKind.RETRAIN_ENDED, MODEL, "mine", FIRST, payload=ended))
    (row,) = Database(Records(other.home, other.ledger)).ask(
        QUESTIONS["launched_and_approved_alone"].sql, {"model": None}
    ).rows  # fmt: skip
    assert row[:3] == (MODEL, FIRST, str(RUTH))


def test_unsigned_approvals_name_the_account_that_typed_them(ask: Ask) -> None:
    assert [(row["approver"], row["act"]) for row in ask("unsigned_approvals")] == [
        (RUTH.name, "champion_bootstrapped"),
        (RUTH.name, "approved"),
    ]


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_every_question_can_be_asked_of_a_record_without_events(name: str, tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    needed = {one.name: "2013-07-01" if one.moment else "x" for one in QUESTIONS[name].parameters if one.required}
    assert QUESTIONS[name].answer(Database(Records(world.home, world.ledger)), needed, NOW).rows == []


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("live_on", {}, "live_on: date is missing: the moment; a date is its begin, UTC; add --param date=2024-05-01"),
        ("live_on", {"date": "yesterday"}, "live_on: date 'yesterday' is no date or time; write 2024-05-01"),
        ("live_on", {"dat": "2024-05-01"}, "live_on: it has no parameter 'dat'; did you mean date?"),
        ("live_onn", {}, "query: there is no question 'live_onn'; did you mean live_on?"),
    ],
)
def test_what_is_wrong_with_a_question_is_said_in_one_line(ask: Ask, name: str, given: dict[str, str], said: str) -> None:
    with pytest.raises(RetrainError) as refused:
        ask(name, **given)
    assert refused.value.line.startswith(said)


def test_looks_are_one_row_a_measure(ask: Ask) -> None:
    rows = ask("SELECT * FROM looks WHERE retrain = $key ORDER BY sequence", key=HARMFUL)
    assert [(row["number"], row["measure"], row["estimate"], row["harm_looks"]) for row in rows] == [
        (1, None, None, 0),
        (2, "cost_per_flight", 1.0, 1),
        (3, None, None, 2),
    ]
