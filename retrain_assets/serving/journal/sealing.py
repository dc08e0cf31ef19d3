"""From a segment to Parquet files under the segment's name. Repeating it changes nothing, so it may be interrupted anywhere."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS, MOMENT, OUTCOME_COLUMNS, REQUEST, Dtype, repeated
from retrain_assets.contract import SourceError, first_line
from retrain_assets.home import Home
from retrain_assets.serving.directories import synchronised_directory
from retrain_assets.serving.exposure_log import ExposureLog
from retrain_assets.serving.journal.lines import Found
from retrain_assets.serving.journal.segment import Segment, journal_directories, orphans
from retrain_assets.serving.journal.values import TrafficKind

_LOG = logging.getLogger("retrain_assets.serving.journal")
SHADOW_COLUMNS: dict[str, Dtype] = {"request_id": pl.String, "shadow_score": pl.Float64}
FAULTS = (SourceError, OSError, MemoryError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What sealing may fail of; the segment stays."""

_DOCUMENTED = {"exposures": EXPOSURE_COLUMNS, "outcomes": OUTCOME_COLUMNS, "shadow": SHADOW_COLUMNS}
_KINDS: dict[str | None, Dtype] = {"text": pl.String, "number": pl.Float64, "bool": pl.Boolean, None: pl.Null}


@dataclass(frozen=True, slots=True)
class Sealed:
    """What became of a segment.

    Args:
        files: the Parquet files.
        rows: rows in them.
        repeated: exposures left out because the same request and unit stood there before.
        shadow_unjoined: shadow scores that found no exposure.
        damaged: lines put aside.
    """

    files: tuple[Path, ...]
    rows: int
    repeated: int
    shadow_unjoined: int
    damaged: int


def recover(home: Home) -> list[Path]:
    """Seal every segment whose process has ended; safe beside live processes, and again.

    Returns:
        The Parquet files.

    Raises:
        SourceError: when a segment could not be sealed; it stays, and all others were sealed.
    """
    files: list[Path] = []
    faults: list[str] = []
    for model, directory in journal_directories(home.traffic_dir):
        try:
            for segment in orphans(directory):
                try:
                    files += seal(home, model, segment).files
                except FAULTS as fault:
                    faults.append(f"{segment.path}: {first_line(fault)}")
                    segment.release()
        except OSError as fault:
            faults.append(f"{fault.filename}: {fault.strerror}")
    if faults:
        raise SourceError(
            f"{len(faults)} segments of the journal cannot be sealed, {faults[0]}", remedy="nothing is lost; repeat it"
        )
    return files


def seal(home: Home, model: str, segment: Segment) -> Sealed:
    """Write what a held segment holds to Parquet files of its name, and remove it.

    Raises:
        SourceError: for rows that are not as documented or a name that holds others; the segment stays, still held.
        OSError: when the disk refuses; likewise.
        polars.exceptions.PolarsError: for rows that cannot be read together; likewise.
    """
    found, log, files = segment.read(), ExposureLog(home), []
    aside = _put_aside(segment.path.with_suffix(".damaged"), found.damaged)
    exposures = _frame(found, "exposures")
    first = _first_of_each(exposures)
    joined, unjoined = _with_shadow(first, _frame(found, "shadow"))
    outcomes = _frame(found, "outcomes")
    if joined.height:
        _sweep(home.exposures_dir(model), segment.name)
        files.append(log.append_exposures(model, joined, segment.name))
    if outcomes.height:
        _sweep(home.outcomes_dir(model), segment.name)
        files.append(log.append_outcomes(model, outcomes, segment.name))
    segment.remove()
    if aside:
        _LOG.error("%s: %d damaged lines of the journal were put aside, they are in no file", aside, len(found.damaged))
    return Sealed(tuple(files), joined.height + outcomes.height, exposures.height - first.height, unjoined, len(found.damaged))


def _frame(found: Found, kind: TrafficKind) -> pl.DataFrame:
    documented, further = _DOCUMENTED[kind], {name: _KINDS[one] for name, one in found.columns[kind].items()}
    if kind not in found.rows:
        return pl.DataFrame(schema=documented)
    times = [name for name, dtype in documented.items() if dtype == MOMENT]
    written = {**documented, **dict.fromkeys(times, pl.String)}
    if found.damaged:  # a heading may be among what is lost
        rows = pl.read_ndjson(found.rows[kind], schema_overrides=written, infer_schema_length=None).drop("")
        guessed = {name: dtype for name, dtype in rows.schema.items() if name not in documented}
        rows = rows.cast({name: _stated(dtype, further.get(name)) for name, dtype in guessed.items()})
    else:
        rows = pl.read_ndjson(found.rows[kind], schema={**written, **further})
    return rows.with_columns(pl.col(times).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us").cast(MOMENT))


def _stated(guessed: pl.DataType, said: Dtype | None) -> Dtype:
    if guessed == pl.Null and said is not None:
        return said
    return pl.Float64 if guessed.is_integer() else guessed


def _first_of_each(exposures: pl.DataFrame) -> pl.DataFrame:
    """The exposures without repetitions: of a request that was sent again, what happened first."""
    if not repeated(exposures):
        return exposures
    return exposures.sort("exposed_at", maintain_order=True).unique(list(REQUEST), keep="first", maintain_order=True)


def _with_shadow(exposures: pl.DataFrame, shadow: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The exposures with the scores that came later, and how many scores have no exposure here, or more than one to belong to."""
    if shadow.is_empty():
        return exposures, 0
    scores = shadow.unique("request_id", keep="last", maintain_order=True).select(*SHADOW_COLUMNS)
    own = exposures.filter(pl.col("request_id").is_unique()).select("request_id")
    scores = scores.join(own, on="request_id", how="semi")
    later = exposures.select("request_id").join(scores, on="request_id", how="left", maintain_order="left")
    joined = exposures.with_columns(pl.coalesce("shadow_score", later["shadow_score"].alias("")).alias("shadow_score"))
    return joined, shadow["request_id"].n_unique() - scores.height


def _put_aside(path: Path, lines: list[bytes]) -> Path | None:
    if not lines:
        return None
    scratch = path.with_suffix(".damaged.tmp")
    with scratch.open("wb") as file:
        file.write(b"\n".join(lines) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    synchronised_directory(path.parent)
    return path


def _sweep(directory: Path, name: str) -> None:
    """Remove what an interrupted sealing of this segment left; whoever holds the segment is the only one to write there."""
    for scratch in directory.glob(f".{name}.parquet.*.tmp"):
        scratch.unlink(missing_ok=True)
