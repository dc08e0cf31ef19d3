"""What set a retrain off, as a person reads it in the evidence pack."""

from __future__ import annotations

from typing import Any

from retrain_assets.ledger import SYSTEM
from retrain_assets_tests.reports.conftest import packed
from retrain_assets_tests.reports.sample import DRIFT, Sample

SEASON = {
    "by": "season, freeze",
    "because": "season: every year from 12-15 to 01-10 (winter timetable); freeze: change freeze (holidays)",
    "metric": "label_share",
    "first": "2012-12-24T06:00:00+00:00",
    "last": "2013-01-07T06:00:00+00:00",
    "windows": 3,
}
RAMP = {
    "by": "active_toggle",
    "because": "active_toggle: toggle flight_delay-2012-12-01 is ramping",
    "metric": "label_share",
    "first": "2013-01-14T06:00:00+00:00",
    "last": "2013-01-14T06:00:00+00:00",
    "windows": 1,
}


def triggered(sample: Sample, **more: Any) -> dict[str, Any]:
    sample.launch("2013-07-01", {**DRIFT, **more}, SYSTEM)
    found: dict[str, Any] = packed(sample, "2013-07-01")["trigger"]
    return found


def test_an_alarm_that_was_held_back_says_since_when_and_by_what(fresh: Sample) -> None:
    """An auditor asks why the retrain came three weeks after the alarm; the pack answers without Dagster."""
    trigger = triggered(fresh, held_back=[SEASON, RAMP])
    assert trigger["sentence"].endswith("held back since 2012-12-24 by season, freeze, active toggle.")
    rows = [row["value"] for row in trigger["rows"] if row["field"] == "Held back before"]
    assert rows == [
        f"2012-12-24 to 2013-01-07, 3 windows above: {SEASON['because']}",
        f"2013-01-14, 1 window above: {RAMP['because']}",
    ]


def test_an_alarm_names_its_feature_or_its_segment(fresh: Sample) -> None:
    assert triggered(fresh, metric="feature_psi", column="temp")["sentence"].startswith("Drift: feature psi (temp) was ")


def test_a_segment_is_named_too(fresh: Sample) -> None:
    trigger = triggered(fresh, metric="segment_loss", segment="origin=EWR")
    assert trigger["sentence"].startswith("Drift: segment loss (origin=EWR) was ")
    assert {"field": "Segment", "value": "origin=EWR"} in trigger["rows"]


def test_the_other_alarms_of_the_day_are_rows(fresh: Sample) -> None:
    rows = triggered(fresh, also=["cost 0.3 > 0.1", "label_share 0.2 > 0.1"], champion="4")["rows"]
    assert {"field": "Other alarms", "value": "cost 0.3 > 0.1; label_share 0.2 > 0.1"} in rows
    assert {"field": "Champion version", "value": "4"} in rows


def test_a_trigger_that_somebody_wrote_by_hand_breaks_no_pack(fresh: Sample) -> None:
    rows = triggered(fresh, held_back=["for a while", {"by": "me"}], also="nothing")["rows"]
    assert not [row for row in rows if row["field"] == "Held back before"]
