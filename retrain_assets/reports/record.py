"""What the ledger, the evidence store and the stage results say about one retrain, read once and in one order.

The record of a retrain ends with its own last event: later events of other retrains never change it, and the events that record
its evidence packs are left out, so that writing a pack again gives the same pack.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from retrain_assets.contract import CustodyError, Gate, RetrainError, digest_of
from retrain_assets.home import Home
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind, EvidenceStore, Ledger
from retrain_assets.release import ModelState, RetrainState, ToggleState, fold
from retrain_assets.release.deletions import deletions
from retrain_assets.release.platform import principal
from retrain_assets.routing import VersionRef

STAGES = ("dataset", "features", "training", "evaluation")
"""Stages whose results a pack reads, in the order of the road."""

BESIDE = (
    EventKind.KILL_SWITCH_ENGAGED,
    EventKind.KILL_SWITCH_RELEASED,
    EventKind.FREEZE_DECLARED,
    EventKind.FREEZE_LIFTED,
    EventKind.OWNER_LEFT,
    EventKind.OWNER_BACK,
)
"""Events about a model, or all of them, that stop a retrain's moves without being the retrain's own."""

ABOUT_RECORDS = (EventKind.AUDIT_RECORDED, EventKind.RECORD_EXPORTED, EventKind.RELEASE_REVIEWED)
"""Events that a record of the retrain was made, reviewed or left the house; none is part of what the record says."""


@dataclass(frozen=True, slots=True)
class RecordedStage:
    """What a stage recorded of itself (:attr:`retrain_assets.compute.request.StageResult.record`).

    Args:
        event: the ledger event that names it.
        digest: its digest in the evidence store.
        metadata: facts of its answer.
        run: when, where and with what it ran.
    """

    event: int
    digest: str
    metadata: Mapping[str, Any]
    run: Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """One retrain as recorded.

    Args:
        model: name of the model.
        retrain: key of the retrain.
        events: its events, oldest first, without those that record evidence packs.
        state: the model after the last of them.
        stages: what each stage recorded of itself, by its name; only what a digest in the ledger confirms.
        manifest: the candidate's, confirmed by the bundle digest in the ledger; empty where there is none that is it.
        evidence: where evidence is read from.
        root: the home's directory, to name files relative to it.
        beside: events about the model or all models that stop moves or let them go on, from its first event to its last.
        gone: evidence that was deleted by retention, by digest, with the event that says so.
        used: evidence digests read so far, with what they are.
        faults: what is missing or not what was recorded.
    """

    model: str
    retrain: str
    events: tuple[Event, ...]
    state: ModelState
    stages: Mapping[str, RecordedStage]
    evidence: EvidenceStore
    root: Path
    beside: tuple[Event, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    gone: Mapping[str, int] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def known(self) -> RetrainState:
        """The retrain as the fold of its events."""
        return self.state.retrains[self.retrain]

    @property
    def toggle(self) -> ToggleState | None:
        """Its toggle; None before one was registered."""
        return self.state.toggle_of(self.retrain)

    @property
    def contract(self) -> Mapping[str, Any]:
        """The contract it ran under: the toggle's frozen one, else that of its launch; empty when it cannot be read."""
        if self.toggle is not None:
            return self.toggle.contract
        launched = self.read(self.known.contract_digest, "the contract at launch")
        return launched if isinstance(launched, Mapping) else {}

    @property
    def champion_then(self) -> VersionRef | None:
        """The champion when gate offline was evaluated, or when the retrain was launched if it never was; None without one."""
        offline = (event for event in self.of(EventKind.GATE_EVALUATED) if event.payload.get("gate") == Gate.OFFLINE)
        moment = next(offline, self.events[0]).sequence
        reigns = [reign.version for reign in self.state.champion_history if reign.sequence < moment]
        return reigns[-1] if reigns else None

    def of(self, *kinds: EventKind) -> Iterator[Event]:
        """Its events of some kinds, oldest first."""
        return (event for event in self.events if event.kind in kinds)

    def last(self, *kinds: EventKind) -> Event | None:
        """Its newest event of some kinds."""
        return next((event for event in reversed(self.events) if event.kind in kinds), None)

    def read(self, digest: str | None, what: str) -> Any:
        """A piece of evidence; None, and a fault to be shown, when it is missing or was changed.

        What retention deleted is None without a fault.
        """
        if not digest or (digest in self.gone and digest not in self.evidence):
            return None
        self.used.setdefault(digest, what)
        try:
            return self.evidence.get(digest)
        except CustodyError as error:
            if error.what not in self.faults:
                self.faults.append(error.what)
            return None

    def file_of(self, digest: str) -> str:
        """Path of an evidence file, relative to the home where it lies in it."""
        path = self.evidence.path(digest)
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def read_record(ledger: Ledger, evidence: EvidenceStore, home: Home, model: str, retrain: str) -> Record:
    """Read one retrain.

    Raises:
        RetrainError: when the ledger knows no such retrain.
    """
    of_model = ledger.events(model=model)
    own = tuple(event for event in of_model if event.retrain == retrain and event.kind not in ABOUT_RECORDS)
    if not own:
        raise RetrainError(
            f"the ledger has no retrain {retrain} of {model}",
            where="evidence pack",
            remedy="retrain audit list shows those it has",
        )
    state = fold(event for event in of_model if event.sequence <= own[-1].sequence)[model]
    beside = _beside(ledger, of_model, own, state.toggle_of(retrain))
    record = Record(model, retrain, own, state, {}, evidence, home.root, beside, gone=deletions(of_model))
    stages = dict(_recorded_stages(record))
    return replace(record, stages=stages, manifest=_manifest(home, record, stages))


