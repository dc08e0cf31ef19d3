"""The sums of a canary from new files only: what earlier ticks found is kept in a cache that may be deleted at any time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import polars as pl

from retrain_assets.compute.canary.batch import Batch
from retrain_assets.compute.canary.cells import cell_schema
from retrain_assets.compute.canary.columns import read_columns
from retrain_assets.compute.canary.data import Moments, canary_data
from retrain_assets.compute.canary.known import CellFile, KnownFiles
from retrain_assets.compute.canary.records import Labels, no_exposures, no_outcomes, require_columns
from retrain_assets.compute.canary.requests import RowCounts
from retrain_assets.compute.canary.scatter import scattered
from retrain_assets.compute.canary.step import Rows, step
from retrain_assets.compute.canary.sums import Sums
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.contract import StageError
from retrain_assets.experiment import CanaryData

CANCELLED = 1e6
"""How much smaller a sum of squares may become by taking units away before rounding shows; then everything is computed anew."""

_MANIFEST, _LOCK = "state.json", "lock"
_ATTEMPTS = 2
_ABANDONED_SECONDS = 24 * 3600.0
"""Age at which a file that the state does not name is what a broken tick left, not what another tick is writing."""


@dataclass(slots=True)
class State:
    """What is known after a tick; ``stamp`` is that of the kept state it was computed from."""

    known: KnownFiles
    stamp: str = ""
    now: datetime | None = None
    revisions: dict[int, list[Any]] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=lambda: {"exposures": {}, "outcomes": {}})
    rows: dict[str, int] = field(default_factory=lambda: {"exposures": 0, "outcomes": 0})
    labels: Labels = field(default_factory=Labels)
    sums: Sums = field(default_factory=Sums)
    counts: RowCounts = field(default_factory=RowCounts)
    moments: Moments = field(default_factory=Moments)
    left: dict[str, str] = field(default_factory=dict)
    ripening: list[datetime] = field(default_factory=list)


def tick(
    directory: Path, exposures: Sequence[Batch], outcomes: Sequence[Batch], terms: Terms, now: datetime, *, keep: bool = True
) -> CanaryData:
    """What a canary has seen up to now, as :func:`canary_aggregation.aggregate` gives it, from the files since the last tick.

    Args:
        directory: of this toggle alone; made when it is not there. What another version or other terms left in it is not used.
            Several ticks at once get right answers and one of them is kept; where it cannot be written, nothing is kept.
        exposures: every file of exposures there is.
        outcomes: every file of outcomes there is.
        terms: what is counted.
        now: the time of the look (timezone-aware).
        keep: whether what was found is kept for the next tick. Sums of many numbers depend on the order they are added in, so
            that a look can be computed again to the last bit only when nothing but recorded looks is kept.

    Raises:
        StageError: for a missing column, a wrong type or an unknown arm; then nothing is kept of this tick.
        OSError: when a file of records cannot be read.
    """
    if now.tzinfo is None:
        raise StageError("a time has no time zone", where="canary", remedy="pass timezone-aware UTC times")
    now = now.astimezone(UTC)
    identity = _identity(terms)
    batches = {"exposures": exposures, "outcomes": outcomes}
    for _ in range(_ATTEMPTS):
        before = _load(directory, identity, batches, terms, now)
        if before is None:
            break
        try:
            data = _advance(before, batches, terms, now, identity, keep=keep)
        except OSError:
            continue  # a file is gone because another tick has replaced it, or is damaged; or a record is: then it tells below
        if data is None:
            break
        return data
    data = _advance(State(_nothing_known(directory, terms), _stamp(directory)), batches, terms, now, identity, keep=keep)
    assert data is not None
    return data


def _advance(
    state: State, batches: Mapping[str, Sequence[Batch]], terms: Terms, now: datetime, identity: str, *, keep: bool
) -> CanaryData | None:
    """One tick; None where rounding would show."""
    new = {kind: [one for one in files if one.name not in state.files[kind]] for kind, files in batches.items()}
    labels = Labels({column: list(names) for column, names in state.labels.of.items()}, set(state.labels.columns))
    waiting, opened = _left(state, "waiting", terms), _left(state, "open", terms)
    exposures, outcomes = ((one.records() for one in new[kind]) for kind in ("exposures", "outcomes"))
    found = scattered(exposures, outcomes, terms, labels, now, waiting, opened.height)
    rows = {"exposures": state.rows["exposures"] + found.exposures, "outcomes": state.rows["outcomes"] + found.outcomes}
    require_columns(labels, terms, exposures=rows["exposures"] > 0, outcomes=rows["outcomes"] > 0)
    known = state.known if state.known.requests or state.known.cell_files else None
    sums, counts, moments, open_counts = state.sums, state.counts + found.counts, state.moments, RowCounts()
    left, settled, cells = [], [], []
    for number, (part, before) in enumerate(zip(found.parts, found.beside(opened), strict=True)):
        arrived = part.rows()
        moments |= Moments.of(pl.concat([arrived.exposures, before.exposures]), terms, now)
        if known is None and before.exposures.is_empty():
            change = step(before, arrived, None, terms, labels, now)
        else:
            change = step(before, arrived, state.known.part(number, len(found.parts)), terms, labels, now)
        if _cancels(sums, change.change):
            return None
        sums += change.change
        counts += change.counts
        open_counts += change.open_counts
        left.append(change.open)
        settled.append(change.settled)
        cells.append(change.cells)
    young = (pl.col("revision") >= 0) & (pl.col("at") > now - terms.window)
    times = [*state.ripening, *(at for one in settled for at in one.filter(young)["at"])]
    moments |= Moments(None, max((at for at in times if at <= now - terms.window), default=None))
    after = State(
        state.known,
        state.stamp,
        now,
        _revisions(terms),
        {kind: {one.name: one.stamp for one in files} for kind, files in batches.items()},
        rows,
        labels,
        _without_nobody(sums),
        counts,
        moments,
        ripening=[at for at in times if at > now - terms.window],
    )
    data = canary_data(
        after.sums,
        counts + open_counts,
        moments,
        terms,
        future_rows=found.future_rows,
        unknown_revisions=found.unknown_revisions,
        exposures=rows["exposures"],
        outcomes=rows["outcomes"],
    )
    if not keep:
        return data
    try:
        _keep(after, settled, cells, {"open": left, "waiting": found.waiting}, identity)
    except OSError:  # a full disk, or another tick was first: the next one reads these files again
        _remove(state.known.directory, state.known.written)
    return data


def _keep(
    state: State, settled: list[pl.DataFrame], cells: list[pl.DataFrame], left: Mapping[str, list[Rows]], identity: str
) -> None:
    state.known.directory.mkdir(parents=True, exist_ok=True)
    state.known = state.known.add(settled, cells)
    for name, several in left.items():
        for kind in ("exposures", "outcomes"):
            state.left[f"{name} {kind}"] = state.known.write(pl.concat([getattr(one, kind) for one in several]), name)
    _save(state, identity)


def _nothing_known(directory: Path, terms: Terms) -> KnownFiles:
    reported = {name: kind for name, kind in no_outcomes(terms).schema.items() if name not in ("key", "unit", "at")}
    requests = {**no_exposures(terms).schema, **reported, "observed": pl.Datetime("us", "UTC")}
    return KnownFiles(directory, requests, cell_schema(terms))


def _cancels(sums: Sums, change: Sums) -> bool:
    """Whether so much is taken away from a sum of squares that what is left is rounding."""
    for key, difference in change.numbers.items():
        before = sums.numbers.get(key)
        if key[0] != "measure" or before is None:
            continue
        squares = _squares(len(before))
        was, left = before[squares], (before + difference)[squares]
        exact = (was == np.rint(was)) & (was < 2**53) & (left == 0)
        if (before + difference)[0] and ((was > CANCELLED * np.abs(left)) & ~exact).any():
            return True
    return False


def _squares(width: int) -> list[int]:
    """Where the sums of squares of the columns are among the numbers of a measure."""
    columns = next(k for k in range(1, width) if 5 + k + k * (k + 1) // 2 == width)
    return [5 + columns + sum(columns - row for row in range(column)) for column in range(columns)]


def _without_nobody(sums: Sums) -> Sums:
    """The sums without groups of no unit, whose sums are rounding."""
    kept = {key: value for key, value in sums.numbers.items() if value[: 2 if key[0] == "measure" else 1].any()}
    return Sums(kept, {key: value for key, value in sums.histograms.items() if value.units})


def _left(state: State, name: str, terms: Terms) -> Rows:
    if not state.left:
        return Rows(no_exposures(terms), no_outcomes(terms))
    kinds = {"exposures": no_exposures(terms).schema, "outcomes": no_outcomes(terms).schema}
    return Rows(*(read_columns(state.known.directory / state.left[f"{name} {kind}"], schema) for kind, schema in kinds.items()))


def _revisions(terms: Terms) -> dict[int, list[Any]]:
    return {
        revision: [terms.shares[revision], started.astimezone(UTC).isoformat()]
        for revision, started in terms.stage_started.items()
    }


def _identity(terms: Terms) -> str:
    """Changes with everything the cache rests on: the terms, the code, how texts are hashed."""
    folder = Path(__file__).parent
    code = [*sorted(folder.glob("canary*.py")), folder.parents[1] / "experiment" / "estimation" / "quantiles.py"]
    probe = pl.Series(["a text"]).hash(1).item()
    known = [terms.contract.model, terms.toggle, terms.armed_at.isoformat(), terms.contract.experiment.model_dump_json()]
    parts = [*(path.read_text() for path in code), *known, pl.__version__, platform.machine(), str(probe)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _save(state: State, identity: str) -> None:
    """Write what is known by atomic rename, then remove the files it does not need any more.

    Raises:
        OSError: when it cannot be written, or another tick has written what it knows in the meantime.
    """
    directory = state.known.directory
    names = [*state.known.names(), *state.left.values()]
    value = {
        "identity": identity,
        "now": state.now.isoformat() if state.now else None,
        "revisions": state.revisions,
        "files": state.files,
        "rows": state.rows,
        "labels": state.labels.of,
        "columns": sorted(state.labels.columns),
        **state.sums.to_json(),
        "counts": asdict(state.counts),
        "moments": state.moments.to_json(),
        "requests": state.known.requests,
        "cells": [asdict(one) for one in state.known.cell_files],
        "left": state.left,
        "ripening": [at.isoformat() for at in state.ripening],
        "sizes": {name: (directory / name).stat().st_size for name in names},
    }
    text = json.dumps(value)
    scratch = f".{uuid4().hex}.tmp"
    state.known.written.append(scratch)
    (directory / scratch).write_text(json.dumps({"digest": hashlib.sha256(text.encode()).hexdigest(), "state": text}))
    with (directory / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamp(directory) != state.stamp:
            raise FileExistsError(f"another tick has written {directory / _MANIFEST}")
        earlier = _read(directory)
        (directory / scratch).replace(directory / _MANIFEST)
    unneeded = {*(earlier["sizes"] if earlier else ()), *state.known.written, *_abandoned(directory)}
    _remove(directory, unneeded - {*names, _MANIFEST, _LOCK})


def _abandoned(directory: Path) -> Iterator[str]:
    for path in list(directory.iterdir()):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                yield path.name


def _remove(directory: Path, names: Iterable[str]) -> None:
    for name in names:
        with suppress(OSError):
            (directory / name).unlink()


def _stamp(directory: Path) -> str:
    """Changes with what is kept; empty when nothing is."""
    try:
        return hashlib.sha256((directory / _MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""


def _read(directory: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((directory / _MANIFEST).read_text())
        text = found["state"]
        if hashlib.sha256(text.encode()).hexdigest() != found["digest"]:
            return None
        value: dict[str, Any] = json.loads(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return value


def _load(directory: Path, identity: str, batches: Mapping[str, Sequence[Batch]], terms: Terms, now: datetime) -> State | None:
    """What the tick before left; None when it is not there, is not whole, or does not fit."""
    stamp = _stamp(directory)
    value = _read(directory)
    if value is None or value["identity"] != identity or datetime.fromisoformat(value["now"]) > now:
        return None
    for kind, files in batches.items():
        there = {one.name: one.stamp for one in files}
        if any(there.get(name) != stamp for name, stamp in value["files"][kind].items()):
            return None
    revisions, present = {int(key): one for key, one in value["revisions"].items()}, _revisions(terms)
    added = [revision for revision in present if revision not in revisions]
    if any(present.get(key) != one for key, one in revisions.items()) or (
        revisions and min(added, default=max(revisions)) < max(revisions)
    ):
        return None
    try:
        if any((directory / name).stat().st_size != size for name, size in value["sizes"].items()):
            return None
    except OSError:
        return None
    known = _nothing_known(directory, terms)
    return State(
        replace(known, requests=value["requests"], cell_files=[CellFile(**one) for one in value["cells"]]),
        stamp,
        datetime.fromisoformat(value["now"]),
        revisions,
        value["files"],
        value["rows"],
        Labels(value["labels"], set(value["columns"])),
        Sums.from_json(value),
        RowCounts(**value["counts"]),
        Moments.from_json(value["moments"]),
        value["left"],
        [datetime.fromisoformat(at) for at in value["ripening"]],
    )
