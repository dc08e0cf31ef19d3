"""No unit id reaches what is kept: ledger, evidence, packs, registry. Units have names that only the home's key explains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.contract import Gate, Outcome
from retrain_assets.contract.unit_names import UnitNames
from retrain_assets.ledger import EventKind
from retrain_assets.reports import write_pack
from retrain_assets_tests.scenarios.conftest import story_in
from retrain_assets_tests.scenarios.story import FIRST, MODEL, RETRAIN, Story, copy_home
from retrain_assets_tests.simulation import accounts, contract_with

ID = re.compile(rb"anna-a\d{6}-of-lisbon|(?<![0-9a-f])a\d{6}(?![0-9a-f])")
"""What accounts are called: those of the retrains, and those the champion was made from."""

BREAKS, FAILS = "2024-03-20", "2024-03-21"
TELLS = "retrain_assets_tests.scenarios.telling_features.build"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, waiting_home: Path) -> Iterator[Story]:
    """Beside a ramp that was looked at, a retrain whose rows break every rule that shows rows, one whose feature code raises."""
    root = tmp_path_factory.mktemp("people") / "home"
    copy_home(waiting_home, root)
    with story_in(root) as story:
        rows = accounts(days=90).with_columns(account=pl.format("anna-{}-of-lisbon", "account"))
        late = rows.filter(pl.col("seen_at") >= datetime(2024, 3, 12, tzinfo=UTC)).head(40)
        place = pl.int_range(pl.len())
        broken = rows.with_columns(
            tenure=pl.when(place % 50 == 0).then(-1.0).otherwise("tenure"),
            region=pl.when(place % 70 == 0).then("account").otherwise("region"),
        )
        story.write_source(pl.concat([broken, late]))
        assert not story.retrain(BREAKS)
        story.write_source(rows)
        assert not story.retrain(FAILS, contract_with(features=TELLS))
        for key in (FIRST, RETRAIN, BREAKS, FAILS):
            write_pack(story.home, MODEL, key)
        yield story


def test_the_rows_that_broke_rules_are_shown_and_named(told: Story) -> None:
    """The world does what it is made for: without redaction ids would stand in evidence."""
    judged = told.retrain_state(BREAKS).verdicts[Gate.DATA]
    failed = {name for name, check in judged.checks.items() if check.verdict.outcome is Outcome.FAIL}
    assert {"schema_holds", "keys_are_unique"} <= failed
    shown = told.evidence.get(judged.checks["schema_holds"].evidence)
    rows = next(one for one in shown["verdicts"] if one["check"] == "schema_holds")["evidence"]["failing_rows"]
    assert {row["account"].partition(":")[0] for row in rows} == {"unit"}
    names = UnitNames(told.home.unit_key()).all_of(f"anna-a{place:06}-of-lisbon" for place in range(90 * 60))
    assert {row["account"] for row in rows} <= set(names)
    (failure,) = told.events(EventKind.STAGE_FAILED)
    assert "a unit" in failure.payload["message"]


def test_ids_stand_in_the_traffic_and_would_be_seen(told: Story) -> None:
    for folder in (told.home.exposures_dir(MODEL), told.home.outcomes_dir(MODEL)):
        units = pl.read_parquet(folder / "*.parquet", missing_columns="insert")["unit_id"].unique().to_list()
        assert len(units) > 100
        assert all(ID.search(one.encode()) for one in units)
    source = pl.read_parquet(told.home.root / "sources" / "accounts.parquet")["account"]
    assert all(ID.search(one.encode()) for one in source.unique().to_list())


def test_no_file_that_is_kept_has_an_id_in_it(told: Story) -> None:
    home = told.home
    kept = [
        *home.root.glob("ledger.db*"),
        *home.evidence_dir.rglob("*.json"),
        *home.reports_dir(MODEL).iterdir(),
        home.flags_path,
    ]
    kept += [*home.root.glob("mlflow.db*"), *(file for file in home.mlflow_artifacts.rglob("*") if file.is_file())]
    assert told.events(EventKind.CANARY_LOOKED)
    assert len(kept) > 40
    assert [str(file) for file in kept if ID.search(file.read_bytes())] == []


def test_the_home_keeps_the_key_to_itself_and_names_are_stable(told: Story) -> None:
    path = told.home.unit_key_path
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(told.home.unit_key()) == 32
    assert told.home.unit_key() == path.read_bytes()
