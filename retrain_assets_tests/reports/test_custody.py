"""The chain of custody: every field has a key, a value with the record it was read from, or why there is none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import canonical_json
from retrain_assets.ledger import SYSTEM, Actor, EventDraft, EventKind
from retrain_assets.reports.custody import custody_fields
from retrain_assets.reports.record import read_record
from retrain_assets_tests.reports.conftest import packed
from retrain_assets_tests.reports.sample import DORA, MODEL, RUTH, Sample

FIRST, PROMOTED, STOPPED, ROLLED_BACK = "2013-04-01", "2013-07-01", "2013-08-01", "2013-11-01"


def fields_of(sample: Sample, retrain: str) -> dict[str, dict[str, Any]]:
    return custody_fields(read_record(sample.ledger, sample.evidence, sample.home, MODEL, retrain))


def values_of(sample: Sample, retrain: str) -> dict[str, Any]:
    return {key: row["value"] for key, row in fields_of(sample, retrain).items()}


@pytest.mark.parametrize("retrain", [FIRST, PROMOTED, STOPPED, ROLLED_BACK])
def test_every_record_has_every_key_once_with_a_value_or_why_not(lived: Sample, retrain: str) -> None:
    groups = packed(lived, retrain)["custody"]
    keys = [row["key"] for group in groups for row in group["rows"]]
    assert keys == list(fields_of(lived, PROMOTED))
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", key) for key in keys)
    names = [row["field"] for group in groups for row in group["rows"]]
    assert len(set(names)) == len(names)
    for group in groups:
        assert group["group"].endswith("?")
        for row in group["rows"]:
            assert (row["value"] is None) == bool(row["why"]), row
            assert row["source"]


def test_a_value_names_the_event_or_the_evidence_it_was_read_from(lived: Sample) -> None:
    fields, events = fields_of(lived, PROMOTED), {event.sequence: event for event in lived.ledger.events()}
    named = {
        "trigger.metric": EventKind.RETRAIN_LAUNCHED,
        "system.version": EventKind.CANDIDATE_REGISTERED,
        "training.seed": EventKind.CANDIDATE_REGISTERED,
        "canary.cohort": EventKind.TOGGLE_REGISTERED,
        "outcome.decision": EventKind.DECISION_RECORDED,
        "outcome.ending": EventKind.RETRAIN_ENDED,
    }
    for key, kind in named.items():
        assert events[fields[key]["event"]].kind is kind, key
    for key in ("training.cost", "hardware.cpu", "data.train_rows", "results.metrics", "canary.results", "policy.limits_text"):
        assert fields[key]["evidence"] in lived.evidence, key
        assert str(fields[key]["event"]) in fields[key]["source"]


def test_drift_is_told_with_metric_window_value_and_threshold(lived: Sample) -> None:
    told = values_of(lived, PROMOTED)
    assert (told["trigger.kind"], told["trigger.metric"]) == ("drift", "label_share")
    assert told["trigger.window"] == ["2013-06-17T00:00:00+00:00", "2013-07-01T00:00:00+00:00"]
    assert (told["trigger.value"], told["trigger.threshold"]) == (0.0913, 0.06)
    assert told["trigger.persistence"] == {"above": 2, "of": 3}


def test_a_person_and_a_schedule_are_triggers_too(lived: Sample) -> None:
    by_person, by_schedule = fields_of(lived, STOPPED), values_of(lived, ROLLED_BACK)
    assert by_person["trigger.by"]["value"] == str(DORA)
    assert by_person["trigger.reason"]["value"] == "try departure delay as a feature"
    assert by_person["trigger.threshold"]["why"] == "it was not drift that set the retrain off"
    assert by_schedule["trigger.schedule"] == "0 6 1 * *"


def test_a_version_stands_in_relation_to_those_before_it(lived: Sample) -> None:
    first, later = fields_of(lived, FIRST), values_of(lived, PROMOTED)
    assert first["system.compared_with"]["value"] == "none: first champion"
    assert "never served before" in first["system.champion_before"]["why"]
    assert later["system.compared_with"] == "1"
    assert (later["system.champion_before"]["version"], later["system.champion_before"]["retrain"]) == ("1", FIRST)
    assert [reign["how"] for reign in later["system.reigns"]] == ["promoted"]
    assert [(move["from"], move["to"]) for move in later["activation.alias"]] == [("1", "2")]


def test_what_training_took_is_read_from_evidence_that_the_ledger_names(fresh: Sample) -> None:
    fresh.bootstrap()
    fields = fields_of(fresh, FIRST)
    assert fields["training.cost"]["value"] == {"amount": 0.007956, "currency": "EUR", "an hour": 2}
    assert fields["training.time"]["value"] == "14.3 s"
    assert fields["hardware.cores"]["value"] == {"cores": 8, "usable": 4}
    assert fields["hardware.accelerators"]["value"] == "none"
    assert fields["logs.dagster_runs"]["value"]["training"] == f"run of {FIRST}"

    fresh.evidence.path(fields["training.cost"]["evidence"]).unlink()
    record = read_record(fresh.ledger, fresh.evidence, fresh.home, MODEL, FIRST)
    assert custody_fields(record)["training.cost"]["value"] is None
    assert custody_fields(record)["training.cost"]["why"]
    assert any("is missing" in fault for fault in record.faults)


def test_a_stage_result_on_disk_that_no_digest_confirms_is_not_believed(fresh: Sample) -> None:
    fresh.bootstrap()
    before = canonical_json(packed(fresh, FIRST)["custody"])
    path = fresh.home.stage_dir(MODEL, FIRST, "dataset") / "result.json"
    path.write_text(path.read_text().replace("81234", "99999"))
    assert canonical_json(packed(fresh, FIRST)["custody"]) == before
    assert values_of(fresh, FIRST)["data.train_rows"] == 81234


def test_the_record_is_the_same_without_the_stages_working_files(fresh: Sample) -> None:
    fresh.bootstrap()
    before = canonical_json(packed(fresh, FIRST))
    for stage in ("dataset", "features", "training"):
        (fresh.home.stage_dir(MODEL, FIRST, stage) / "result.json").unlink()
    assert canonical_json(packed(fresh, FIRST)) == before


def test_every_look_is_counted_and_named_by_digest(lived: Sample) -> None:
    fields, looks = values_of(lived, PROMOTED), [one for one in lived.ledger.events() if one.kind is EventKind.CANARY_LOOKED]
    own = [look for look in looks if look.retrain == PROMOTED]
    assert fields["canary.looks"]["count"] == len(own) == len(fields["canary.look_digests"])
    assert [one["evidence"] for one in fields["canary.look_digests"]] == [look.payload["evidence"] for look in own]
    assert {one["measure"] for one in fields["canary.results"]} >= {"cost_per_flight", "missed_late_rate"}
    assert all(one["end"] for one in fields["canary.stages"])


def test_offline_results_are_disaggregated_with_bounds(lived: Sample) -> None:
    fields = values_of(lived, PROMOTED)
    assert {"at least", "at most"} <= fields["results.metrics"][0].keys()
    assert len(fields["results.slices"]) == 5
    assert all({"slice", "worse_by", "worse_by_at_least", "worse_by_at_most"} <= row.keys() for row in fields["results.slices"])
    assert all({"difference", "at_least", "at_most"} <= row.keys() for row in fields["results.fairness"])


def test_an_approval_that_nobody_signed_says_so_and_a_signed_one_names_its_key(fresh: Sample) -> None:
    fresh.bootstrap()
    (word,) = values_of(fresh, FIRST)["approval.words"]
    assert (word["who"], word["signed"]) == (RUTH.name, False)
    signed = {"statement": {}, "signature": "…", "key": "SHA256:abc", "source": "git"}
    payload = {"gate": "offline", "check": "calibrated", "bundle": None, "evidence": "sha256:0", "signed": signed}
    payload |= {"valid_until": "2013-05-01T00:00:00+00:00", "typed_by": "rrelease", "reopens": False}
    fresh.ledger.append(
        EventDraft(fresh.now, RUTH, EventKind.OVERRIDE_SIGNED, MODEL, "known and accepted", retrain=FIRST, payload=payload)
    )
    (override,) = values_of(fresh, FIRST)["override.words"]
    assert override["check"] == "offline.calibrated"
    assert (override["signed"], override["key"], override["source"]) == (True, "SHA256:abc", "git")


def test_an_emergency_stays_open_in_the_record_until_somebody_closes_it(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.promoted()
    fresh.roll_back(PROMOTED, "passengers complain")
    (found,) = values_of(fresh, PROMOTED)["outcome.follow_ups"]
    assert found["closed"] == "open"
    assert values_of(fresh, PROMOTED)["activation.alias"][-1]["to"] == "1"
    closed = {"number": found["number"], "finding": "a stale feed; mended", "kind": "rollback"}
    fresh.ledger.append(
        EventDraft(fresh.now, RUTH, EventKind.FOLLOW_UP_CLOSED, MODEL, "a stale feed; mended", retrain=PROMOTED, payload=closed)
    )
    (found,) = values_of(fresh, PROMOTED)["outcome.follow_ups"]
    assert found["closed"].endswith("a stale feed; mended")


def test_what_was_lost_says_in_which_way(lived: Sample) -> None:
    assert values_of(lived, STOPPED)["outcome.failure_mode"]["mode"] == "leakage"
    assert values_of(lived, ROLLED_BACK)["outcome.failure_mode"]["mode"]
    assert fields_of(lived, PROMOTED)["outcome.failure_mode"]["why"] == "it was not lost"


def test_retention_counts_from_the_end_of_the_retrain(lived: Sample) -> None:
    fields = values_of(lived, PROMOTED)
    ended = fields["outcome.ended_at"]
    assert fields["retention.class"] == "standard"
    assert fields["retention.records_until"].startswith(f"{int(ended[:4]) + 10}-07-08")


def test_fields_survive_the_json_of_the_pack(lived: Sample) -> None:
    custody = packed(lived, PROMOTED)["custody"]
    assert json.loads(canonical_json(custody)) == json.loads(json.dumps(custody))


def test_a_retrain_that_was_only_launched_claims_nothing(fresh: Sample) -> None:
    fresh.launch("2013-09-01", {"kind": "cadence"}, Actor("system", SYSTEM.name))
    known = {key for key, row in fields_of(fresh, "2013-09-01").items() if row["value"] is not None}
    started = ("retrain.", "trigger.", "data.", "policy.", "approval.policy", "rollback.path", "retention.class", "logs.")
    assert all(key.startswith(started) for key in known), known


def test_job_run_and_cluster_of_databricks_are_told_by_stage(lived: Sample) -> None:
    record = read_record(lived.ledger, lived.evidence, lived.home, MODEL, PROMOTED)
    assert custody_fields(record)["databricks.runs"]["why"] == "no stage ran on Databricks"
    training = record.stages["training"]
    there = {**training.run, "databricks": {"job_id": 7, "run_id": 11, "cluster_id": None}}
    fields = custody_fields(replace(record, stages={**record.stages, "training": replace(training, run=there)}))
    assert (fields["databricks.jobs"]["value"], fields["databricks.runs"]["value"]) == ({"training": 7}, {"training": 11})
    assert fields["databricks.clusters"]["why"] == "Databricks named none"


def test_the_environment_is_the_one_that_the_launch_named(lived: Sample) -> None:
    record = read_record(lived.ledger, lived.evidence, lived.home, MODEL, PROMOTED)
    assert custody_fields(record)["retrain.environment"]["why"].startswith("no environment was named")
    retrains = {**record.state.retrains, PROMOTED: replace(record.known, environment="staging")}
    staging = replace(record, state=replace(record.state, retrains=retrains))
    assert custody_fields(staging)["retrain.environment"]["value"] == "staging"


def test_the_page_on_custody_lists_every_key_with_where_it_is_recorded_and_who_asks(lived: Sample) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "custody.md").read_text(encoding="utf-8")
    table = page.split("<!-- custody fields -->")[1].split("<!-- end of the custody fields -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]
    assert [row[0].strip("`") for row in rows] == list(fields_of(lived, PROMOTED))
    assert all(recorded and asked for _, recorded, asked in rows)
    kinds = {name for _, recorded, _ in rows for name in re.findall(r"`(\w+)`", recorded)}
    assert kinds <= {str(kind) for kind in EventKind}
