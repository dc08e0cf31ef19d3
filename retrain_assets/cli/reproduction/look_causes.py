"""Why a look comes out otherwise: traffic that is gone, changed or came later, retention, the order of sums, code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from retrain_assets.cli.reproduction.as_of import last_row
from retrain_assets.cli.reproduction.causes import nothing_known, surroundings
from retrain_assets.cli.reproduction.results import Cause, CauseKind, Result, Status
from retrain_assets.cli.reproduction.scene import KINDS
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind

NAMED = 5
"""Files that are named, at most."""

SAME = 1e-9
"""Relative difference up to which two numbers are the same but for the order they were added in."""


def traffic_causes(stored: Stored, result: Result, event: Event, document: Mapping[str, Any], again: Mapping[str, Any]) -> Result:
    """The result of a look that differs, with its causes; not recomputed where retention deleted its traffic.

    Args:
        stored: the retrain.
        result: the difference.
        event: of the look.
        document: the recorded look.
        again: the look computed again.
    """
    before, now = _units(document), _units(again)
    counted = f"units counted: {before:,} then, {now:,} now"
    if before == now and _nearly(document, again):
        text = "every number is the same to nine digits; somebody looked in between, or the cache was cleared"
        return replace(result, causes=(Cause(CauseKind.ROUNDING, text),))
    files = tuple(_files(stored, event))
    retention = _retention(stored, event)
    if retention is not None and now < before:
        text = f"event {retention.sequence} of {retention.at:%Y-%m-%d} applied the retention period; {counted}"
        cause = Cause(CauseKind.RETENTION, text)
        return replace(result, status=Status.NOT_RECOMPUTED, recomputed=None, why=cause.sentence, causes=(cause,))
    if files:
        return replace(result, why=counted, causes=files)
    if now != before or _sums(document) != _sums(again):
        what = "rows are gone" if now < before else "rows are others, or more, than then"
        return replace(result, why=counted, causes=(Cause(CauseKind.TRAFFIC, f"{what}; no file is known to be missing"),))
    causes = surroundings(stored) or (nothing_known(stored),)
    return replace(result, why=counted, causes=causes)


def _files(stored: Stored, event: Event) -> Iterator[Cause]:
    """What a cache of the last look, and the files' own times, say of traffic files."""
    for kind, column in KINDS.items():
        folder = getattr(stored.home, f"{kind}_dir")(stored.model)
        there = {path.name: path for path in folder.glob("*.parquet")}
        known = _remembered(stored, event.toggle or "", kind)
        if gone := sorted(set(known) - set(there)):
            yield Cause(CauseKind.TRAFFIC, f"{len(gone)} files of {kind} are gone: {_listed(gone)}")
        changed = [name for name, size in known.items() if name in there and there[name].stat().st_size != size]
        if changed:
            yield Cause(CauseKind.TRAFFIC, f"{len(changed)} files of {kind} were changed: {_listed(sorted(changed))}")
        then = event.recorded_at.timestamp()
        early = [path for path in there.values() if path.stat().st_mtime <= then]
        late = [path.name for path in there.values() if path.stat().st_mtime > then and _of_before(path, column, event)]
        if early and late and not changed:
            yield Cause(
                CauseKind.LATE_TRAFFIC,
                f"{len(late)} files of {kind} with rows of before the look were written after it: {_listed(sorted(late))}",
            )


def _of_before(path: Any, column: str, event: Event) -> bool:
    last = last_row(path, column)
    return last is not None and last <= event.at


def _remembered(stored: Stored, toggle: str, kind: str) -> dict[str, int]:
    """Names and sizes of the traffic files that the toggle's last look knew, and that readers knew; derived, may be gone."""
    found: dict[str, int] = {}
    try:
        times = pl.read_parquet(stored.home.traffic_cache_dir(stored.model) / f"{kind}.times")
        found |= {name: _size(stamp) for name, stamp in times.select("name", "stamp").iter_rows()}
    except (OSError, pl.exceptions.PolarsError):
        pass
    try:
        kept = json.loads((stored.home.canary_cache_dir(toggle) / "state.json").read_text())
        found |= {name: _size(stamp) for name, stamp in json.loads(kept["state"])["files"][kind].items()}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return found


def _size(stamp: str) -> int:
    return int(stamp.partition("-")[0])


def _retention(stored: Stored, event: Event) -> Event | None:
    """The first deletion by retention after a look."""
    applied = stored.ledger.events(kinds=[EventKind.RETENTION_APPLIED], after=event.sequence)
    return next((one for one in applied if one.model in (stored.model, EVERY_MODEL)), None)


def _units(document: Mapping[str, Any]) -> int:
    return sum(int(stage[arm]["exposed"]) for stage in document["stages"] for arm in ("champion", "challenger"))


def _sums(document: Mapping[str, Any]) -> Any:
    return document.get("statistics")


def _nearly(before: Any, now: Any) -> bool:
    """Whether two JSON values are the same but for the last digits of their numbers."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return before.keys() == now.keys() and all(_nearly(before[name], now[name]) for name in before)
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(_nearly, before, now))
    if isinstance(before, float) and isinstance(now, (float, int)):
        return math.isclose(before, now, rel_tol=SAME, abs_tol=SAME)
    return bool(before == now)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
