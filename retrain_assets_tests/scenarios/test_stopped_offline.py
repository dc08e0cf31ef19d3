"""Retrains that end before traffic: stopped by a gate, failed in a stage, or dead without a word. Each has its audit record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.assets import TRIGGER_TAG
from retrain_assets.components.retrain import definitions_of
from retrain_assets.contract import Contract, Gate, Outcome
from retrain_assets.ledger import EventKind
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN, RUTH, Story, morning_of
from retrain_assets_tests.simulation import accounts, contract_with

FEATURES = "retrain_assets_tests.simulation.features"


def ends_with_an_audit_record(story: Story, ending: str) -> None:
    """The decision sensor ends the retrain, and its evidence pack is written; nothing about activation has changed."""
    story.decide()
    retrain = story.retrain_state()
    assert retrain.ended == ending
    pack = json.loads((story.home.reports_dir(MODEL) / f"{RETRAIN}.json").read_text())
    assert story.evidence.get(retrain.audit) == pack
    assert story.decide() == []


def test_a_feature_that_leaks_is_stopped_at_gate_data_before_anything_is_registered(road: Story) -> None:
    """A feature known only after the prediction separates the label; the run stops, no version, no toggle, no traffic."""
    before, versions = road.activation, road.registry.list_versions(MODEL)

    assert not road.retrain(contract=contract_with(features=f"{FEATURES}.build_with_leak"))

    gate = road.retrain_state().verdicts[Gate.DATA]
    assert gate.outcome is Outcome.FAIL
    failed = {verdict.check for verdict in gate.verdicts if verdict.outcome is not Outcome.PASS}
    assert failed == {
        "no_single_feature_separates_label",
        "no_value_determines_label",
        "features_are_known_in_time",
        "features_match_serving",
    }
    assert set(road.failed_checks()) == failed
    assert road.retrain_state().candidate is None
    assert road.look() == []
    assert road.state.toggles == {}
    ends_with_an_audit_record(road, "stopped")
    assert (road.activation, road.registry.list_versions(MODEL)) == (before, versions)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _rename(path: Path) -> None:
    accounts(days=90).rename({"silence": "silence_days"}).write_parquet(path)


def _retype(path: Path) -> None:
    accounts(days=90).with_columns(pl.col("tenure").cast(pl.String)).write_parquet(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "no such file"),
        (_empty, "is empty (0 bytes)"),
        (_truncate, "truncated or damaged"),
        (_rename, "column 'silence' is missing (there is 'silence_days'; was it renamed?)"),
        (_retype, "column 'tenure' is String; the schema expects tenure: Float64"),
    ],
    ids=["missing", "empty", "truncated", "renamed column", "changed type"],
)
def test_a_bad_source_fails_the_data_set_with_one_clear_line(road: Story, damage: Callable[[Path], None], message: str) -> None:
    """What is wrong with the source stands in the ledger and on the failed Dagster step, in the same words."""
    source = road.home.root / "sources" / "accounts.parquet"
    damage(source)
    before = road.activation

    assert not road.retrain()

    recorded = recorded_failure(road, "dataset")
    assert message in recorded
    assert str(source) in recorded
    assert road.failed_step() == recorded
    ends_with_an_audit_record(road, "failed")
    assert road.activation == before


@pytest.mark.parametrize(
    ("contract", "stage", "message"),
    [
        (contract_with(features=f"{FEATURES}.build_dropping_rows"), "features", "rows for"),
        (contract_with(features=f"{FEATURES}.build_nowhere"), "dataset", "has no build_nowhere"),
        (
            contract_with(trainer__estimator="retrain_assets_tests.simulation.trainers.RunsOutOfMemory", trainer__params={}),
            "training",
            "fit raised MemoryError: 12 GiB asked for, 8 GiB there",
        ),
    ],
    ids=["features of other rows", "no such function", "trainer raises"],
)
def test_bad_code_of_the_team_fails_its_stage_with_one_clear_line(
    road: Story, contract: Contract, stage: str, message: str
) -> None:
    """A feature function or a trainer that does not do its part is named in the ledger and on the failed step."""
    before, versions = road.activation, road.registry.list_versions(MODEL)

    assert not road.retrain(contract=contract)

    recorded = recorded_failure(road, stage)
    assert message in recorded
    assert road.failed_step() == recorded
    ends_with_an_audit_record(road, "failed")
    assert (road.activation, road.registry.list_versions(MODEL)) == (before, versions)


def test_a_training_window_without_both_classes_is_stopped_at_gate_data(road: Story) -> None:
    """Nobody left in the training window: there is nothing to learn, and the gate says so before training."""
    road.write_source(accounts(days=90).with_columns(churned=pl.lit(0, pl.Int8)))

    assert not road.retrain()

    shown = road.failed_checks()["both_classes_present"]
    verdict = road.retrain_state().verdicts[Gate.DATA].checks["both_classes_present"].verdict
    assert (verdict.outcome, verdict.message) == (Outcome.FAIL, shown)
    assert "\n" not in shown
    assert road.retrain_state().candidate is None
    ends_with_an_audit_record(road, "stopped")


def test_a_run_that_dies_of_something_else_still_gets_its_audit_record(road: Story) -> None:
    """An error that no stage foresaw leaves no record of its own; the decision sensor finds the dead run and records it."""
    blocked = road.home.stage_dir(MODEL, RETRAIN, "dataset").parent
    blocked.write_text("a file where a folder must be")

    assert not road.retrain()
    assert road.events(EventKind.STAGE_FAILED) == []

    ends_with_an_audit_record(road, "failed")
    assert "ended as FAILURE before its gates were decided" in recorded_failure(road, "run")


def test_an_audit_record_that_could_not_be_written_is_written_later(road: Story) -> None:
    """The decision's run dies on a full disk after the retrain has ended; the sensor asks again."""
    assert not road.retrain(contract=contract_with(features=f"{FEATURES}.build_with_leak"))
    reports = road.home.reports_dir(MODEL)
    elsewhere = reports.rename(reports.with_name("elsewhere"))
    reports.write_text("a file where a folder must be")
    for _ in range(3):
        road.decide()
    assert (road.retrain_state().ended, road.retrain_state().audit) == ("stopped", None)

    reports.unlink()
    elsewhere.rename(reports)

    ends_with_an_audit_record(road, "stopped")


