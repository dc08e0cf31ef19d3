from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import Gate, Outcome, StageError
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF, contract_values, parcels, write_source


def snapshot(folder: Path, rows: pl.DataFrame, cutoff: Any = None) -> StageResult:
    contract = contract_values(write_source(folder / "source", rows))
    parameters = {"cutoff": CUTOFF.isoformat() if cutoff is None else cutoff}
    return run_stage(StageRequest("dataset", "parcel_delay", "r", contract, {}, str(folder / "out"), parameters))


def test_the_windows_are_split_by_time_and_nothing_is_later_than_the_cutoff(road: Road) -> None:
    tables = read_tables(Path(road.dataset.outputs["dataset"]["uri"]))
    train_end = CUTOFF - timedelta(days=8)
    assert (tables.train["sent_at"].min(), tables.train["sent_at"].max() < train_end) == (CUTOFF - timedelta(days=48), True)
    assert tables.holdout["sent_at"].min() == train_end
    assert tables.holdout["sent_at"].max() <= CUTOFF - timedelta(days=1)
    assert road.dataset.metadata["window"]["holdout_end"] == CUTOFF.isoformat()


def test_rows_without_a_known_label_are_left_out_and_counted(tmp_path: Path) -> None:
    missing = pl.col("parcel_id").is_in(["p01000", "p01001", "p03500"])
    result = snapshot(tmp_path, parcels().with_columns(late=pl.when(missing).then(None).otherwise(pl.col("late"))))
    assert result.metadata["left_out"] == {"label_not_known_yet": 59, "label_missing": 3}
    assert result.metadata["rows"] == {"train": 2400 - 2, "holdout": 480 - 59 - 1}


def test_the_version_is_of_the_content_whatever_the_order_of_the_source(tmp_path: Path, road: Road) -> None:
    shuffled = snapshot(tmp_path / "a", parcels().sample(fraction=1.0, shuffle=True, seed=5))
    other = snapshot(tmp_path / "b", parcels(seed=4))
    assert shuffled.outputs["dataset"]["digest"] == road.dataset.outputs["dataset"]["digest"]
    assert other.outputs["dataset"]["digest"] != road.dataset.outputs["dataset"]["digest"]


def test_rows_after_the_cutoff_change_nothing(tmp_path: Path, road: Road) -> None:
    later = parcels().with_columns(pl.col("sent_at") + timedelta(days=60), parcel_id=pl.concat_str(pl.lit("later"), "parcel_id"))
    assert snapshot(tmp_path, pl.concat([parcels(), later])).outputs == {
        "dataset": {"uri": str(tmp_path / "out" / "dataset"), "digest": road.dataset.outputs["dataset"]["digest"]}
    }


def test_the_data_gate_judges_the_snapshot(tmp_path: Path, road: Road) -> None:
    assert {verdict.outcome for verdict in road.dataset.verdicts_of(Gate.DATA)} == {Outcome.PASS}
    stale = snapshot(tmp_path, parcels(), (CUTOFF + timedelta(days=5)).isoformat())
    failed = {verdict.check for verdict in stale.verdicts_of(Gate.DATA) if not verdict.passed}
    assert "fresh_enough" in failed


@pytest.mark.parametrize(
    ("cutoff", "message"),
    [("2024-03-01T00:00:00", "has no offset"), ("yesterday", "is not a moment"), (7, "is not a moment")],
)
def test_a_cutoff_that_is_no_moment_is_refused(tmp_path: Path, cutoff: Any, message: str) -> None:
    with pytest.raises(StageError, match=message):
        snapshot(tmp_path, parcels(), cutoff)


def test_a_stage_that_does_not_exist_is_refused() -> None:
    with pytest.raises(StageError, match="there is no stage 'datset'; write one of dataset, features"):
        run_stage(StageRequest("datset", "m", "r", {}, {}, "x"))
