"""Stage ``dataset``: an immutable snapshot of the training window and of the hold-out window after it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals
import polars as pl

from retrain_assets.compute.code import import_path
from retrain_assets.compute.delta import VersionedTable, pinned_table
from retrain_assets.compute.frames import Tables, write_tables
from retrain_assets.compute.local import content_digest
from retrain_assets.compute.own_code import own_verdicts
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.source import bounds, expected_columns, read_source, rows_without_time, table_columns
from retrain_assets.contract import Contract, Gate, Source, SourceError, StageError, Verdict, canonical_json
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames
from retrain_assets.gates import EarlierDataset, LeftOut, SourceRows, data_gate
from retrain_assets.gates.own import DataRows

if TYPE_CHECKING:
    import pandera.polars

_LEFT_OUT = ("too_young", "unlabelled", "group_in_training")
_COUNTS = "counts.json"


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

    Parameters: ``cutoff`` (ISO-8601 with offset): nothing at or after it is read; ``history`` (optional): the ``as_history`` of
    earlier retrains, for the gate; ``source_version`` (optional): the version of a Delta source to read. Otherwise its version
    is found out once, before the first row is read, and kept beside the outputs: a later try of the same retrain reads the same.
    Metadata ``source``: that version, the table's id, when it was committed and by what operation.

    Output ``dataset``: folder with ``train.parquet`` and ``holdout.parquet``: the schema's columns of rows whose label is known
    at the cut-off, sorted by event time and unit. Its digest, the data set version, is of contents and windows alone. Output
    ``left_out``: folder with the rows of that time that are in neither, so that the gate can be judged again without the source.
    Rows whose label is not known yet (event time + label delay after the cut-off) or missing, and hold-out rows of a group
    (``source.group``) that training has, are left out and counted, and so are rows of the files without an event time. Verdicts:
    gate data.

    Raises:
        SourceError: when the source is not what the contract says.
        StageError: when the cut-off is missing or has no offset, or the history is not one.
    """
    asked = Asked.of(request)
    contract, windows = asked.contract, asked.windows
    source_rows = read_source(contract.source, asked.schema, windows.train_start, windows.cutoff, table=asked.table)
    without_time = rows_without_time(contract.source, table=asked.table)
    rows = split(source_rows, contract, windows, without_time=without_time, names=request.unit_names)
    tables = Tables(rows.train, rows.holdout, asked.about)
    folder = request.directory / "dataset"
    write_tables(folder, tables)
    return judged(asked, rows, tables.digest, folder)


@dataclass(frozen=True)
class Asked:
    """What a request asks of the stage, whichever engine does it."""

    request: StageRequest
    contract: Contract
    windows: Windows
    history: list[EarlierDataset]
    schema: type[pandera.polars.DataFrameModel]
    table: VersionedTable | None

    @classmethod
    def of(cls, request: StageRequest) -> Asked:
        """Read a request; the version of a Delta source is pinned.

        Raises:
            SourceError: when the version of a Delta source cannot be read or is not as the schema says.
            StageError: when the cut-off is missing or has no offset, or the history is not one.
        """
        contract = request.parsed_contract()
        windows, history = Windows.of(contract, _cutoff(request)), _history(request)
        schema = import_path(contract.source.schema_, "source.schema")
        return cls(request, contract, windows, history, schema, pinned(request, contract, schema))

    @property
    def about(self) -> dict[str, Any]:
        """The facts that are kept with the tables and are part of their digest."""
        return {"window": self.windows.to_json()}


def judged(asked: Asked, rows: SourceRows, digest: str, folder: Path) -> StageResult:
    """The stage's result, once the snapshot is written: what was left out is written beside it, and gate data judges both.

    Args:
        asked: what was asked.
        rows: the snapshot and what it leaves out.
        digest: of the snapshot.
        folder: where it is.
    """
    contract, windows, left = asked.contract, asked.windows, rows.left_out
    left_out = asked.request.directory / "left_out"
    _write_left_out(left_out, left)
    metadata: dict[str, Any] = {
        "window": windows.to_json(),
        **({"source": asked.table.at.to_json()} if asked.table is not None else {}),
        "rows": {"train": rows.train.height, "holdout": rows.holdout.height},
        "left_out": {
            "label_not_known_yet": left.too_young.height,
            "label_missing": left.unlabelled.height,
            **({"no_event_time": left.without_time} if left.without_time else {}),
            **({"group_in_training": left.group_in_training.height} if contract.source.group is not None else {}),
        },
        "label_mean": dict(rows.label_mean),
        "as_history": rows.as_history(asked.request.retrain).to_json(),
        "compared_with": [earlier.retrain for earlier in asked.history],
    }
    verdicts = [
        *data_gate(rows, schema=asked.schema, history=asked.history),
        *_own_verdicts(rows, asked.request.retrain),
    ]
    outputs = {"dataset": (folder, digest), "left_out": (left_out, content_digest(left_out))}
    return answer(asked.request, outputs, metadata, {Gate.DATA: verdicts})


