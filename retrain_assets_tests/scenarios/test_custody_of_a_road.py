"""A retrain that Dagster ran records what made it: each fact of a stage's run is in evidence that the ledger names."""

from __future__ import annotations

from pathlib import Path

from retrain_assets.home import Home
from retrain_assets.ledger import EvidenceStore, Ledger
from retrain_assets.reports.custody import custody_fields
from retrain_assets.reports.record import Record, read_record
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN

RUN = (
    *("data.train_rows", "data.holdout_rows", "data.left_out", "code.product", "environment.installed", "environment.platform"),
    *("hardware.cores", "hardware.memory", "hardware.accelerators", "training.started", "training.ended", "training.time"),
)
"""Facts that only the run itself knows."""


def record_of(root: Path) -> Record:
    home = Home(root)
    return read_record(Ledger(home.ledger_url), EvidenceStore(home.evidence_dir), home, MODEL, RETRAIN)


def test_the_facts_of_a_run_stand_in_evidence_that_the_ledger_names(waiting_home: Path) -> None:
    record = record_of(waiting_home)
    fields, sequences = custody_fields(record), {event.sequence for event in record.events}
    assert record.faults == []
    for key in RUN:
        assert fields[key]["value"] is not None, fields[key]
        assert fields[key]["evidence"] in record.evidence
        assert fields[key]["event"] in sequences


def test_logs_are_found_by_the_ids_of_their_runs(waiting_home: Path) -> None:
    fields = custody_fields(record_of(waiting_home))
    runs = fields["logs.dagster_runs"]["value"]
    assert set(runs) == {"launch", "dataset", "features", "training", "evaluation"}
    assert len(set(runs.values())) == 1
    assert fields["logs.mlflow_run"]["value"]


def test_what_a_contract_does_not_ask_for_says_so(waiting_home: Path) -> None:
    fields = custody_fields(record_of(waiting_home))
    assert fields["training.cost"]["why"] == "not recorded: the contract has no economics"
    assert fields["results.slices"]["why"] == "no slices are asked for"
    assert fields["retention.records_until"]["why"] == "its time begins when the retrain ends"
