"""Deleting what is past its time, and what the ledger says was deleted.

The event comes first, the deletion after it. The other way round, a process that died in between would leave files missing with
nothing on record: just what tampering looks like, and nobody could say any more which bytes they were. This way round it leaves
files that the record calls deleted; the next run deletes them, and until then they do no harm to anything that is verified.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain_assets.contract import CustodyError, Retention, StaleRevision, format_duration
from retrain_assets.home import Home
from retrain_assets.ledger import Actor, Event, EventDraft, EventKind, EvidenceStore, ModelMoved
from retrain_assets.release.door import ATTEMPTS, Door
from retrain_assets.release.fold import fold
from retrain_assets.release.projection import file_lock
from retrain_assets.release.retention import (
    TRAFFIC,
    Due,
    Kept,
    ModelRetention,
    digests_in,
    evidence_past_its_time,
    retention_of,
)
from retrain_assets.release.state import ModelState

RECORDS = (Kept.STAGE, Kept.EVIDENCE, Kept.PACK)
"""Records that are deleted here; bundles are the registry's."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one application of retention did.

    Args:
        events: the events it appended.
        deleted: files it deleted, those that an interrupted run had left included.
        changed: files that were to go and are not what was recorded any more; they stay.
    """

    events: tuple[Event, ...]
    deleted: tuple[Path, ...]
    changed: tuple[Path, ...]


def apply_retention(door: Door, model: str, actor: Actor, reason: str, *, records: bool = False) -> Applied:
    """Record what of a model is past its time, then delete it. Running it again, or after a crash, finishes what is left.

    Args:
        door: the controller of the home.
        model: the model.
        actor: who wants it.
        reason: why.
        records: stage files, evidence and packs of retrains that are past their time too, not only traffic and snapshots.

    Raises:
        CustodyError: the model's latest contract cannot be read.
        StaleRevision: the model's record moved again and again meanwhile.
    """
    with file_lock(door.home.root / ".retention.lock"):
        known = door.ledger.events()
        deleted, changed = _carry_out(
            door.home, [event for event in known if event.model == model], _to_stay(known, door.evidence)
        )
        events: list[Event] = []
        for kind, kinds in (("traffic", TRAFFIC), ("snapshots", (Kept.SNAPSHOT,)), ("records", RECORDS)):
            if kind != "records" or records:
                events += _record(door, model, actor, reason, kind, kinds)
        more, others = _carry_out(door.home, events, _to_stay(door.ledger.events(), door.evidence))
        _forget_caches(door, model)
        return Applied(tuple(events), (*deleted, *more), (*changed, *others))


def deletions(events: Iterable[Event]) -> dict[str, int]:
    """Digest of everything that retention deleted, with the event that says so; without what a later event named anew."""
    found: dict[str, int] = {}
    for event in events:
        if event.kind is EventKind.RETENTION_APPLIED:
            found.update({str(file["digest"]): event.sequence for file in _files(event)})
        elif event.kind is not EventKind.RECORD_EXPORTED:
            for digest in digests_in(event.payload):
                found.pop(digest, None)
    return found


def deleted_by_retention(events: Iterable[Event]) -> set[str]:
    """Digests of files that are not there any more because their time had passed; missing, they are no fault."""
    return set(deletions(events))


def untimely(events: Sequence[Event], evidence: EvidenceStore) -> dict[tuple[int, str], str]:
    """Evidence that events call deleted by retention, and that was not past its time then: by event and digest, the sentence.

    Nothing of this product records such a one; it would hide evidence that somebody took away, or have it deleted.

    Args:
        events: the whole chain.
        evidence: where contracts are.
    """
    faults: dict[tuple[int, str], str] = {}
    states: Mapping[str, ModelState] = {}
    seen = 0
    for place, event in enumerate(events):
        named = {str(file["digest"]) for file in _files(event) if file.get("kind") == Kept.EVIDENCE}
        if not named:
            continue
        states, seen = fold(events[seen:place], states), place
        try:
            told = Retention.model_validate({name: event.payload["policy"][name] for name in ("class", "records", "traffic")})
        except (KeyError, TypeError, ValueError) as error:
            faults |= {(event.sequence, digest): f"its policy is none ({type(error).__name__})" for digest in named}
            continue
        state = states.get(event.model) or ModelState(event.model)
        past = evidence_past_its_time(evidence, state, events[:place], event.at, told)
        said = "it was not past its time then, or something that stays needed it"
        faults |= {(event.sequence, digest): said for digest in named if digest not in past}
    return faults


def left_over(home: Home, events: Iterable[Event]) -> list[Path]:
    """Files that the record calls deleted and that are still there: a run was interrupted; the next one deletes them."""
    return [path for event in events for file in _files(event) if (path := _path(home, file)).exists() and _is(path, file)]


def _record(door: Door, model: str, actor: Actor, reason: str, kind: str, kinds: Sequence[Kept]) -> list[Event]:
    """Append what is due as one event, decided on the model's present state; nothing where nothing is due."""
    for _ in range(ATTEMPTS):
        states, platform = door.snapshot()
        state, now = states.get(model) or ModelState(model), door.clock.now()
        found = retention_of(door.home, door.evidence, state, door.ledger.events(), now)
        due = [one for one in found.of(*kinds) if one.path is not None]
        if not due:
            return []
        payload = {"kind": kind, "policy": _policy(found), "files": list(_told(door.home, due))}
        draft = EventDraft(now, actor, EventKind.RETENTION_APPLIED, model, reason, payload=payload)
        try:
            return list(door.ledger.append_all([draft], expect_model=(model, max(found.seen, platform.sequence))))
        except ModelMoved:
            continue
    raise StaleRevision(
        f"the record moved {ATTEMPTS} times while this was decided", where=model, remedy="repeat it when it is calmer"
    )