def _beside(ledger: Ledger, of_model: list[Event], own: tuple[Event, ...], toggle: ToggleState | None) -> tuple[Event, ...]:
    """Kill switches and freezes of the model and of all models, and that its toggle's owner left; none is the retrain's own."""
    of_all = ledger.events(model=EVERY_MODEL, kinds=BESIDE, after=own[0].sequence)
    first, last = own[0].sequence, own[-1].sequence
    found = [event for event in (*of_model, *of_all) if event.kind in BESIDE and first < event.sequence < last]
    owners = {principal(toggle.owner)} if toggle is not None else set()
    owners |= {principal(event.payload["from"]) for event in own if event.kind is EventKind.TOGGLE_TRANSFERRED}
    return tuple(
        event
        for event in sorted(found, key=lambda event: event.sequence)
        if event.kind not in (EventKind.OWNER_LEFT, EventKind.OWNER_BACK) or principal(event.payload["owner"]) in owners
    )


def _recorded_stages(record: Record) -> Iterator[tuple[str, RecordedStage]]:
    """What stages recorded of themselves, the latest of each, read from the evidence their gates' events name."""
    for event in record.of(EventKind.GATE_EVALUATED):
        digest = event.payload.get("subjects", {}).get("stage_record")
        found = record.read(digest, f"what a stage of gate {event.payload.get('gate')} recorded of itself")
        if isinstance(found, Mapping) and found.get("stage") in STAGES:
            record.used[digest] = f"what stage {found['stage']} recorded of itself"
            yield found["stage"], RecordedStage(event.sequence, digest, found.get("metadata") or {}, found.get("run") or {})


def _manifest(home: Home, record: Record, stages: Mapping[str, RecordedStage]) -> Mapping[str, Any]:
    """The manifest of the registered bundle, from the training stage's record or its working files; a foreign one is a fault."""
    candidate = record.known.candidate
    if candidate is None:
        return {}
    kept = [stages["training"].metadata.get("manifest")] if "training" in stages else []
    working = _working_manifest(home, record)
    for found in (*kept, working):
        if isinstance(found, Mapping) and _digest_of_manifest(found) == candidate.bundle:
            break
    else:
        found = {}
    if working is not None and _digest_of_manifest(working) != candidate.bundle:
        left_out = "" if found else "; it is left out here"
        record.faults.append(f"the manifest in the training stage's result is not the registered bundle's{left_out}")
    return found


def _digest_of_manifest(manifest: Mapping[str, Any]) -> str:
    from retrain_assets.bundle import Manifest  # with tables and models, which most records are read without

    try:
        return Manifest.from_json(manifest).digest
    except CustodyError:
        return digest_of(manifest)


def _working_manifest(home: Home, record: Record) -> Mapping[str, Any] | None:
    """The manifest as the training stage's result on disk has it, whatever that is worth; None where there is none."""
    path = home.stage_dir(record.model, record.retrain, "training") / "result.json"
    try:
        result = json.loads(path.read_bytes())
        found = result.get("result", result)["metadata"]["manifest"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        record.faults.append("the result of stage training cannot be read any more")
        return None
    return found if isinstance(found, Mapping) else None
