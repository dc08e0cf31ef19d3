"""What is kept how long, and what is past its time: traffic by its rows, records by the end of their retrain. Only looks.

A record stays as long as anything needs it: the champion, the one a rollback leads back to, an active toggle, whatever another
retrain that is kept names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from retrain_assets.compute.merged_traffic import counting
from retrain_assets.contract import Contract, CustodyError, Retention
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EventKind, EvidenceStore
from retrain_assets.release.state import ModelState, ToggleStatus

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
DRIFT = re.compile(r"drift-(\d{4}-\d\d-\d\dT\d{4})")
"""Name of a drift report's folder among the stages, with its moment."""


class Kept(StrEnum):
    """What retention is about."""

    EXPOSURES = "exposures"
    OUTCOMES = "outcomes"
    COPY = "copy of traffic"
    SNAPSHOT = "snapshot"
    STAGE = "stage files"
    EVIDENCE = "evidence"
    PACK = "evidence pack"
    BUNDLE = "bundle"


TRAFFIC = (Kept.EXPOSURES, Kept.OUTCOMES, Kept.COPY)
"""What holds unit ids of live traffic and goes by ``retention.traffic``."""

SNAPSHOT_STAGES = ("dataset", "features")
"""Stages whose outputs are rows."""

MOMENTS: Mapping[str, str] = {"exposures": "exposed_at", "outcomes": "observed_at"}


@dataclass(frozen=True, slots=True)
class Due:
    """One thing that is past its time.

    Args:
        kind: what it is.
        path: the file; of a bundle, which the registry keeps, None.
        until: until when it had to be kept.
        retrain: the retrain it belongs to; None for traffic.
        digest: of evidence and bundles, whose names they are; of other files it is taken when they are deleted.
        rows: rows of a traffic file.
        first: moment of its first row.
        last: moment of its last row.
    """

    kind: Kept
    path: Path | None
    until: datetime
    retrain: str | None = None
    digest: str | None = None
    rows: int | None = None
    first: datetime | None = None
    last: datetime | None = None

    @property
    def bytes(self) -> int:
        """Size of the file; 0 where there is none here."""
        return self.path.stat().st_size if self.path is not None and self.path.exists() else 0


@dataclass(frozen=True, slots=True)
class ModelRetention:
    """One model's retention.

    Args:
        model: its name.
        rules: those of its latest contract.
        due: what is past its time.
        held: retrains that are past their time and stay, with what needs them.
        unread: traffic files that cannot be read, with why; they stay.
        seen: the last event about the model that it rests on.
    """

    model: str
    rules: Retention
    due: tuple[Due, ...]
    held: Mapping[str, str]
    unread: Mapping[str, str]
    seen: int

    def of(self, *kinds: Kept) -> list[Due]:
        """What is due of some kinds."""
        return [one for one in self.due if one.kind in kinds]


def retention_of(
    home: Home, evidence: EvidenceStore, state: ModelState, events: Iterable[Event], now: datetime
) -> ModelRetention:
    """What of a model is past its time.

    A retrain goes by the rules it was launched under or by those of the latest contract, whichever keep it longer.

    Args:
        home: where its files are.
        evidence: where its evidence is.
        state: the model, folded from the events.
        events: every event of the ledger; what one about another model names stays as well.
        now: the clock's time.

    Raises:
        CustodyError: when the latest contract cannot be read.
    """
    known = list(events)
    latest = list(state.retrains.values())
    rules = _rules(evidence, latest[-1].contract_digest) if latest else Retention()
    found, unread = _traffic(home, state, rules, now)
    held, going = _past(evidence, state, rules, now)
    _, unrowed = _past(evidence, state, rules, now, snapshots=True)
    snapshots = _snapshots(home, state, {key: until for key, until in unrowed.items() if key not in going})
    due = [*found, *snapshots, *_records(home, evidence, state, known, going)]
    return ModelRetention(state.model, rules, tuple(due), held, unread, state.sequence)


def evidence_past_its_time(
    evidence: EvidenceStore, state: ModelState, events: Iterable[Event], now: datetime, otherwise: Retention
) -> dict[str, str]:
    """Digest of every piece of evidence of a model that may be deleted at a moment, whether it is still there or not, with
    the retrain it belongs to.

    Args:
        evidence: where contracts are.
        state: the model at that moment.
        events: every event of the ledger up to it.
        now: the moment.
        otherwise: the rules where the latest contract is not there any more.
    """
    latest = list(state.retrains.values())
    rules = _own_rules(evidence, latest[-1].contract_digest, otherwise) if latest else otherwise
    _, going = _past(evidence, state, rules, now)
    return {digest: key for key, digest in _own_evidence(state, list(events), going)}


def _past(
    evidence: EvidenceStore, state: ModelState, rules: Retention, now: datetime, *, snapshots: bool = False
) -> tuple[dict[str, str], dict[str, datetime]]:
    """Retrains that are past their time, or whose snapshots are.

    Gives those that stay, with what needs them, and those that go, with when it was over.
    """

    def kept(of: Retention) -> timedelta:
        return of.snapshots if snapshots and of.snapshots is not None else of.records

    needed = dict(_needed(state))
    ended = {
        key: retrain.ended_at + max(kept(rules), kept(_own_rules(evidence, retrain.contract_digest, rules)))
        for key, retrain in state.retrains.items()
        if retrain.ended_at is not None
    }
    past = {key: until for key, until in ended.items() if until < now}
    return (
        {key: needed[key] for key in past if key in needed},
        {key: until for key, until in past.items() if key not in needed},
    )


