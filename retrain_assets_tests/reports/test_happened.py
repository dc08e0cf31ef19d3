"""What the pack says of transfers, reviews, kill switches, freezes and retirement, in sentences an auditor reads a year later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from retrain_assets.ledger import EVERY_MODEL, SYSTEM, Actor, EventDraft, EventKind
from retrain_assets.release import ownership, ramping, retirement
from retrain_assets.release.platform_control import KILLED
from retrain_assets_tests.reports.conftest import packed, paged
from retrain_assets_tests.reports.sample import MODEL, RUTH, Sample

KEY = "2013-07-01"
TOGGLE = f"{MODEL}-{KEY}"
OPS = Actor("person", "ops@flights.example")
PROMOTED = "2013-07-01"
MAX = Actor("person", "max@flights.example")


def beside(sample: Sample, kind: EventKind, reason: str, model: str = EVERY_MODEL, **payload: Any) -> int:
    """An event about one model or all of them."""
    sample.now += timedelta(minutes=3)
    return sample.ledger.append(EventDraft(sample.now, OPS, kind, model, reason, payload=payload)).sequence


def ramping_sample(sample: Sample) -> Sample:
    sample.bootstrap()
    sample.launch(KEY, {"kind": "person", "reason": "a try"}, RUTH)
    sample.offline(KEY, sample.until_candidate(KEY, "2"))
    sample.arm(KEY)
    return sample


def said(pack: dict[str, Any], kind: EventKind) -> list[str | None]:
    return [event["what"] for event in pack["transitions"] if event["kind"] == kind]


def test_an_offer_its_withdrawal_and_its_acceptance_name_both_sides(fresh: Sample) -> None:
    sample = ramping_sample(fresh)
    owner = sample.toggle(KEY).owner
    sample.do(RUTH, "Max takes over", lambda drafts: ownership.offer_transfer(drafts, TOGGLE, MAX.name))
    sample.do(RUTH, "not yet", lambda drafts: ownership.offer_transfer(drafts, TOGGLE, owner))
    sample.do(RUTH, "now", lambda drafts: ownership.offer_transfer(drafts, TOGGLE, MAX.name))
    sample.do(MAX, "mine", lambda drafts: ownership.accept_transfer(drafts, TOGGLE))
    pack = packed(sample, KEY)
    offered = f"{owner} offers it to {MAX.name}, who has to accept"
    assert said(pack, EventKind.TRANSFER_OFFERED) == [offered, f"the offer is withdrawn, it stays {owner}'s", offered]
    assert said(pack, EventKind.TOGGLE_TRANSFERRED) == [f"from {owner} to {MAX.name}, offered by {RUTH.name}"]
    assert f"{offered}<br>" in paged(sample, KEY)


def test_a_review_and_an_extension_say_until_when(fresh: Sample) -> None:
    sample = ramping_sample(fresh)
    sample.do(RUTH, "we still compare", lambda drafts: ownership.review(drafts, TOGGLE))
    sample.do(RUTH, "slow summer", lambda drafts: ramping.extend(drafts, TOGGLE, timedelta(days=3)))
    pack = packed(sample, KEY)
    assert said(pack, EventKind.TOGGLE_REVIEWED) == ["still needed; its state is shadow"]
    assert said(pack, EventKind.TOGGLE_EXTENDED) == ["3d more, expires 2013-08-03 06:21 UTC"]


def test_a_kill_switch_is_told_as_what_took_the_challenger_off(fresh: Sample) -> None:
    sample = ramping_sample(fresh)
    beside(sample, EventKind.KILL_SWITCH_ENGAGED, "prices are wrong")
    sample.do(
        SYSTEM, "kill switch of all models: prices are wrong", lambda drafts: ramping.roll_back(drafts, TOGGLE, cause=KILLED)
    )
    pack = packed(sample, KEY)
    assert said(pack, EventKind.ROLLED_BACK) == ["a kill switch took it off; version 1 answers everybody"]
    assert pack["answer"]["failure"]["sentence"] == "nothing was decided about it: kill switch of all models: prices are wrong"
    (switch,) = pack["meanwhile"]
    assert (switch["of"], switch["reason"], switch["by"]) == ("all models", "prices are wrong", str(OPS))
    assert "Meanwhile, beside this retrain" in paged(sample, KEY)


def test_what_stopped_releases_before_or_after_the_retrain_or_of_others_is_not_its_story(fresh: Sample) -> None:
    beside(fresh, EventKind.FREEZE_DECLARED, "long ago", start="2013-01-01", end="2013-01-02")
    sample = ramping_sample(fresh)
    beside(sample, EventKind.KILL_SWITCH_ENGAGED, "another model", model="taxi_fare")
    beside(sample, EventKind.OWNER_LEFT, "not this toggle's", owner="team:elsewhere")
    frozen = beside(sample, EventKind.FREEZE_DECLARED, "holidays", model=MODEL, start="2013-07-03", end="2013-07-05")
    left = beside(sample, EventKind.OWNER_LEFT, "team dissolved", owner=sample.toggle(KEY).owner.upper().replace("TEAM", "team"))
    sample.do(RUTH, "we still compare", lambda drafts: ownership.review(drafts, TOGGLE))
    beside(sample, EventKind.FREEZE_LIFTED, "over", model=MODEL, number=frozen)
    pack = packed(sample, KEY)
    assert [event["sequence"] for event in pack["meanwhile"]] == [frozen, left]
    assert pack["meanwhile"][0]["what"] == "2013-07-03 to 2013-07-05"


def test_a_pack_without_a_brake_has_no_table_of_them(lived: Sample) -> None:
    assert packed(lived, PROMOTED)["meanwhile"] == []
    assert "What stopped releases meanwhile" not in paged(lived, PROMOTED)


def test_a_step_that_a_freeze_stopped_is_shown_as_called_for_and_not_done(fresh: Sample) -> None:
    sample = ramping_sample(fresh)
    sample.now += timedelta(hours=12)
    beside(sample, EventKind.FREEZE_DECLARED, "holidays", start="2013-07-01", end="2013-12-31")
    sample.follow_until(KEY, cost=-2.0, looks=12)
    pack = packed(sample, KEY)
    stopped = [look for look in pack["ramp"]["looks"] if look["stopped"]]
    assert stopped
    assert {look["action"] for look in stopped} == {"step"}
    assert "is in a change freeze (holidays)" in stopped[-1]["stopped"]
    assert "calls for" not in stopped[-1]["stopped"]
    assert "not done: 2013-07-" in paged(sample, KEY)


def test_a_retirement_by_policy_is_told_as_such(fresh: Sample) -> None:
    sample = ramping_sample(fresh)
    sample.do(RUTH, "hurts", lambda drafts: ramping.roll_back(drafts, TOGGLE, cause="person"))
    sample.now += timedelta(days=200)
    sample.do(SYSTEM, "retired by policy", lambda drafts: retirement.retire_abandoned(drafts, {}))
    assert said(packed(sample, KEY), EventKind.TOGGLE_RETIRED) == ["by policy at its removal date; it was rolled back"]


def test_a_candidate_that_was_never_armed_is_told_as_rejected_by_policy(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.launch(KEY, {"kind": "person", "reason": "a try"}, RUTH)
    fresh.offline(KEY, fresh.until_candidate(KEY, "2"))
    fresh.now += timedelta(days=200)
    fresh.do(SYSTEM, "retired by policy", lambda drafts: retirement.retire_abandoned(drafts, {KEY: fresh.contract}))
    answer = packed(fresh, KEY)["answer"]
    assert answer["outcome"] == "rejected"
    assert answer["why"].startswith("abandoned: its gates passed on 2013-07-01")
    assert "never armed" in answer["failure"]["sentence"] or "abandoned" in answer["failure"]["sentence"]
