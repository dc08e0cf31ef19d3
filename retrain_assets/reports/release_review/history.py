"""The retrains of a model up to one's end, as far as a review learns from them: checks, last look, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retrain_assets.contract import CustodyError, Gate
from retrain_assets.experiment import Look
from retrain_assets.ledger import Event, EventKind, EvidenceStore
from retrain_assets.release import Ending, RetrainState, ToggleState, fold

ENDS = (EventKind.RETRAIN_ENDED, EventKind.ROLLED_BACK)
"""Events after which a retrain is reviewed; what is recorded later belongs to later reviews."""

HARMFUL = ("harm", "person", "system")
"""Causes of a rollback that say the challenger hurt. Expiry, a kill switch or missing data say nothing about it."""


class Fate(StrEnum):
    """What became of a retrain, as a threshold would have wanted to know it before."""

    KEPT = "kept"
    HARMED = "harmed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Past:
    """One retrain.

    Args:
        state: its state.
        toggle: its toggle; None where it met no traffic.
        contract: the contract it ran under, as JSON; empty where it cannot be read.
        fate: whether it served and was kept, hurt, or neither.
        why: the fate in words.
        checks: the latest verdict of each check, as JSON with its evidence, by ``GATE.CHECK``.
        look: the last look at its canary; None without one.
        events: its own events, oldest first.
    """

    state: RetrainState
    toggle: ToggleState | None
    contract: Mapping[str, Any]
    fate: Fate
    why: str
    checks: Mapping[str, Mapping[str, Any]]
    look: Look | None
    events: tuple[Event, ...]

    @property
    def key(self) -> str:
        """The retrain's key."""
        return self.state.key

    def last(self, *kinds: EventKind) -> Event | None:
        """Its newest event of some kinds."""
        return next((event for event in reversed(self.events) if event.kind in kinds), None)


def reviewed_until(events: Sequence[Event], retrain: str) -> int | None:
    """The event up to which a review of a retrain looks: its end, or a rollback after it; None while it is open."""
    own = [event for event in events if event.retrain == retrain]
    ended = [event.sequence for event in own if event.kind is EventKind.RETRAIN_ENDED]
    reopened = [event.sequence for event in own if event.kind is EventKind.OVERRIDE_SIGNED and event.payload.get("reopens")]
    if not ended or max(reopened, default=0) > ended[-1]:
        return None
    return max(event.sequence for event in own if event.kind in ENDS)


def history_of(events: Sequence[Event], evidence: EvidenceStore, model: str, until: int) -> tuple[Past, ...]:
    """The ended retrains of a model, in the order they were launched, as they stood after an event.

    Evidence that is gone or damaged is left out of a retrain, not guessed; ``retrain audit verify`` names it.

    Args:
        events: the model's events, oldest first.
        evidence: where verdicts and looks are.
        model: the model.
        until: the last event that counts.
    """
    known = [event for event in events if event.sequence <= until]
    state = fold(known).get(model)
    if state is None:
        return ()
    reader = _Reader(evidence)
    return tuple(
        _past(retrain, state.toggle_of(retrain.key), tuple(one for one in known if one.retrain == retrain.key), reader)
        for retrain in state.retrains.values()
        if retrain.ended is not None
    )


class _Reader:
    """Evidence by digest; None where it cannot be read."""

    def __init__(self, evidence: EvidenceStore) -> None:
        self._evidence = evidence

    def read(self, digest: str | None) -> Any:
        try:
            return self._evidence.get(digest) if digest else None
        except CustodyError:
            return None


def _past(retrain: RetrainState, toggle: ToggleState | None, events: tuple[Event, ...], reader: _Reader) -> Past:
    contract = toggle.contract if toggle is not None else reader.read(retrain.contract_digest)
    fate, why = _fate(retrain, toggle, events)
    return Past(
        retrain,
        toggle,
        contract if isinstance(contract, Mapping) else {},
        fate,
        why,
        dict(_checks(retrain, reader)),
        _look(reader.read(toggle.last_look.evidence)) if toggle is not None and toggle.last_look is not None else None,
        events,
    )


def _fate(retrain: RetrainState, toggle: ToggleState | None, events: Sequence[Event]) -> tuple[Fate, str]:
    rolled_back = next((event for event in reversed(events) if event.kind is EventKind.ROLLED_BACK), None)
    if rolled_back is not None:
        cause, after = str(rolled_back.payload.get("cause")), rolled_back.payload.get("from") == "promoted"
        if cause in HARMFUL or (after and cause != "kill_switch"):
            return Fate.HARMED, "rolled back after its promotion" if after else "rolled back in its ramp"
        return Fate.OTHER, f"rolled back: {cause.replace('_', ' ')}"
    if retrain.ended in (Ending.PROMOTED, Ending.BOOTSTRAPPED):
        return Fate.KEPT, "promoted and kept" if retrain.ended is Ending.PROMOTED else "first champion, and kept"
    return Fate.OTHER, str(retrain.ended).replace("_", " ")


def _checks(retrain: RetrainState, reader: _Reader) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The checks before traffic, each with the tables behind it."""
    for gate in (Gate.DATA, Gate.TRAINING, Gate.OFFLINE):
        record = retrain.verdicts.get(gate)
        for name, check in record.checks.items() if record is not None else ():
            stored = reader.read(check.evidence)
            verdicts = stored.get("verdicts", []) if isinstance(stored, Mapping) else []
            full: Mapping[str, Any] = next((one for one in verdicts if one.get("check") == name), {})
            yield f"{gate.value}.{name}", {**check.verdict.to_json(), "evidence": full.get("evidence") or {}}


def _look(stored: Any) -> Look | None:
    try:
        return Look.from_json(stored) if isinstance(stored, Mapping) else None
    except (KeyError, TypeError, ValueError):
        return None
