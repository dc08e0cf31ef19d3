"""The answer: every ending and every open state of a road, in the words an auditor reads first."""

from __future__ import annotations

from datetime import timedelta

import pytest

from retrain_assets.ledger import SYSTEM
from retrain_assets.release import approvals, ramping, retrains
from retrain_assets_tests.reports.conftest import packed, paged
from retrain_assets_tests.reports.sample import CONTRACT, DORA, DRIFT, MODEL, RUTH, Sample


def test_promoted_names_versions_and_the_approver(lived: Sample) -> None:
    answer = packed(lived, "2013-07-01")["answer"]
    assert (answer["outcome"], answer["word"], answer["tone"]) == ("promoted", "Promoted", "good")
    assert answer["headline"] == f"Version 2 replaced version 1 as champion of {MODEL}."
    assert answer["by"] == [str(RUTH)]
    assert "cost falls in every look" in answer["why"]


def test_a_first_champion_is_said_to_be_compared_with_nothing(lived: Sample) -> None:
    answer = packed(lived, "2013-04-01")["answer"]
    assert answer["word"] == "First champion"
    assert answer["tone"] == "note"
    assert "nothing here shows that it is better than another model" in answer["headline"]
    assert "There was no champion to compare with" in paged(lived, "2013-04-01")


def test_a_leak_stops_at_gate_data_and_the_champion_keeps_serving(lived: Sample) -> None:
    pack = packed(lived, "2013-08-01")
    answer = pack["answer"]
    assert (answer["outcome"], answer["word"], answer["gate"]) == ("stopped", "Stopped at gate data", "data")
    assert "dep_delay" in answer["why"]
    assert "version 2 kept serving" in answer["headline"]
    assert [gate["outcome"] for gate in pack["gates"]] == ["fail", None, None, None, None]
    assert pack["ramp"] is None
    assert pack["evaluation"] is None


def test_a_rollback_in_the_ramp_names_stage_and_measure(lived: Sample) -> None:
    answer = packed(lived, "2013-11-01")["answer"]
    assert (answer["outcome"], answer["word"]) == ("rolled_back", "Rolled back")
    assert answer["stage"] in ("5", "25", "50")
    assert f"at stage {answer['stage']} %; version 2 kept serving" in answer["headline"]
    assert "cost_per_flight" in answer["why"]
    assert answer["by"] == [str(SYSTEM)]