def test_an_audit_record_made_before_the_end_is_made_again_after_it(road: Story) -> None:
    """Somebody materialises it while the retrain is open, and an approver rejects it then."""
    assert road.retrain()
    assert road.materialize("audit_record").success
    before = road.retrain_state().audit
    road.controller.reject(MODEL, RETRAIN, RUTH, "not this quarter")

    ends_with_an_audit_record(road, "rejected")
    assert road.retrain_state().audit != before


def test_a_run_tag_that_is_no_trigger_is_said_in_one_line(road: Story) -> None:
    road.travel(morning_of(RETRAIN))
    road.instance.add_dynamic_partitions(f"{MODEL}_retrains", [RETRAIN])
    assert not road.engine.run(road.engine.road.retrain_job, RETRAIN, {TRIGGER_TAG: "because"})
    assert "run tag retrain/trigger: 'because' is no trigger" in road.failed_step()


@pytest.mark.parametrize("chosen", [None, "candidate_model"], ids=["the retrain job", "assets chosen in the UI"])
def test_a_run_that_is_cancelled_still_gets_its_audit_record(road: Story, chosen: str | None) -> None:
    """Somebody materialised the data set, launched the rest of the road and stopped that run in its queue."""
    road.travel(morning_of(RETRAIN))
    road.instance.add_dynamic_partitions(f"{MODEL}_retrains", [RETRAIN])
    assert road.materialize("dataset").success
    definitions = definitions_of(road.contract, platform=road.engine.platform)
    job, assets = definitions.resolve_job_def(road.engine.road.retrain_job), None
    if chosen is not None:
        job, assets = definitions.resolve_implicit_global_asset_job_def(), frozenset({road.engine.road.key(chosen)})
    run = road.instance.create_run_for_job(job, tags={"dagster/partition": RETRAIN}, asset_selection=assets)
    road.instance.report_run_canceled(run)

    ends_with_an_audit_record(road, "failed")
    assert "ended as CANCELED before its gates were decided" in recorded_failure(road, "run")


def recorded_failure(story: Story, stage: str) -> str:
    """The one failure the ledger holds, which must be of this stage and one line."""
    (event,) = story.events(EventKind.STAGE_FAILED)
    assert (event.retrain, event.payload["stage"]) == (RETRAIN, stage)
    message = event.payload["message"]
    assert "\n" not in message
    return str(message)
