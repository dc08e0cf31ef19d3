"""A Delta table as the source of a whole road on one machine: a retrain reads one version of it, however the table goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from retrain_assets.cli.app import app
from retrain_assets.ledger import EventKind
from retrain_assets.release import ToggleStatus
from retrain_assets.reports.custody import custody_fields
from retrain_assets.reports.record import read_record
from retrain_assets_tests.scenarios.conftest import story_in
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN, Story, copy_home, morning_of
from retrain_assets_tests.simulation import CONTRACT, accounts, contract_with

NEXT, LAST = "2024-03-08", "2024-03-15"
ROWS = accounts(days=90)
TABLE = {**CONTRACT["source"], "uri": "${RETRAIN_HOME}/sources/table", "format": "delta"}


def overwrite(story: Story, rows: pl.DataFrame) -> None:
    """A new version of the table, of whatever columns."""
    rows.write_delta(story.home.root / "sources" / "table", mode="overwrite", delta_write_options={"schema_mode": "overwrite"})


@pytest.fixture
def story(bootstrapped_home: Path, retrain_home: Path) -> Iterator[Story]:
    """A champion serves; the rows for the next retrain are a Delta table."""
    copy_home(bootstrapped_home, retrain_home)
    with story_in(retrain_home) as plain:
        story = Story(plain.home, plain.instance, contract_with(source=TABLE))
        overwrite(story, ROWS)
        yield story


def read_by(story: Story, key: str) -> str:
    """The version of the source as the audit record has it."""
    record = read_record(story.ledger, story.evidence, story.home, MODEL, key)
    assert record.faults == []
    field = custody_fields(record)["data.source_version"]
    assert field["evidence"] in record.evidence
    return str(field["value"])


def test_a_retrain_goes_its_road_on_the_version_it_began_with_and_the_next_one_reads_the_table_of_then(story: Story) -> None:
    """Between its data set and the rest every label turns round and a column is renamed; the next retrain is refused for that."""
    story.travel(max(morning_of(RETRAIN), story.clock.now()))
    story.instance.add_dynamic_partitions(f"{MODEL}_retrains", [RETRAIN])
    assert story.materialize("dataset").success
    overwrite(story, ROWS.with_columns(churned=1 - pl.col("churned")))
    overwrite(story, ROWS.rename({"silence": "quiet"}))

    assert story.retrain(), story.failed_step()
    story.ramp_to_approval()
    story.approve()
    story.decide()

    assert story.toggle().state is ToggleStatus.PROMOTED
    assert read_by(story, RETRAIN).startswith("0 of table ")
    again = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN, "--full"])
    assert again.exit_code == 0, again.output
    (taken,) = [line for line in again.output.splitlines() if "taken from the source again" in line]
    assert " equal " in taken

    assert not story.retrain(NEXT)
    (refused,) = story.events(EventKind.STAGE_FAILED)
    assert "sources/table version 2: column 'silence' is missing" in refused.payload["message"]
    assert story.failed_step() == refused.payload["message"]
    story.decide()

    overwrite(story, accounts(days=90, seed=12))
    assert story.retrain(LAST), story.failed_step()
    assert read_by(story, LAST).startswith("3 of table ")
    verified = CliRunner().invoke(app, ["audit", "verify"])
    assert verified.exit_code == 0, verified.output


def test_a_version_whose_files_were_vacuumed_is_told_as_what_cannot_be_taken_again(story: Story) -> None:
    """What was snapshotted stays: only the step that reads the source is not recomputed."""
    assert story.retrain(), story.failed_step()
    overwrite(story, accounts(days=90, seed=12))
    DeltaTable(story.home.root / "sources" / "table").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    again = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN, "--full"])

    assert again.exit_code == 3, again.output
    assert "1 steps cannot be recomputed" in again.output
    (taken,) = [line for line in again.output.splitlines() if "taken from the source again" in line]
    assert "version 0" in taken
