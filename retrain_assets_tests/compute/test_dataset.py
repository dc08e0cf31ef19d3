from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest

from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import Gate, Outcome, SourceError, StageError
from retrain_assets.gates import EarlierDataset
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF, Parcels, contract_values, parcels, write_source


class FloatParcels(Parcels):
    late: float = pa.Field(nullable=True)


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
    assert snapshot(tmp_path, pl.concat([parcels(), later])).outputs["dataset"] == {
        "uri": str(tmp_path / "out" / "dataset"),
        "digest": road.dataset.outputs["dataset"]["digest"],
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


def test_rows_too_young_for_a_label_and_rows_whose_label_never_came_reach_the_gate(tmp_path: Path) -> None:
    """The raw rows are as they were at the cut-off: nothing that is known later is there yet on the youngest."""
    young = pl.col("sent_at") > CUTOFF - timedelta(days=1)
    raw = parcels().with_columns(
        pl.when(young).then(None).otherwise(pl.col(name)).alias(name) for name in ("late", "rain", "transit_hours")
    )
    result = snapshot(tmp_path, raw.with_columns(transit_hours=pl.col("transit_hours").fill_null(0.0)))
    verdict = next(found for found in result.verdicts_of(Gate.DATA) if found.check == "columns_are_known_in_time")
    assert verdict.outcome is Outcome.FAIL
    assert "rain is null on 100.0% of 59 rows (too young for a label)" in verdict.message


def test_a_label_that_is_not_a_number_is_no_label(tmp_path: Path) -> None:
    broken = pl.col("parcel_id").is_in(["p01000", "p03500"])
    rows = parcels().with_columns(late=pl.when(broken).then(float("nan")).otherwise(pl.col("late").cast(pl.Float64)))
    contract = contract_values(write_source(tmp_path / "source", rows))
    contract["source"] |= {"schema": f"{__name__}.FloatParcels"}
    parameters = {"cutoff": CUTOFF.isoformat()}
    result = run_stage(StageRequest("dataset", "parcel_delay", "r", contract, {}, str(tmp_path / "out"), parameters))
    assert result.metadata["left_out"]["label_missing"] == 2


def test_holdout_rows_of_a_group_that_training_has_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = parcels()
    train_end = CUTOFF - timedelta(days=8)
    early, late = pl.col("sent_at") < train_end, pl.col("sent_at") >= train_end
    depot = (
        pl.when(early & (pl.col("depot") == "harbour"))
        .then(pl.lit("old"))
        .when(late & (pl.col("depot") == "harbour"))
        .then(pl.lit("new"))
        .when(late & (pl.col("depot") == "south"))
        .then(None)
        .otherwise("depot")
    )
    rows = rows.with_columns(depot=depot)
    contract = contract_values(write_source(tmp_path / "grouped", rows))
    contract["source"] |= {"group": "depot"}
    parameters = {"cutoff": CUTOFF.isoformat()}
    result = run_stage(StageRequest("dataset", "parcel_delay", "r", contract, {}, str(tmp_path / "out"), parameters))
    holdout = read_tables(Path(result.outputs["dataset"]["uri"])).holdout
    assert set(holdout["depot"]) == {"new", None}
    labelled = rows.filter(late & (pl.col("sent_at") <= CUTOFF - timedelta(days=1)))
    assert result.metadata["left_out"]["group_in_training"] == labelled.filter(pl.col("depot") == "north").height > 0
    found = {verdict.check: verdict for verdict in result.verdicts_of(Gate.DATA)}
    assert found["groups_are_separate"].passed
    assert found["volume_is_steady"].observed == pytest.approx(0, abs=0.02)
    assert found["days_are_complete"].passed, "rows left out for their group are still rows of the source"


def test_a_group_that_is_not_in_the_schema_is_refused(tmp_path: Path) -> None:
    contract = contract_values(write_source(tmp_path / "source"))
    contract["source"] |= {"group": "household"}
    request = StageRequest("dataset", "m", "r", contract, {}, str(tmp_path / "out"), {"cutoff": CUTOFF.isoformat()})
    with pytest.raises(SourceError, match=r"source.group 'household' is not a column of the schema"):
        run_stage(request)


def test_the_gate_compares_with_what_earlier_retrains_saw(tmp_path: Path, road: Road) -> None:
    seen = road.dataset.metadata["as_history"]
    assert EarlierDataset.from_json(seen).to_json() == seen
    assert (seen["rows_a_day"], seen["null_share"]["rain"]) == (60, 0)
    contract = contract_values(write_source(tmp_path / "source"))
    history = [seen | {"retrain": "2024-02-01", "rows_a_day": 20.0}]
    parameters = {"cutoff": CUTOFF.isoformat(), "history": history}
    result = run_stage(StageRequest("dataset", "parcel_delay", "r", contract, {}, str(tmp_path / "out"), parameters))
    failed = [verdict.check for verdict in result.verdicts_of(Gate.DATA) if not verdict.passed]
    assert failed == ["volume_is_steady"]
    assert result.metadata["compared_with"] == ["2024-02-01"]
    assert result.outputs["dataset"]["digest"] == road.dataset.outputs["dataset"]["digest"], "history judges, it does not select"


@pytest.mark.parametrize("history", [[{"retrain": "2024-02-01"}], [7], 3, ["2024-02-01"]])
def test_a_history_that_is_none_is_refused(tmp_path: Path, history: Any) -> None:
    contract = contract_values(write_source(tmp_path / "source"))
    request = StageRequest(
        "dataset", "m", "r", contract, {}, str(tmp_path / "out"), {"cutoff": CUTOFF.isoformat(), "history": history}
    )
    with pytest.raises(StageError, match="history is not a list of earlier data sets"):
        run_stage(request)


def test_rows_without_an_event_time_are_counted_and_break_a_schema_that_does_not_allow_them(tmp_path: Path) -> None:
    nowhere = parcels().head(3).with_columns(sent_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    result = snapshot(tmp_path, pl.concat([parcels(), nowhere]))
    found = next(verdict for verdict in result.verdicts_of(Gate.DATA) if verdict.check == "schema_holds")
    assert result.metadata["left_out"]["no_event_time"] == 3
    assert found.outcome is Outcome.FAIL
    assert "sent_at: not_nullable (3 rows of the source have none)" in found.message


class BerlinParcels(Parcels):
    sent_at: Annotated[pl.Datetime, "us", "Europe/Berlin"]


class NaiveParcels(Parcels):
    sent_at: Annotated[pl.Datetime, "us", None]


class DatedParcels(Parcels):
    sent_at: pl.Date


@pytest.mark.parametrize(
    ("schema", "dtype"),
    [("BerlinParcels", pl.Datetime("us", "Europe/Berlin")), ("NaiveParcels", None), ("DatedParcels", pl.Date)],
)
def test_an_event_time_may_be_of_any_zone_or_none_or_a_date(tmp_path: Path, road: Road, schema: str, dtype: Any) -> None:
    moment = pl.col("sent_at")
    rows = parcels().with_columns(moment.dt.replace_time_zone(None) if dtype is None else moment.cast(dtype))
    contract = contract_values(write_source(tmp_path / "source", rows))
    contract["source"] |= {"schema": f"{__name__}.{schema}"}
    parameters = {"cutoff": CUTOFF.isoformat()}
    result = run_stage(StageRequest("dataset", "parcel_delay", "r", contract, {}, str(tmp_path / "out"), parameters))
    assert [found for found in result.verdicts_of(Gate.DATA) if not found.passed] == []
    assert result.metadata["rows"]["train"] == road.dataset.metadata["rows"]["train"]
    inputs = {"dataset": result.outputs["dataset"]["uri"]}
    features = run_stage(StageRequest("features", "parcel_delay", "r", contract, inputs, str(tmp_path / "features"), {}))
    assert [found for found in features.verdicts_of(Gate.DATA) if not found.passed] == []
    inputs = {"features": features.outputs["features"]["uri"]}
    training = run_stage(StageRequest("training", "parcel_delay", "r", contract, inputs, str(tmp_path / "training"), {}))
    assert [found for found in training.verdicts_of(Gate.TRAINING) if not found.passed] == []