def pinned(request: StageRequest, contract: Contract, schema: type[pandera.polars.DataFrameModel]) -> VersionedTable | None:
    """The version of a Delta source that this retrain reads; None for a source of files.

    Raises:
        SourceError: as :func:`retrain_assets.compute.delta.pinned_table`, or when the version is not as the schema says.
    """
    source = contract.source
    if not source.is_delta:
        return None
    expected = expected_columns(source, schema)
    version = request.parameters.get("source_version")
    return pinned_table(request.directory, source, version, usable=lambda table: table_columns(table, expected))


def judged_dataset(
    tables: Tables,
    left_out: LeftOut,
    contract: Contract,
    history: Sequence[Mapping[str, Any]],
    names: UnitNames = UNLINKABLE,
    *,
    retrain: str,
) -> list[Verdict]:
    """Gate data on a snapshot and the rows it left out, as the stage judges them.

    Args:
        tables: the snapshot.
        left_out: as :func:`read_left_out` gives it.
        contract: the contract.
        history: the ``as_history`` of the earlier retrains it is compared with.
        names: what units are called in evidence.
        retrain: key of the retrain.
    """
    cutoff = datetime.fromisoformat(tables.about["window"]["holdout_end"])
    rows = SourceRows(tables.train, tables.holdout, contract, cutoff, left_out, names)
    schema = import_path(contract.source.schema_, "source.schema")
    verdicts = data_gate(rows, schema=schema, history=[EarlierDataset.from_json(value) for value in history])
    return [*verdicts, *_own_verdicts(rows, retrain)]


def _own_verdicts(rows: SourceRows, retrain: str) -> list[Verdict]:
    """The team's own checks of gate data, on the snapshot."""

    def evidence() -> DataRows:
        training, holdout = (narwhals.from_native(part, eager_only=True) for part in (rows.train, rows.holdout))
        return DataRows(
            gate=Gate.DATA,
            check="",
            contract=rows.contract,
            retrain=retrain,
            names=rows.names,
            training=training,
            holdout=holdout,
            cutoff=rows.cutoff,
        )

    return own_verdicts(rows.contract, Gate.DATA, evidence, lambda: rows.train, lambda: rows.holdout)


def read_left_out(folder: Path) -> LeftOut:
    """The rows a snapshot left out.

    Raises:
        StageError: when a file is missing or unreadable.
    """
    try:
        frames = {name: pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in _LEFT_OUT}
        without_time = json.loads((folder / _COUNTS).read_text())["without_time"]
    except (OSError, pl.exceptions.ComputeError, ValueError, KeyError) as error:
        raise StageError(f"cannot be read ({error})", where=str(folder), remedy="take the snapshot again") from error
    return LeftOut(**frames, without_time=without_time)


def _write_left_out(folder: Path, left_out: LeftOut) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in _LEFT_OUT:
        getattr(left_out, name).write_parquet(folder / f"{name}.parquet", compression="zstd")
    (folder / _COUNTS).write_bytes(canonical_json({"without_time": left_out.without_time}))


def split(
    rows: pl.DataFrame, contract: Contract, windows: Windows, *, without_time: int = 0, names: UnitNames = UNLINKABLE
) -> SourceRows:
    """Source rows from the start of training to the cut-off as the snapshot's two windows and what is left out of them.

    Raises:
        SourceError: when ``source.group`` is not a column of the rows.
    """
    source = contract.source
    latest, train_end = bounds(rows.schema[source.event_time], windows.cutoff - source.label_delay, windows.train_end)
    moment, label = pl.col(source.event_time), pl.col(source.label)
    too_young = moment > latest
    without = label.is_null() | label.is_nan() if rows.schema[source.label].is_float() else label.is_null()
    known = rows.filter(~too_young & ~without)
    train, holdout = known.filter(moment < train_end), known.filter(moment >= train_end)
    shared = holdout.clear()
    if source.group is not None:
        refuse_group(source, rows.columns)
        returning = pl.col(source.group).is_in(train[source.group].drop_nulls().unique().implode()).fill_null(False)
        holdout, shared = holdout.filter(~returning), holdout.filter(returning)
    left_out = LeftOut(rows.filter(too_young), rows.filter(~too_young & without), shared, without_time)
    return SourceRows(train, holdout, contract, windows.cutoff, left_out, names)


def refuse_group(source: Source, columns: Sequence[str]) -> None:
    """Refuse a group that is not among the rows' columns.

    Raises:
        SourceError: that.
    """
    if source.group is not None and source.group not in columns:
        remedy = f"add it to the schema or correct source.group; the schema has {', '.join(columns)}"
        raise SourceError(f"source.group {source.group!r} is not a column of the schema", where=source.schema_, remedy=remedy)


def _history(request: StageRequest) -> list[EarlierDataset]:
    try:
        return [EarlierDataset.from_json(value) for value in request.parameters.get("history", ())]
    except (KeyError, TypeError, ValueError) as error:
        raise StageError(
            f"history is not a list of earlier data sets ({error!r})",
            where="stage dataset",
            remedy="pass the as_history of earlier results of this stage",
        ) from error


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
