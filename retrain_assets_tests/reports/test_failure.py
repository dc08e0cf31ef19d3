"""Why a retrain was lost, read from the record alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets.release import approvals, ramping, retrains
from retrain_assets_tests.reports.conftest import packed, paged
from retrain_assets_tests.reports.sample import CONTRACT, MODEL, RUTH, Sample


def why(sample: Sample, retrain: str) -> dict[str, Any]:
    found: dict[str, Any] = packed(sample, retrain)["answer"]["failure"]
    return found


@pytest.mark.parametrize("retrain", ["2013-04-01", "2013-07-01"], ids=["first champion", "promoted"])
def test_what_serves_was_not_lost(lived: Sample, retrain: str) -> None:
    assert packed(lived, retrain)["answer"]["failure"] is None


def test_a_leak_is_leakage_with_the_check_that_found_it(lived: Sample) -> None:
    found = why(lived, "2013-08-01")
    assert found["mode"] == "leakage"
    assert "dep_delay" in found["sentence"]
    assert all(one["name"].startswith("data.") for one in found["evidence"])


def test_a_gate_that_stopped_it_stands_with_its_mode_in_the_ledger(lived: Sample) -> None:
    (rejected,) = (
        one for one in lived.ledger.events(model=MODEL) if one.kind is EventKind.REJECTED and one.retrain == "2013-08-01"
    )
    assert rejected.payload["failure"] == {name: why(lived, "2013-08-01")[name] for name in ("mode", "sentence")}


def test_probabilities_that_are_wrong_are_a_matter_of_the_threshold(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.stopped_by_calibration()
    assert why(fresh, "2013-09-01")["mode"] == "threshold_selection"


def test_a_look_without_a_view_still_says_why_it_rolled_back(lived: Sample) -> None:
    found = why(lived, "2013-11-01")
    assert found["mode"] == "genuine_weakness"
    assert "cost_per_flight" in found["sentence"]
    assert "Genuine weakness" in paged(lived, "2013-11-01")


def test_a_stage_that_broke_is_infrastructure(fresh: Sample) -> None:
    fresh.launch("2013-09-01", {"kind": "cadence", "cron": "0 6 1 * *"})
    fresh.do(SYSTEM, "x", lambda drafts: retrains.stage_failed(drafts, "2013-09-01", "training", "out of memory"))
    assert why(fresh, "2013-09-01")["mode"] == "infrastructure"
    fresh.decide("2013-09-01")
    assert why(fresh, "2013-09-01")["sentence"] == "stage training could not produce its result: out of memory"


def test_a_champion_a_person_takes_off_is_lost_for_the_persons_reason(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.promoted()
    fresh.now += timedelta(days=4)
    fresh.roll_back("2013-07-01", "complaints from the airport desk")
    found = why(fresh, "2013-07-01")
    assert found["mode"] == "inconclusive"
    assert found["sentence"].endswith(
        "took it off: complaints from the airport desk; the records alone do not say why it was lost"
    )


def test_a_toggle_that_expired_ran_out_of_time(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.launch("2013-07-01", {"kind": "cadence", "cron": "0 6 1 * *"})
    fresh.offline("2013-07-01", fresh.until_candidate("2013-07-01", "2"))
    fresh.arm("2013-07-01")
    fresh.now += CONTRACT.toggle.expires_after + timedelta(hours=1)
    fresh.do(SYSTEM, "expired", ramping.expire)
    fresh.decide("2013-07-01")
    assert why(fresh, "2013-07-01")["sentence"] == "the toggle expired before anything was decided: time ran out"


def test_a_toggle_that_expired_while_people_were_asked_says_that_nobody_decided(fresh: Sample) -> None:
    """The owner a year later must not read that the model showed nothing."""
    fresh.bootstrap()
    fresh.launch("2013-07-01", {"kind": "cadence", "cron": "0 6 1 * *"})
    fresh.offline("2013-07-01", fresh.until_candidate("2013-07-01", "2"))
    fresh.arm("2013-07-01")
    fresh.follow_until("2013-07-01", cost=-0.7)
    fresh.now += CONTRACT.toggle.expires_after + timedelta(hours=1)
    fresh.do(SYSTEM, "expired", ramping.expire)
    fresh.decide("2013-07-01")
    assert (
        why(fresh, "2013-07-01")["sentence"]
        == "all was shown and people were asked, but no approval held when the toggle expired"
    )


def test_a_candidate_a_person_rejects_before_traffic_is_lost_for_that_reason(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.launch("2013-07-01", {"kind": "cadence", "cron": "0 6 1 * *"})
    fresh.offline("2013-07-01", fresh.until_candidate("2013-07-01", "2"))
    fresh.do(RUTH, "not before the holidays", lambda drafts: approvals.reject(drafts, "2013-07-01", CONTRACT))
    assert "not before the holidays" in why(fresh, "2013-07-01")["sentence"]


def test_an_open_retrain_is_not_lost(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.launch("2013-07-01", {"kind": "cadence", "cron": "0 6 1 * *"})
    assert packed(fresh, "2013-07-01")["answer"]["failure"] is None
    fresh.offline("2013-07-01", fresh.until_candidate("2013-07-01", "2"))
    fresh.arm("2013-07-01")
    assert packed(fresh, "2013-07-01")["answer"]["failure"] is None
