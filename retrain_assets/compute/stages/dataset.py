"""Stage ``dataset``: an immutable snapshot of the training window and of the hold-out window after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from retrain_assets.compute.code import import_path
from retrain_assets.compute.frames import Tables, write_tables
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.source import bounds, read_source
from retrain_assets.contract import Contract, Gate, Source, StageError
from retrain_assets.gates import data_gate


@dataclass(frozen=True, slots=True)
class Windows:
    """Where a retrain's windows begin and end: train = [train_start, train_end), hold-out = [train_end, cutoff)."""

    train_start: datetime
    train_end: datetime
    cutoff: datetime

    @classmethod
    def of(cls, contract: Contract, cutoff: datetime) -> Windows:
        """The windows before a cut-off."""
        train_end = cutoff - contract.window.holdout
        return cls(train_end - contract.window.train, train_end, cutoff)

    def to_json(self) -> dict[str, str]:
        """As in a bundle's manifest."""
        return {
            "train_start": self.train_start.isoformat(),
            "train_end": self.train_end.isoformat(),
            "holdout_end": self.cutoff.isoformat(),
        }


def dataset(request: StageRequest) -> StageResult:
    """Snapshot the source.

    Parameters: ``cutoff`` (ISO-8601 with offset): nothing at or after it is read; ``history`` (optional): training rows of
    earlier retrains, for the gate.

    Output ``dataset``: folder with ``train.parquet`` and ``holdout.parquet``: the schema's columns of rows whose label is known
    at the cut-off, sorted by event time and unit. Its digest, the data set version, is of contents and windows alone. Rows
    whose label is not known yet (event time + label delay after the cut-off, or null) are left out and counted. Verdicts:
    gate data.

    Raises:
        SourceError: when the source is not what the contract says.
        StageError: when the cut-off is missing or has no offset.
    """
    contract = request.parsed_contract()
    windows = Windows.of(contract, _cutoff(request))
    schema = import_path(contract.source.schema_, "source.schema")
    rows = read_source(contract.source, schema, windows.train_start, windows.cutoff)
    known, counts = _labelled(rows, contract.source, windows.cutoff)

    (train_end,) = bounds(rows.schema[contract.source.event_time], windows.train_end)
    moment = pl.col(contract.source.event_time)
    train, holdout = known.filter(moment < train_end), known.filter(moment >= train_end)
    tables = Tables(train, holdout, {"window": windows.to_json()})
    folder = request.directory / "dataset"
    write_tables(folder, tables)
    history = [int(count) for count in request.parameters.get("history", ())]
    verdicts = data_gate(train, holdout, contract=contract, schema=schema, cutoff=windows.cutoff, history=history)
    metadata: dict[str, Any] = {
        "window": windows.to_json(),
        "rows": {"train": train.height, "holdout": holdout.height},
        "left_out": counts,
        "label_mean": {"train": _label_mean(train, contract), "holdout": _label_mean(holdout, contract)},
    }
    return answer(request, {"dataset": (folder, tables.digest)}, metadata, {Gate.DATA: verdicts})


def _cutoff(request: StageRequest) -> datetime:
    text = request.parameter("cutoff")
    try:
        cutoff = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise StageError(
            f"cutoff {text!r} is not a moment", where="stage dataset", remedy="write it as 2013-07-01T00:00:00+00:00"
        ) from error
    if cutoff.tzinfo is None:
        raise StageError(f"cutoff {text!r} has no offset", where="stage dataset", remedy=f"write {text}+00:00")
    return cutoff


def _labelled(rows: pl.DataFrame, source: Source, cutoff: datetime) -> tuple[pl.DataFrame, dict[str, int]]:
    (latest,) = bounds(rows.schema[source.event_time], cutoff - source.label_delay)
    too_young = pl.col(source.event_time) > latest
    without = pl.col(source.label).is_null()
    counts = rows.select(label_not_known_yet=too_young.sum(), label_missing=(without & ~too_young).sum()).row(0, named=True)
    return rows.filter(~too_young & ~without), {name: int(count) for name, count in counts.items()}


def _label_mean(frame: pl.DataFrame, contract: Contract) -> float | None:
    label = frame[contract.source.label]
    if frame.is_empty() or not (label.dtype.is_numeric() or label.dtype == pl.Boolean):
        return None
    return float(label.cast(pl.Float64).mean())  # type: ignore[arg-type]
