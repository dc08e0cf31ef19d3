"""One field of the chain of custody: what it is called, its value, where that was read, and why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import Gate
from retrain_assets.ledger import Event, EventKind
from retrain_assets.reports.record import Record

OLDER = "not recorded: made before this was kept, or not told by the machine"
NO_CANDIDATE = "the retrain made no candidate"
NO_TOGGLE = "the retrain never met traffic: no toggle was registered"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value was read.

    Args:
        words: as a person reads it.
        event: the ledger event.
        evidence: digest of the evidence; the ledger names it.
    """

    words: str
    event: int | None = None
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Args:
        key: its name for queries and mappings, such as ``training.cost``; never changes.
        name: its name for people.
        value: JSON-able; None or empty where there is none.
        source: where it was read.
        why: why there is no value; empty where there is one.
    """

    key: str
    name: str
    value: Any
    source: Source
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """``key``, ``field``, ``value`` (None where there is none), ``why``, ``source``, ``event``, ``evidence``."""
        known = self.value not in (None, "", [], {})
        return {
            "key": self.key,
            "field": self.name,
            "value": self.value if known else None,
            "why": None if known else self.why or "not recorded",
            "source": self.source.words,
            "event": self.source.event,
            "evidence": self.source.evidence,
        }


Fields = Iterator[Field]

CONTRACT = Source("contract")
LEDGER = Source("ledger")


def of_event(event: Event | int | None) -> Source:
    """An event as a source; the ledger as a whole where there is none."""
    if event is None:
        return LEDGER
    sequence = event if isinstance(event, int) else event.sequence
    return Source(f"event {sequence}", sequence)


def of_evidence(digest: str | None, event: Event | int | None = None) -> Source:
    """A piece of evidence as a source, with the event that names it."""
    if not digest:
        return of_event(event)
    sequence = event.sequence if isinstance(event, Event) else event
    named = f", event {sequence}" if sequence is not None else ""
    return Source(f"evidence {digest.removeprefix('sha256:')[:12]}{named}", sequence, digest)


def contract_of(record: Record) -> Source:
    """The contract as a source: its digest, and the event that names it."""
    where = of_evidence(record.known.contract_digest, record.events[0])
    return Source(f"contract, {where.words}", where.event, where.evidence)


def manifest_source(record: Record) -> Source:
    """The bundle's manifest as a source: confirmed by the digest in the event that registered the candidate."""
    registered = record.last(EventKind.CANDIDATE_REGISTERED)
    if registered is None:
        return Source("bundle manifest")
    return Source(f"bundle manifest, event {registered.sequence}", registered.sequence, None)


def without_manifest(record: Record) -> str:
    """Why a field of the manifest has no value."""
    if record.known.candidate is None:
        return NO_CANDIDATE
    return OLDER if record.manifest else "the bundle's manifest is not among the records that are here"


def stage_source(record: Record, stage: str) -> Source:
    """What a stage recorded of itself as a source."""
    found = record.stages.get(stage)
    return of_evidence(found.digest, found.event) if found else Source(f"{stage} stage")


_GATES = {"dataset": Gate.DATA, "features": Gate.DATA, "training": Gate.TRAINING, "evaluation": Gate.OFFLINE}


def without_stage(record: Record, stage: str) -> str:
    """Why a fact of a stage has no value."""
    if stage in record.stages:
        return OLDER
    if record.gone:
        return "deleted by retention"
    if _GATES[stage] not in record.known.verdicts:
        return f"stage {stage} gave no result"
    return "not recorded: the stage ran before what it says of itself was kept"
