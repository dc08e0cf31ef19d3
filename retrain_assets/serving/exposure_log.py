"""The exposure log: Parquet files of exposures and outcomes below the home. Files are only ever added,
and those of closed days merged (``compaction``)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import polars as pl

from retrain_assets.compute.canary.batch import Batch
from retrain_assets.compute.merged_traffic import holding, requests_digest
from retrain_assets.compute.traffic_schema import (
    EXPOSURE_COLUMNS,
    OUTCOME_COLUMNS,
    REQUEST,
    Dtype,
    check_exposures,
    check_outcomes,
    conform_exposures,
    conform_outcomes,
)
from retrain_assets.contract import SourceError, first_line
from retrain_assets.home import Home
from retrain_assets.serving.directories import made_directory, synchronised_directory
from retrain_assets.serving.file_times import files_of_time, traffic_files

Conform = Callable[[pl.LazyFrame, str], pl.LazyFrame]

_OWN_NAME = "give every batch a name of its own"
AT_ONCE = 64
"""Files whose times are read together."""


class ExposureLog:
    """Reads and writes a home's traffic files (docs/data-formats.md)."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def append_exposures(self, model: str, frame: pl.DataFrame, name: str) -> Path:
        """Write one file of exposures by atomic rename.

        The name makes it idempotent: the same requests under the same name again change nothing; what was logged first happened.

        Args:
            model: the model that scored.
            frame: one row per scored request, columns as documented; further columns are attributes.
            name: file name without suffix, letters, digits, ``.``, ``_`` and ``-``; one name per batch.

        Returns:
            The file.

        Raises:
            SourceError: for rows that are not as documented, or a name that holds other requests.
        """
        path = _file(self.home.exposures_dir(model), name)
        rows = conform_exposures(frame.lazy(), f"exposures {name} of {model}").collect()
        check_exposures(rows, model, f"exposures {name} of {model}")
        if path.exists():
            _same(_requests(pl.read_parquet(path)), _requests(rows), path)
            return path
        return _merged_before(rows, path) or _write(rows, path)

    def read_exposures(
        self, model: str, since: datetime | None = None, toggle: str | None = None, revision: int | None = None
    ) -> pl.DataFrame:
        """Exposures in the order they happened, one row per request and unit (the earliest, should it be logged twice).

        Args:
            model: the model.
            since: only exposures at or after this moment (aware).
            toggle: only exposures of this toggle's experiment.
            revision: only exposures of this revision of it.

        Raises:
            SourceError: naming the file that cannot be read or has other columns.
        """
        rows = self.scan_exposures(model, since)
        if toggle is not None:
            rows = rows.filter(pl.col("toggle") == toggle)
        if revision is not None:
            rows = rows.filter(pl.col("revision") == revision)
        found = _collect(rows, self.home.exposures_dir(model))
        return found.sort("exposed_at", "request_id").unique(list(REQUEST), keep="first", maintain_order=True)

    def scan_exposures(self, model: str, since: datetime | None = None) -> pl.LazyFrame:
        """Exposures in no order, repeated ones included; of files only those that have some at or after ``since``.

        Raises:
            SourceError: naming the file that cannot be read or has other columns.
        """
        return _scanned(self._exposures(model), since)

    def scan_outcomes(self, model: str, since: datetime | None = None) -> pl.LazyFrame:
        """Outcomes, as :meth:`scan_exposures`."""
        return _scanned(self._outcomes(model), since)

    def exposure_batches(self, model: str) -> list[Batch]:
        """Every file of exposures, by name, to be read one at a time.

        Raises:
            SourceError: naming the file that cannot be read or has other columns.
        """
        return _batches(self.home.exposures_dir(model), conform_exposures)

    def outcome_batches(self, model: str) -> list[Batch]:
        """Every file of outcomes, as :meth:`exposure_batches`."""
        return _batches(self.home.outcomes_dir(model), conform_outcomes)

    def newest_exposure(self, model: str, toggle: str, *, since: datetime | None, until: datetime) -> datetime | None:
        """The newest exposure of a toggle's experiment after ``since`` up to ``until``; None when there is none.

        Reads the files with the latest exposures first, and no more of them than it takes.

        Raises:
            SourceError: naming the file or folder that cannot be read.
        """
        kind, newest = self._exposures(model), None
        files = files_of_time(kind.directory, kind.memory, kind.times, since=since, until=until)
        for start in range(0, len(files), AT_ONCE):
            some = files[start : start + AT_ONCE]
            if newest is not None and newest >= some[0][1]:
                break
            rows = kind.scan([path for path, _ in some]).filter(pl.col("exposed_at") <= until, pl.col("toggle") == toggle)
            if since is not None:
                rows = rows.filter(pl.col("exposed_at") > since)
            found = _collect(rows.select(pl.col("exposed_at").max()), kind.directory).item()
            if isinstance(found, datetime) and (newest is None or found > newest):
                newest = found
        return newest

    def directory(self, model: str, kind: str) -> Path:
        """The folder of a model's files of a kind, ``exposures`` or ``outcomes``."""
        return self._kind(model, kind).directory

    def files_with_last(self, model: str, kind: str) -> list[tuple[Path, datetime]]:
        """Every file of a kind that has rows, with the moment of its last one; the latest first.

        Raises:
            SourceError: naming the file or folder that cannot be read.
        """
        of = self._kind(model, kind)
        return files_of_time(of.directory, of.memory, of.times)

    def _kind(self, model: str, kind: str) -> _Kind:
        return self._exposures(model) if kind == "exposures" else self._outcomes(model)

    def _exposures(self, model: str) -> _Kind:
        memory = self.home.traffic_cache_dir(model) / "exposures.times"
        return _Kind(self.home.exposures_dir(model), memory, conform_exposures, EXPOSURE_COLUMNS, "exposed_at")

    def _outcomes(self, model: str) -> _Kind:
        memory = self.home.traffic_cache_dir(model) / "outcomes.times"
        return _Kind(self.home.outcomes_dir(model), memory, conform_outcomes, OUTCOME_COLUMNS, "observed_at")

    def append_outcomes(self, model: str, frame: pl.DataFrame, name: str) -> Path:
        """Write one file of outcomes; as :meth:`append_exposures`, but the same name must hold the same rows.

        A correction is a new file with a later ``observed_at``.
        """
        path = _file(self.home.outcomes_dir(model), name)
        rows = conform_outcomes(frame.lazy(), f"outcomes {name} of {model}").collect()
        check_outcomes(rows, f"outcomes {name} of {model}")
        if path.exists():
            _same(pl.read_parquet(path), rows, path)
            return path
        return _merged_before(rows, path) or _write(rows, path)

    def read_outcomes(self, model: str, since: datetime | None = None) -> pl.DataFrame:
        """Outcomes in the order they were observed, repeated ones included.

        Args:
            model: the model.
            since: only outcomes observed at or after this moment (aware).

        Raises:
            SourceError: naming the file that cannot be read or has other columns.
        """
        rows = self.scan_outcomes(model, since)
        return _collect(rows, self.home.outcomes_dir(model)).sort("observed_at", "request_id", maintain_order=True)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Files of one kind of traffic of one model.

    Args:
        directory: where they are.
        memory: where their times are remembered.
        conform: gives them the documented types.
        columns: the documented columns.
        moment: the column that says when a row was.
    """

    directory: Path
    memory: Path
    conform: Conform
    columns: Mapping[str, Dtype]
    moment: str

    def scan(self, paths: Sequence[Path]) -> pl.LazyFrame:
        """The rows of some files."""
        if not paths:
            return pl.LazyFrame(schema=self.columns)
        return pl.concat([_scan(path, self.conform) for path in paths], how="diagonal_relaxed")

    def times(self, paths: Sequence[Path]) -> pl.DataFrame:
        """The moments of the first and the last row of files."""
        moment = pl.col(self.moment)
        each = [_scan(path, self.conform).select(first=moment.min(), last=moment.max()) for path in paths]
        parts = [pl.concat(each[start : start + AT_ONCE]) for start in range(0, len(each), AT_ONCE)]
        return pl.concat([_collect(part, self.directory) for part in parts])


def _file(directory: Path, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise SourceError(f"{name!r} is not a file name", where=str(directory), remedy="use letters, digits, '.', '_' and '-'")
    return directory / f"{name}.parquet"


def _merged_before(rows: pl.DataFrame, path: Path) -> Path | None:
    """The merged file that holds what was logged under this name; None where none does.

    Raises:
        SourceError: when it holds other requests.
    """
    if (found := holding(path.parent, path.name)) is None:
        return None
    merged, member = found
    if member.requests != requests_digest(rows):
        raise SourceError("the file exists with other rows", where=f"{path.name} in {merged}", remedy=_OWN_NAME)
    return merged


def _write(rows: pl.DataFrame, path: Path) -> Path:
    made_directory(path.parent)
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex}.tmp")
    try:
        rows.write_parquet(scratch)
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    synchronised_directory(path.parent)
    return path


def _requests(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col("request_id").sort())


def _same(before: pl.DataFrame, now: pl.DataFrame, path: Path) -> None:
    if not before.equals(now):
        raise SourceError("the file exists with other rows", where=str(path), remedy=_OWN_NAME)


def _batches(directory: Path, conform: Conform) -> list[Batch]:
    return [Batch(name, stamp, partial(_scan, directory / name, conform)) for name, stamp in traffic_files(directory)]


def _scanned(kind: _Kind, since: datetime | None) -> pl.LazyFrame:
    every = [kind.directory / name for name, _ in traffic_files(kind.directory)]
    if since is None:
        return kind.scan(every)
    files = sorted(path for path, _ in files_of_time(kind.directory, kind.memory, kind.times, since=since))
    return kind.scan(files or every[-1:]).filter(pl.col(kind.moment) >= since)  # without rows still with attributes or measures


def _scan(path: Path, conform: Conform) -> pl.LazyFrame:
    try:
        return conform(pl.scan_parquet(path), str(path))
    except (pl.exceptions.PolarsError, OSError) as fault:
        raise SourceError(
            f"is not a readable Parquet file ({first_line(fault)})", where=str(path), remedy="write it again"
        ) from fault


def _collect(rows: pl.LazyFrame, directory: Path) -> pl.DataFrame:
    try:
        return rows.collect()
    except (pl.exceptions.PolarsError, OSError) as fault:
        remedy = "give a column the same type in every file, and write damaged files again"
        raise SourceError(
            f"the files cannot be read together ({first_line(fault)})", where=str(directory), remedy=remedy
        ) from fault