def _policy(found: ModelRetention) -> dict[str, str]:
    rules = found.rules
    snapshots = {"snapshots": format_duration(rules.snapshots)} if rules.snapshots is not None else {}
    kept = {"records": format_duration(rules.records), "traffic": format_duration(rules.traffic)}
    return {"class": rules.class_, **kept, **snapshots}


def _told(home: Home, due: Iterable[Due]) -> Iterator[dict[str, Any]]:
    for one in due:
        assert one.path is not None  # bundles were left out
        span = {"rows": one.rows, "first": one.first and one.first.isoformat(), "last": one.last and one.last.isoformat()}
        yield {
            "path": str(one.path.relative_to(home.root)) if one.path.is_relative_to(home.root) else str(one.path),
            "kind": str(one.kind),
            "digest": digest_of_file(one.path),
            "bytes": one.bytes,
            "kept_until": one.until.isoformat(),
            **({"retrain": one.retrain} if one.retrain else {}),
            **({name: value for name, value in span.items() if value is not None}),
        }


def _to_stay(events: Sequence[Event], evidence: EvidenceStore) -> set[tuple[int, str]]:
    """By event and digest, evidence that events call deleted and that stays: named anew since, or never past its time."""
    gone = deletions(events)
    told = {
        (event.sequence, str(file["digest"])) for event in events for file in _files(event) if file.get("kind") == Kept.EVIDENCE
    }
    return {one for one in told if one[1] not in gone} | untimely(events, evidence).keys()


def _carry_out(home: Home, events: Iterable[Event], stay: Set[tuple[int, str]]) -> tuple[list[Path], list[Path]]:
    """Delete what events call deleted and what is still as they say; what was changed since stays."""
    deleted, changed = [], []
    for event in events:
        for file in _files(event):
            path = _path(home, file)
            if not path.exists() or (event.sequence, str(file["digest"])) in stay:
                continue
            if not _is(path, file):
                changed.append(path)
                continue
            path.unlink()
            deleted.append(path)
            _remove_empty(path.parent, home)
    return deleted, changed


def _files(event: Event) -> list[dict[str, Any]]:
    return list(event.payload.get("files", ())) if event.kind is EventKind.RETENTION_APPLIED else []


def _path(home: Home, file: dict[str, Any]) -> Path:
    """The file an event names.

    Raises:
        CustodyError: when it lies outside the folders that retention is about; no event of this product names such a one.
    """
    path = Path(home.root, str(file["path"])).resolve()
    allowed = [home.traffic_dir, home.root / "stages", home.evidence_dir, home.root / "reports"]
    if not any(path.is_relative_to(folder.resolve()) for folder in allowed):
        raise CustodyError(f"retention is not about {path}", where=str(file["path"]), remedy="run: retrain audit verify")
    return path


def _is(path: Path, file: dict[str, Any]) -> bool:
    return digest_of_file(path) == str(file["digest"])


def digest_of_file(path: Path) -> str:
    """``sha256:…`` of a file of any size."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _remove_empty(folder: Path, home: Home) -> None:
    """Folders of stages that hold nothing any more."""
    stages = (home.root / "stages").resolve()
    while folder != stages and folder.is_relative_to(stages) and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _forget_caches(door: Door, model: str) -> None:
    """What was derived from traffic for toggles that are over; it can be derived again from what is kept."""
    for toggle in door.state(model).toggles.values():
        if not toggle.active:
            shutil.rmtree(door.home.canary_cache_dir(toggle.name), ignore_errors=True)