def test_a_rollback_after_promotion_tells_how_long_it_was_champion(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.promoted()
    fresh.now += timedelta(days=4)
    fresh.roll_back("2013-07-01", "complaints from the airport desk")
    answer = packed(fresh, "2013-07-01")["answer"]
    assert answer["word"] == "Rolled back"
    assert answer["headline"] == "Version 2 was champion from 2013-07-10 to 2013-07-14; version 1 serves again."
    assert answer["why"] == "complaints from the airport desk"
    assert answer["live"]["at"].startswith("2013-07-10")
    assert answer["live"]["why"].startswith("all gates passed, approved by ")
    assert answer["by"] == [str(RUTH)]


def test_a_failed_stage_names_the_stage_and_its_message(fresh: Sample) -> None:
    fresh.launch("2013-09-01", {"kind": "cadence", "cron": "0 6 1 * *"})
    fresh.do(
        SYSTEM, "x", lambda drafts: retrains.stage_failed(drafts, "2013-09-01", "training", "the estimator raised ValueError")
    )
    assert packed(fresh, "2013-09-01")["answer"]["outcome"] == "failed"
    fresh.decide("2013-09-01")
    answer = packed(fresh, "2013-09-01")["answer"]
    assert (answer["word"], answer["why"]) == ("Failed in training", "the estimator raised ValueError")
    assert "the model still has no champion" in answer["headline"]


def test_a_person_who_rejects_is_named_with_the_reason(fresh: Sample) -> None:
    fresh.bootstrap()
    until_ramp(fresh)
    fresh.do(RUTH, "the airport asked to wait", lambda drafts: approvals.reject(drafts, "2013-07-01", CONTRACT))
    answer = packed(fresh, "2013-07-01")["answer"]
    assert (answer["outcome"], answer["by"]) == ("rejected", [str(RUTH)])
    assert "the airport asked to wait" in answer["why"]
    assert "version 1 kept serving" in answer["headline"]


def test_open_roads_say_where_they_stand(fresh: Sample) -> None:
    """Launched, gates passed, in shadow, on trial, held, waiting for approval: each has its own word."""
    fresh.bootstrap()
    fresh.launch("2013-07-01", DRIFT)
    assert packed(fresh, "2013-07-01")["answer"]["headline"] == "No gate has been judged yet."
    subjects = fresh.until_candidate("2013-07-01", "2")
    assert packed(fresh, "2013-07-01")["answer"]["headline"] == "Gates passed so far: data, training."
    fresh.offline("2013-07-01", subjects)
    fresh.arm("2013-07-01")
    assert packed(fresh, "2013-07-01")["answer"]["word"] == "In shadow"
    fresh.follow_until("2013-07-01", cost=-0.7, stop="5")
    assert packed(fresh, "2013-07-01")["answer"]["word"] == "On trial at 5 %"
    fresh.do(RUTH, "holiday traffic", lambda drafts: ramping.hold(drafts, f"{MODEL}-2013-07-01"))
    held = packed(fresh, "2013-07-01")
    assert held["answer"]["word"] == "Held at 5 %"
    assert held["ramp"]["pauses"] == [{"start": held["answer"]["at"], "end": None, "by": str(RUTH), "because": "holiday traffic"}]
    fresh.do(RUTH, "holiday over", lambda drafts: ramping.resume(drafts, f"{MODEL}-2013-07-01"))
    fresh.follow_until("2013-07-01", cost=-0.7)
    waiting = packed(fresh, "2013-07-01")["answer"]
    assert (waiting["outcome"], waiting["word"], waiting["tone"]) == ("open", "Waiting for approval", "open")


DRIFT_SENTENCE = (
    "Drift: label share was 0.0913, above its limit of 0.06, in the window 2013-06-17 to 2013-07-01; "
    "above in 2 of the last 3 windows."
)


@pytest.mark.parametrize(
    ("trigger", "actor", "sentence"),
    [
        (DRIFT, SYSTEM, DRIFT_SENTENCE),
        ({"kind": "person", "reason": "try a feature"}, DORA, "dora.data@flights.example launched it: try a feature."),
        ({"kind": "cadence"}, SYSTEM, "The business cadence was due."),
        ({"kind": "manual run"}, SYSTEM, "Launched by the system (manual run)."),
    ],
)  # fmt: skip
def test_the_trigger_is_one_sentence(fresh: Sample, trigger: dict, actor: object, sentence: str) -> None:
    fresh.launch("2013-07-01", trigger, actor)  # type: ignore[arg-type]
    assert packed(fresh, "2013-07-01")["trigger"]["sentence"] == sentence


def test_a_drift_trigger_shows_every_window_it_was_judged_on(fresh: Sample) -> None:
    fresh.launch("2013-07-01", DRIFT, SYSTEM)
    rows = {row["field"]: row["value"] for row in packed(fresh, "2013-07-01")["trigger"]["rows"]}
    assert rows["Windows looked at"] == "0.0721 until 2013-06-17, 0.0412 until 2013-06-24, 0.0913 until 2013-07-01"


def test_approvals_tell_account_evidence_and_whether_they_counted(lived: Sample) -> None:
    pack = packed(lived, "2013-07-01")
    (word,) = pack["approvals"]["words"]
    assert (word["by"], word["said"], word["account"], word["counted"]) == (str(RUTH), "approved", "rrelease", True)
    assert word["evidence"] == pack["ramp"]["looks"][-1]["evidence"]
    assert pack["approvals"]["valid_for"] == "3d"
    assert pack["decision"]["decision"] == "promote"


def test_transitions_keep_order_and_hashes_and_leave_out_looks(lived: Sample) -> None:
    pack = packed(lived, "2013-07-01")
    events = {event.sequence: event for event in lived.ledger.events(model=MODEL)}
    sequences = [row["sequence"] for row in pack["transitions"]]
    assert sequences == sorted(sequences)
    assert all(row["hash"] == events[row["sequence"]].hash for row in pack["transitions"])
    kinds = [row["kind"] for row in pack["transitions"]]
    assert "canary_looked" not in kinds
    assert kinds.count("gate_evaluated") == 3
    assert kinds[-3:] == ["promoted", "decision_recorded", "retrain_ended"]


def until_ramp(sample: Sample) -> None:
    sample.launch("2013-07-01", DRIFT)
    sample.offline("2013-07-01", sample.until_candidate("2013-07-01", "2"))
    sample.arm("2013-07-01")
    sample.follow_until("2013-07-01", cost=-0.7, stop="5")
