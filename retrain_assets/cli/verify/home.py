"""Verifying a home: what is read once, and the parts in the order in which a fault of one explains those of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from retrain_assets.cli.opening import is_recorded, require_record
from retrain_assets.cli.verify.anchors import anchors_part
from retrain_assets.cli.verify.approvals import approvals_part
from retrain_assets.cli.verify.bundles import bundles_part, opened_registry, recorded_versions
from retrain_assets.cli.verify.chain import chain_part, checkpoints_part
from retrain_assets.cli.verify.database import file_faults, sqlite_path, unreadable
from retrain_assets.cli.verify.derived import aliases_part, flags_part, tokens_part
from retrain_assets.cli.verify.evidence import evidence_part
from retrain_assets.cli.verify.part import MALFORMED, Part, checked
from retrain_assets.contract import CustodyError, RetrainError, first_line
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EvidenceStore, Ledger, trusted_checkpoint
from retrain_assets.registry import Registry
from retrain_assets.release import ModelState, PlatformState, fold, fold_platform

NAMES = ("chain", "checkpoints", "approvals", "evidence", "bundles", "flags", "tokens", "aliases", "anchors")
"""The parts, in their order."""

DERIVED = frozenset({"bundles", "flags", "tokens", "aliases", "anchors"})
"""Parts that follow the ledger, so that something may be recorded while they are compared."""

AGAIN = 3
"""How often they are compared anew because of that."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What verifying a home gave, part by part."""

    parts: tuple[Part, ...]

    @property
    def broken(self) -> tuple[Part, ...]:
        """The parts with faults."""
        return tuple(part for part in self.parts if part.faults)

    @property
    def unchecked(self) -> tuple[Part, ...]:
        """The parts that could not be checked, and of which nothing broken is known."""
        return tuple(part for part in self.parts if part.unchecked and not part.faults)

    @property
    def first(self) -> tuple[str, str] | None:
        """The first broken link, as part and sentence; None where everything that was checked holds."""
        return next(((part.name, part.faults[0]) for part in self.broken), None)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        first = self.first
        return {
            "holds": not self.broken and not self.unchecked,
            "first_broken": {"part": first[0], "fault": first[1]} if first else None,
            "parts": [part.to_json() for part in self.parts],
        }


