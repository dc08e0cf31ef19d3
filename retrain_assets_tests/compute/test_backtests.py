from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.compute.frames import Tables, read_tables
from retrain_assets.compute.stages import backtests as stage
from retrain_assets.compute.stages.backtests import backtests
from retrain_assets.contract import Contract
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF

ORIGIN = CUTOFF - timedelta(days=16)
"""The last of the two origins: the training window ends eight days before the cut-off."""


def snapshot(road: Road) -> Tables:
    return read_tables(Path(road.inputs()["features"]))


def test_a_model_knows_nothing_of_the_rows_it_is_judged_on(road: Road) -> None:
    tables = snapshot(road)
    inverted = tables.train.with_columns(
        late=pl.when(pl.col("sent_at") >= ORIGIN).then(1 - pl.col("late")).otherwise(pl.col("late"))
    )
    before, last = backtests(inverted, tables.about, Contract.model_validate(road.contract)).found
    assert before.value is not None
    assert last.value is not None
    assert before.value > 0.7
    assert last.value < 0.3


def test_labels_not_known_at_the_origin_are_not_learnt_from(road: Road) -> None:
    tables = snapshot(road)
    known = ORIGIN - timedelta(days=1)
    one_class = tables.train.with_columns(late=pl.when(pl.col("sent_at") <= known).then(0).otherwise(pl.col("late")))
    found = backtests(one_class, tables.about, Contract.model_validate(road.contract)).found
    assert [each.value for each in found] == [None, None]


def test_a_window_without_rows_has_no_value(road: Road) -> None:
    tables = snapshot(road)
    early = tables.train.filter(pl.col("sent_at") < ORIGIN)
    first, last = backtests(early, tables.about, Contract.model_validate(road.contract)).found
    assert first.value is not None
    assert (last.rows, last.value) == (0, None)


def test_without_a_limit_there_are_no_backtests(road: Road) -> None:
    values = {**road.contract, "gates": {**road.contract["gates"], "offline": {"metrics": {"roc_auc": {"min": 0.5}}}}}
    assert backtests(snapshot(road).train, snapshot(road).about, Contract.model_validate(values)).found == []


def test_each_says_how_many_rows_it_was_fitted_on_and_the_seconds_it_took(road: Road) -> None:
    tables = snapshot(road)
    ran = backtests(tables.train, tables.about, Contract.model_validate(road.contract))
    known = [
        tables.train.filter(pl.col("sent_at") <= each - timedelta(days=1)).height for each in (ORIGIN - timedelta(days=8), ORIGIN)
    ]
    assert [each.fitted_rows for each in ran.found] == known
    assert list(ran.seconds) == [f"back-test from {each.start[:10]}" for each in ran.found]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_no_value(road: Road, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    tables, contract = snapshot(road), Contract.model_validate(road.contract)
    monkeypatch.setattr(stage, "fits_at_once", lambda trainer: workers)
    first, last = backtests(tables.train, tables.about, contract).found
    assert (first.start, last.start) == ((ORIGIN - timedelta(days=8)).isoformat(), ORIGIN.isoformat())
    monkeypatch.undo()
    assert backtests(tables.train, tables.about, contract).found == [first, last]
