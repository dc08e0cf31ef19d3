"""What is stored of one retrain: its events, contract, stage outputs and bundles, each checked against its recorded digest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from retrain_assets.bundle import Manifest
from retrain_assets.compute.places import is_on_volume, located
from retrain_assets.compute.request import StageResult
from retrain_assets.contract import Contract, CustodyError, Gate, RetrainError
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EventKind, EvidenceStore
from retrain_assets.release import ModelState, RetrainState, fold
from retrain_assets.reports.query.records import EventsRead

_METRIC_RULES = ("meets", "not_worse", "beats_champion")


@dataclass(frozen=True)
class Stored:
    """One retrain as recorded.

    Args:
        home: where it is stored.
        model: the model.
        retrain: its key.
        ledger: every event, read once.
    """

    home: Home
    model: str
    retrain: str
    ledger: EventsRead

    @cached_property
    def evidence(self) -> EvidenceStore:
        """The home's evidence; nothing is put into it here."""
        return EvidenceStore(self.home.evidence_dir)

    @cached_property
    def events(self) -> list[Event]:
        """Its own events."""
        return self.ledger.events(model=self.model, retrain=self.retrain)

    @cached_property
    def known(self) -> RetrainState:
        """What is known of it."""
        return self.state.retrains[self.retrain]

    @cached_property
    def state(self) -> ModelState:
        """The model as it stands."""
        return fold(self.ledger.events(model=self.model))[self.model]

    def before(self, sequence: int) -> EventsRead:
        """The record as it was before an event."""
        return EventsRead(event for event in self.ledger.events() if event.sequence < sequence)

    def of(self, *kinds: EventKind) -> list[Event]:
        """Its events of some kinds."""
        return [event for event in self.events if event.kind in kinds]

    @cached_property
    def subjects(self) -> Mapping[str, str]:
        """Recorded digests of ``dataset``, ``features`` (pipeline) and ``bundle``: what its gates judged, and its candidate's."""
        judged: dict[str, str] = {}
        for record in self.known.verdicts.values():
            judged |= dict(record.subjects)
        return {**judged, **self.known.subjects}

    @cached_property
    def contract(self) -> Contract:
        """The contract it was launched under.

        Raises:
            CustodyError: when the evidence that holds it is gone or was changed.
        """
        return self._as_written(Contract.recorded(self.evidence.get(self.known.contract_digest)))

    def judged_under(self, limits: str | None) -> Contract | None:
        """The recorded contract with these thresholds (digest): the launch's, else the toggle's; None where neither has them.

        Raises:
            CustodyError: as :attr:`contract`.
        """
        toggle = self.state.toggle_of(self.retrain)
        recorded = [self.contract, *([self._as_written(toggle.terms)] if toggle else [])]
        return next((one for one in recorded if limits in (None, one.limits_digest)), None)

    def _as_written(self, contract: Contract) -> Contract:
        """The contract as it was written, as far as that shows in what was made: canonical JSON has no 1.0 and no order of keys.

        To an estimator 1 is not 1.0: the training stage's result has kept its numbers, and one counts only where it is the same.
        Metrics are judged in the order they were written, which is that of the recorded verdicts.
        """
        result = self.stage("training")
        made = result.metadata.get("manifest", {}).get("params", {}) if result is not None else {}
        params = {
            name: made[name] if type(made.get(name)) is float and made[name] == value else value
            for name, value in contract.trainer.params.items()
        }
        judged = [verdict["check"] for event in self.events for verdict in _offline(event)]
        place = {
            name: min(
                (judged.index(check) for check in (f"{rule}_{name}" for rule in _METRIC_RULES) if check in judged),
                default=len(judged),
            )
            for name in contract.gates.offline.metrics
        }
        metrics = {name: contract.gates.offline.metrics[name] for name in sorted(place, key=lambda name: place[name])}
        offline = contract.gates.offline.model_copy(update={"metrics": metrics})
        return contract.model_copy(
            update={
                "trainer": contract.trainer.model_copy(update={"params": params}),
                "gates": contract.gates.model_copy(update={"offline": offline}),
            }
        )

    def stage(self, name: str) -> StageResult | None:
        """The stored result of a stage; None where there is none that can be read."""
        try:
            return StageResult.read(self.home.stage_dir(self.model, self.retrain, name) / "result.json")
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def basis(self, name: str) -> str | None:
        """Digest of everything a stage rested on, as its result says."""
        try:
            found = json.loads((self.home.stage_dir(self.model, self.retrain, name) / "result.json").read_bytes())
        except (OSError, ValueError):
            return None
        return found.get("basis") if isinstance(found, dict) else None

    def output(self, stage: str, name: str) -> Path:
        """Where an output of a stage lies in this home, wherever the home was when the stage ran; of one that stayed on a volume,
        where that is mounted."""
        here = self.home.stage_dir(self.model, self.retrain, stage) / name
        left = self.left_on_volume(stage, name)
        return located(left) if left is not None and not here.exists() else here

    def left_on_volume(self, stage: str, name: str) -> str | None:
        """The place of an output that was not brought home; None where there is none."""
        result = self.stage(stage)
        uris = [output["uri"] for output in result.outputs.values()] if result is not None else []
        return next((uri for uri in uris if is_on_volume(uri) and uri.endswith(f"/{name}")), None)

    @cached_property
    def unit_key(self) -> bytes:
        """The secret that units are named with in evidence; empty where the home has none any more. None is made here."""
        path = self.home.unit_key_path
        return path.read_bytes() if path.exists() else b""

    @cached_property
    def bundles(self) -> StoredBundles:
        """The bundles of the model's versions."""
        return StoredBundles(self.home, self.state)

    @cached_property
    def manifest(self) -> Manifest | None:
        """The candidate's manifest, of a bundle with the recorded digest; None where there is no candidate or no such bundle."""
        if self.known.candidate is None:
            return None
        try:
            return self.bundles.verified(self.known.candidate.bundle)[1]
        except RetrainError:
            return None