def verify_home(
    home: Home,
    *,
    since_checkpoint: bool = False,
    system_keys: Sequence[str] | None = None,
    only: Sequence[str] = NAMES,
) -> Verification:
    """Verify every part of a home; nothing is repaired.

    Args:
        home: whose.
        since_checkpoint: read the chain again only from the last good checkpoint on.
        system_keys: lines of ``.pub`` files; the newest checkpoint has to be signed by one of them.
        only: names of the parts to verify.

    Raises:
        CustodyError: when flags or evidence are here and the ledger is gone.
        RetrainError: when nothing is here at all.
    """
    if not is_recorded(home) and (home.flags_path.exists() or home.evidence_dir.exists()):
        raise CustodyError(
            "the ledger is gone, its flag document or evidence is still here",
            where=home.ledger_url,
            remedy="restore the ledger from a backup",
        )
    require_record(home)
    for _ in range(AGAIN):
        seen = _Seen.of(home)
        if isinstance(seen, Part):
            return Verification((seen, *_unchecked(only, seen.name)))
        parts = tuple(part for name in only for part in [_part(name, seen, since_checkpoint, system_keys)])
        if not any(part.faults and part.name in DERIVED for part in parts) or not seen.moved:
            break
    return Verification(parts)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the parts are compared with, read once."""

    home: Home
    ledger: Ledger
    events: list[Event]
    unread: str
    states: Mapping[str, ModelState]
    platform: PlatformState
    registry: Registry | Part
    recorded: Mapping[tuple[str, str], str]

    @classmethod
    def of(cls, home: Home) -> _Seen | Part:
        try:
            ledger = Ledger(home.ledger_url)
        except (RetrainError, SQLAlchemyError) as error:
            return _unopened(home, error)
        events: list[Event] = []
        states: Mapping[str, ModelState] = {}
        platform, unread = PlatformState(), ""
        try:
            events = ledger.events()
            states, platform = folded(events)
        except CustodyError as error:
            unread = error.line
        except SQLAlchemyError as error:
            unread = f"the ledger cannot be read ({first_line(error)})"
        recorded = recorded_versions(events)
        return cls(home, ledger, events, unread, states, platform, opened_registry(home, recorded), recorded)

    @property
    def moved(self) -> bool:
        """Whether something was recorded meanwhile."""
        try:
            return bool(self.ledger.events(after=self.events[-1].sequence if self.events else 0))
        except (RetrainError, SQLAlchemyError):
            return False


def folded(events: list[Event]) -> tuple[dict[str, ModelState], PlatformState]:
    """The state after some events.

    Raises:
        CustodyError: naming the event that says something no release ever writes.
    """
    try:
        return fold(events), fold_platform(events)
    except MALFORMED:
        states: dict[str, ModelState] = {}
        platform = PlatformState()
    for event in events:
        try:
            states, platform = fold([event], states), fold_platform([event], platform)
        except MALFORMED as error:
            raise CustodyError(
                f"event {event.sequence} ({event.kind}, {event.model}) says something this release never writes "
                f"({type(error).__name__}: {first_line(error)})"
            ) from error
    return states, platform


def _part(name: str, seen: _Seen, since_checkpoint: bool, system_keys: Sequence[str] | None) -> Part:
    if name == "chain":
        return checked(name, lambda: _chain(seen, since_checkpoint, system_keys))
    if seen.unread and not seen.events:
        return Part(name, "", unchecked=seen.unread)
    if name in ("flags", "tokens", "aliases") and seen.unread:
        return Part(name, "", unchecked=seen.unread)
    registry = seen.registry
    if isinstance(registry, Part):
        if name == "bundles":
            return registry
        if name == "aliases":
            return Part(name, "", unchecked="the registry is gone") if registry.faults else Part(name, "0 aliases of 0 models")
    return checked(name, lambda: _compared(name, seen, system_keys))


def _compared(name: str, seen: _Seen, system_keys: Sequence[str] | None) -> Part:
    home, ledger, events = seen.home, seen.ledger, seen.events
    registry = seen.registry if isinstance(seen.registry, Registry) else None
    if name == "checkpoints":
        return checkpoints_part(ledger, events, system_keys)
    if name == "approvals":
        return approvals_part(EvidenceStore(home.evidence_dir), events, ledger.identity)
    if name == "evidence":
        return evidence_part(home, events)
    if name == "flags":
        return flags_part(home, ledger, seen.states, seen.platform)
    if name == "tokens":
        return tokens_part(home, events)
    if name == "anchors":
        return anchors_part(home, ledger, registry, events, seen.states)
    assert registry is not None  # bundles and aliases without one are answered by _part
    if name == "bundles":
        return bundles_part(home, registry, seen.recorded)
    return aliases_part(ledger, registry, seen.states)


def _chain(seen: _Seen, since_checkpoint: bool, system_keys: Sequence[str] | None) -> Part:
    since = trusted_checkpoint(seen.ledger, system_keys) if since_checkpoint else None
    part = chain_part(seen.home, seen.ledger, since)
    if seen.unread and not part.faults:
        return Part(part.name, part.counted, (seen.unread,), notes=part.notes)
    return part


def _unchecked(only: Sequence[str], because: str) -> list[Part]:
    return [Part(name, "", unchecked=f"the {because} is broken") for name in only if name != because]


def _unopened(home: Home, error: RetrainError | SQLAlchemyError) -> Part:
    """A database that does not open: damaged, or silent."""
    cause = error.__cause__ if isinstance(error, RetrainError) else error
    if isinstance(cause, SQLAlchemyError) and sqlite_path(home) is not None:
        return unreadable("chain", cause, file_faults(home))
    if isinstance(error, RetrainError):
        raise error
    return unreadable("chain", error)
