"""Verifying a home: what is read once, and the parts in the order in which a fault of one explains those of the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from retrain_assets.cli.opening import is_recorded, require_record
from retrain_assets.cli.verify.anchors import anchors_part
from retrain_assets.cli.verify.approvals import approvals_part
from retrain_assets.cli.verify.bundles import bundles_part, opened_registry, recorded_versions
from retrain_assets.cli.verify.chain import chain_part, checkpoints_part
from retrain_assets.cli.verify.database import sqlite_path
from retrain_assets.cli.verify.derived import aliases_part, flags_part, tokens_part
from retrain_assets.cli.verify.evidence import evidence_part
from retrain_assets.cli.verify.part import MALFORMED, Part, checked, unreadable
from retrain_assets.contract import CustodyError, RetrainError, first_line
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EvidenceStore, Ledger, trusted_checkpoint
from retrain_assets.registry import Registry
from retrain_assets.release import ModelState, PlatformState, fold, fold_platform

NAMES = ("chain", "checkpoints", "approvals", "evidence", "bundles", "flags", "tokens", "aliases", "anchors")
"""The parts, in their order."""

DERIVED = frozenset({"bundles", "flags", "tokens", "aliases", "anchors"})
"""Parts that follow the ledger, so that something may be recorded while they are compared."""

FOLLOWING = frozenset({"flags", "tokens", "aliases"})
"""Parts that the ledger makes anew: compared with a broken one they would say that it should do so."""

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

    @property
    def begins(self) -> str:
        """Between which events the first break has to lie, as anchors tell it; empty where they do not."""
        return next((part.begins for part in self.broken if part.begins), "")

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        first = self.first
        return {
            "holds": not self.broken and not self.unchecked,
            "first_broken": {"part": first[0], "fault": first[1], "begins": self.begins or None} if first else None,
            "parts": [part.to_json() for part in self.parts],
        }


def verify_home(
    home: Home,
    *,
    since_checkpoint: bool = False,
    system_keys: Sequence[str] | None = None,
    kept: Sequence[tuple[int, str]] = (),
    only: Sequence[str] = NAMES,
) -> Verification:
    """Verify every part of a home; nothing is repaired.

    Args:
        home: whose.
        since_checkpoint: read the chain again only from the last good checkpoint on.
        system_keys: lines of ``.pub`` files; the newest checkpoint has to be signed by one of them.
        kept: heads somebody kept elsewhere, as sequence and hash; the chain has to hold them.
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
        try:
            seen = _Seen(home, Ledger(home.ledger_url))
        except (RetrainError, SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
            return Verification((_unopened(home, error), *_unchecked(only, "chain")))
        parts: list[Part] = []
        for name in only:
            broken = next((part.name for part in parts if part.faults and part.name in ("chain", "checkpoints")), None)
            if broken and name in FOLLOWING:
                parts.append(Part(name, "", unchecked=f"the {broken} {'is' if broken == 'chain' else 'are'} broken"))
            else:
                parts.append(_part(name, seen, since_checkpoint, system_keys, kept))
        if not any(part.faults and part.name in DERIVED for part in parts) or not seen.moved:
            break
    return Verification(tuple(parts))


class _Seen:
    """What the parts are compared with, read once and only where a part asks for it.

    Args:
        home: whose.
        ledger: its ledger.
    """

    def __init__(self, home: Home, ledger: Ledger) -> None:
        self.home, self.ledger = home, ledger

    @cached_property
    def read(self) -> tuple[list[Event], str]:
        """Every event; none, and why, where they cannot be read."""
        try:
            return self.ledger.events(), ""
        except CustodyError as error:
            return [], error.what
        except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
            return [], f"the ledger cannot be read ({first_line(error)})"

    @property
    def events(self) -> list[Event]:
        """Every event."""
        return self.read[0]

    @cached_property
    def derived(self) -> tuple[Mapping[str, ModelState], PlatformState, str]:
        """What the events mean; nothing, and why, where one of them means nothing."""
        try:
            return (*folded(self.events), self.read[1])
        except CustodyError as error:
            return {}, PlatformState(), error.what

    @cached_property
    def recorded(self) -> Mapping[tuple[str, str], str]:
        """Bundle digests by model and version."""
        return recorded_versions(self.events)

    @cached_property
    def registry(self) -> Registry | Part:
        """The registry; a part that says why there is none."""
        return opened_registry(self.home, self.recorded)

    @property
    def moved(self) -> bool:
        """Whether something was recorded meanwhile."""
        try:
            return self.ledger.head()[0] != (self.events[-1].sequence if self.events else 0)
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


def _part(
    name: str, seen: _Seen, since_checkpoint: bool, system_keys: Sequence[str] | None, kept: Sequence[tuple[int, str]]
) -> Part:
    if name == "chain":
        return checked(name, lambda: _chain(seen, since_checkpoint, system_keys, kept))
    if name == "checkpoints":
        return checked(name, lambda: checkpoints_part(seen.ledger, seen.events, system_keys, seen.home.system_key_path))
    if unread := seen.read[1] or (name in ("flags", "tokens", "aliases") and seen.derived[2]):
        return Part(name, "", unchecked=str(unread))
    return checked(name, lambda: _compared(name, seen))


def _compared(name: str, seen: _Seen) -> Part:
    home, ledger, events = seen.home, seen.ledger, seen.events
    if name == "approvals":
        return approvals_part(EvidenceStore(home.evidence_dir), events, ledger.identity)
    if name == "evidence":
        return evidence_part(home, events)
    if name == "tokens":
        return tokens_part(home, events)
    states, platform, _ = seen.derived
    if name == "flags":
        return flags_part(home, ledger, states, platform)
    registry = seen.registry
    if name == "anchors":
        return anchors_part(home, ledger, registry if isinstance(registry, Registry) else None, events, states)
    if isinstance(registry, Part):
        return registry if name == "bundles" else Part(name, "no registry yet", unchecked=" ".join(registry.faults))
    return bundles_part(home, registry, seen.recorded) if name == "bundles" else aliases_part(ledger, registry, states)


def _chain(seen: _Seen, since_checkpoint: bool, system_keys: Sequence[str] | None, kept: Sequence[tuple[int, str]]) -> Part:
    """The chain; an event that gives its hash and says what no release writes breaks it as well."""
    since = trusted_checkpoint(seen.ledger, system_keys) if since_checkpoint else None
    part = chain_part(seen.home, seen.ledger, since, kept)
    if not part.faults and not part.unchecked and seen.derived[2]:
        return Part(part.name, part.counted, (seen.derived[2],), notes=part.notes)
    return part


def _unchecked(only: Sequence[str], because: str) -> list[Part]:
    return [Part(name, "", unchecked=f"the {because} is broken") for name in only if name != because]


def _unopened(home: Home, error: RetrainError | SQLAlchemyError | sqlite3.Error | UnicodeDecodeError) -> Part:
    """A database that does not open: damaged, or silent."""
    cause = error.__cause__ if isinstance(error, RetrainError) else error
    if cause is None or sqlite_path(home) is None:
        raise error
    if isinstance(error, CustodyError):
        return Part("chain", "", (error.what,))
    return unreadable("chain", cause)
