"""Windows that every check of gate DATA passes, for the contract of conftest.py: 50 parcels a day, evenly spread."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl

from retrain_assets.contract import Contract, Verdict
from retrain_assets.gates import LeftOut, SourceRows, data_gate
from retrain_assets_tests.gates.conftest import CUTOFF, sent

Windows = tuple[pl.DataFrame, pl.DataFrame]
A_DAY = 50


class Parcels(pa.DataFrameModel):
    parcel: str
    sent_at: Annotated[pl.Datetime, "us", "UTC"]
    weight: float = pa.Field(ge=0, nullable=True)
    late: bool = pa.Field(nullable=True)


def windows(*, train_days: int = 20, holdout_days: float = 4, a_day: int = A_DAY) -> Windows:
    """Rows of ``train_days`` days up to five days before the cut-off, and of the days after it whose labels are known."""
    start = CUTOFF - timedelta(days=5)
    train = sent(train_days * a_day, start - timedelta(days=train_days), days=train_days, seed=1)
    return train, sent(int(holdout_days * a_day), start, days=holdout_days, seed=2)


def judged(train: pl.DataFrame, holdout: pl.DataFrame, contract: Contract, **changes: Any) -> list[Verdict]:
    """The verdicts of gate DATA; ``changes``: cutoff, left_out, schema, history."""
    left_out = changes.get("left_out") or LeftOut()
    rows = SourceRows(train, holdout, contract, changes.get("cutoff", CUTOFF), left_out)
    return data_gate(rows, schema=changes.get("schema", Parcels), history=changes.get("history", ()))