def watched_from(state: ModelState, now: datetime) -> datetime:
    """Since when an active toggle looks at the model's traffic; now where there is none."""
    active = state.active_toggle
    if active is None:
        return now
    adjust = active.terms.experiment.adjust_for
    watched = (adjust.pre_period if adjust is not None else None) or timedelta(0)
    return (active.armed_at or active.created_at or now) - watched - active.terms.experiment.outcome_window


def digests_in(value: Any) -> Iterator[str]:
    """Every digest that stands somewhere in a JSON value."""
    if isinstance(value, str):
        yield from DIGEST.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from digests_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from digests_in(item)


def _rules(evidence: EvidenceStore, digest: str) -> Retention:
    return Contract.recorded(evidence.get(digest)).retention


def _own_rules(evidence: EvidenceStore, digest: str, otherwise: Retention) -> Retention:
    """The rules a retrain was launched under; the latest where its contract is not there any more."""
    try:
        return _rules(evidence, digest)
    except CustodyError:
        return otherwise


def _needed(state: ModelState) -> Iterator[tuple[str, str]]:
    """Retrains that stay whatever their age, with what needs them."""
    reigns = [reign for reign in state.champion_history if reign.retrain is not None]
    for toggle in state.toggles.values():
        restores = [reign.retrain for reign in reigns if reign.version == toggle.previous_champion]
        if toggle.active:
            yield toggle.retrain, f"its toggle is {toggle.state}"
            yield from ((key, f"{toggle.name} is compared with it") for key in restores if key)
        elif toggle.state is ToggleStatus.PROMOTED and toggle.challenger == state.champion:
            yield from ((key, f"rolling {toggle.name} back restores it") for key in restores if key)
    earlier = [reign for reign in reigns if reign.version != state.champion]
    if earlier and earlier[-1].retrain:
        yield earlier[-1].retrain, "it was champion before the present one"
    yield from ((reign.retrain, "it is champion") for reign in reigns if reign.version == state.champion and reign.retrain)


def _traffic(home: Home, state: ModelState, rules: Retention, now: datetime) -> tuple[list[Due], dict[str, str]]:
    """Traffic files all of whose rows are older than the rules ask and than what an active toggle still looks at."""
    before = min(now - rules.traffic, watched_from(state, now))
    places = {Kept.EXPOSURES: home.exposures_dir(state.model), Kept.OUTCOMES: home.outcomes_dir(state.model)}
    files = [(kind, str(kind), folder / one.name) for kind, folder in places.items() for one in counting(folder)]
    drifts = home.stage_dir(state.model, "drift", "drift").parent.parent
    files += [
        (Kept.COPY, path.stem, path)
        for folder in sorted(drifts.glob("drift-*/drift"))
        if DRIFT.fullmatch(folder.parent.name)
        for path in sorted(folder.glob("*.parquet"))
        if path.stem in MOMENTS
    ]
    found: list[Due] = []
    unread: dict[str, str] = {}
    for kind, traffic, path in files:
        try:
            rows, first, last = _span(path, MOMENTS[traffic])
        except (OSError, ValueError) as error:
            unread[str(path)] = str(error)
            continue
        if last is None and kind is Kept.COPY:
            last = first = datetime.strptime(path.parent.parent.name, "drift-%Y-%m-%dT%H%M").replace(tzinfo=UTC)
        if last is not None and last < before:
            found.append(Due(kind, path, last + rules.traffic, rows=rows, first=first, last=last))
    return found, unread


def _span(path: Path, column: str) -> tuple[int, datetime | None, datetime | None]:
    import polars as pl

    try:
        moment = pl.col(column)
        told = pl.scan_parquet(path, glob=False).select(rows=pl.len(), first=moment.min(), last=moment.max()).collect()
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"it is no traffic file ({error})") from error
    rows, first, last = told.row(0)
    return rows, first, last


def _snapshots(home: Home, state: ModelState, unrowed: Mapping[str, datetime]) -> Iterator[Due]:
    """Rows of data sets and features whose retrains keep everything else."""
    for key, until in unrowed.items():
        for stage in SNAPSHOT_STAGES:
            for path in sorted(home.stage_dir(state.model, key, stage).rglob("*.parquet")):
                yield Due(Kept.SNAPSHOT, path, until, key)


def _records(
    home: Home, evidence: EvidenceStore, state: ModelState, events: list[Event], going: Mapping[str, datetime]
) -> Iterator[Due]:
    """Stage files, packs, evidence and bundles of retrains that go, but for what others name that stay."""
    own = list(_own_evidence(state, events, going))
    for key, until in going.items():
        folder = home.stage_dir(state.model, key, "any").parent
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            yield Due(Kept.STAGE, path, until, key)
        for suffix in ("html", "json"):
            if (page := home.reports_dir(state.model) / f"{key}.{suffix}").exists():
                yield Due(Kept.PACK, page, until, key)
        for retrain, digest in own:
            if retrain == key and digest in evidence:
                yield Due(Kept.EVIDENCE, evidence.path(digest), until, key, digest)
        candidate = state.retrains[key].candidate
        if candidate is not None and (key, candidate.bundle) in own:
            yield Due(Kept.BUNDLE, None, until, key, candidate.bundle)


def _own_evidence(state: ModelState, events: list[Event], going: Mapping[str, datetime]) -> Iterator[tuple[str, str]]:
    """Retrain and digest of what retrains that go name, and nothing names that stays."""
    staying = {list(state.retrains.values())[-1].contract_digest} if state.retrains else set[str]()
    own: dict[str, set[str]] = {key: set() for key in going}
    for event in events:
        if event.model == state.model and event.retrain in own:
            own[event.retrain].update(digests_in(event.payload))
        elif event.kind is not EventKind.RETENTION_APPLIED:
            staying.update(digests_in(event.payload))
    for key, digests in own.items():
        yield from ((key, digest) for digest in sorted(digests - staying))