def _offline(event: Event) -> list[dict[str, Any]]:
    """The verdicts of an event of gate offline; none of others."""
    told = event.payload
    is_offline = event.kind is EventKind.GATE_EVALUATED and told["gate"] == Gate.OFFLINE
    return list(told["verdicts"]) if is_offline else []


class StoredBundles:
    """Bundles of a home by their digest: those its stages made, else the registry's. Nothing is registered here.

    Args:
        home: where they are.
        state: the model, which names its versions.
    """

    def __init__(self, home: Home, state: ModelState) -> None:
        self._home, self._state = home, state
        self._found: dict[str, tuple[Path, Manifest]] = {}

    def verified(self, digest: str) -> tuple[Path, Manifest]:
        """Directory and manifest of the bundle of that digest, every file of it checked.

        Raises:
            RetrainError: when there is none that is what its digest says.
        """
        from retrain_assets.bundle import verify_bundle

        if digest not in self._found:
            fault: RetrainError | None = None
            for directory in self._places(digest):
                try:
                    self._found[digest] = directory, verify_bundle(directory, digest)
                    break
                except (CustodyError, OSError) as error:
                    fault = error if isinstance(error, RetrainError) else fault
            else:
                raise fault or CustodyError("no bundle of that digest is stored", where=digest, remedy="restore the registry")
        return self._found[digest]

    def download(self, model: str, version: str) -> Path:
        """The directory of a registered version.

        Raises:
            RetrainError: when it is not stored, or not what was recorded.
        """
        for known in self._state.retrains.values():
            if known.candidate is not None and known.candidate.version == version:
                return self.verified(known.candidate.bundle)[0]
        raise CustodyError("the ledger knows no such version", where=f"{model} version {version}")

    def _places(self, digest: str) -> Iterator[Path]:
        for known in self._state.retrains.values():
            if known.candidate is None or known.candidate.bundle != digest:
                continue
            staged = self._home.stage_dir(self._state.model, known.key, "training") / "bundle"
            if staged.is_dir():
                yield staged
            from retrain_assets.registry import Registry

            try:
                yield Registry.of(self._home).download(self._state.model, known.candidate.version)
            except RetrainError:
                continue
