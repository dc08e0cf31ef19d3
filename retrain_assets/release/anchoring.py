"""Where the ledger's head is kept outside its database: a signed checkpoint, a tag of each decided version, Dagster's metadata.

Rewriting history unnoticed then takes the database, the system's key, the registry and Dagster's record, all at once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from retrain_assets.contract import RetrainError, first_line
from retrain_assets.home import Home
from retrain_assets.ledger import Checkpoint, Event, EventKind, Ledger, SystemKey
from retrain_assets.release.projection import RegistryProtocol, file_lock
from retrain_assets.release.state import ModelState

HEAD_METADATA = "ledger_head"
"""Under which name Dagster's materialisations carry the head."""

DECISIONS = frozenset({EventKind.CHAMPION_BOOTSTRAPPED, EventKind.PROMOTED, EventKind.ROLLED_BACK, EventKind.RETRAIN_ENDED})
"""Events after which the head is anchored."""

ANCHORS = "anchors"
"""How far anchoring has come is noted in the ledger under this name: the last decision every anchor shows."""

MADE = "checkpoints"
"""How many checkpoints were made is noted under this name, so that one that is taken away is missed."""

_LOG = logging.getLogger(__name__)
_IN_THE_WAY = (RetrainError, OSError, SQLAlchemyError)
"""What keeps a head from being anchored now, and must not keep anything else from happening."""

_TEXT = re.compile(r"(?P<sequence>[1-9][0-9]{0,17}):(?P<hash>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in the chain, kept outside it.

    Args:
        sequence: of the event.
        hash: its hash, which stands for it and for everything before it.
    """

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def of(cls, event: Event) -> Self:
        """The place of an event."""
        return cls(event.sequence, event.hash)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The inverse of ``str``; None for anything else."""
        found = _TEXT.fullmatch(text)
        return cls(int(found["sequence"]), found["hash"]) if found else None


def checkpoint(ledger: Ledger, home: Home, at: datetime) -> Checkpoint:
    """Sign the head as it is now with the system's key, which is made and recorded where there is none.

    Raises:
        RetrainError: when the key cannot be used.
        CustodyError: when the end of the chain is not what was recorded.
    """
    made = ledger.add_checkpoint(SystemKey.open(home.system_key_path), at)
    ledger.set_projection(MADE, ledger.count_checkpoints())
    return made


def sign_decisions(ledger: Ledger, home: Home, at: datetime) -> None:
    """A checkpoint after the last decision, where there is none yet. What stands in the way is logged; reconciling repairs it."""
    try:
        if (decisions := _open_decisions(ledger)) and _last_signed(ledger) < decisions[-1].sequence:
            checkpoint(ledger, home, at)
    except _IN_THE_WAY as error:
        _LOG.warning("the ledger's head is not signed: %s; retrain reconcile does it when it can", first_line(error))


def anchor_versions(
    ledger: Ledger,
    home: Home,
    registry: Callable[[], RegistryProtocol],
    states: Callable[[], Mapping[str, ModelState]],
    *,
    everything: bool = False,
) -> tuple[str, ...]:
    """Have every version that was decided about since carry the place of that decision.

    What stands in the way is logged and repaired by reconciling. An anchor that the chain does not contain stays: see
    :func:`replaceable`.

    Args:
        ledger: the chain.
        home: whose.
        registry: opens the registry; called only where a version may have to carry something.
        states: every model after the chain.
        everything: all versions that were ever decided about, also those that should carry it.

    Returns:
        What was set, as ``model/version anchored at event 31``.
    """
    done: list[str] = []
    try:
        if not everything and not _open_decisions(ledger):
            return ()
        with file_lock(home.flags_path.with_name(".registry.lock")):
            decisions = ledger.events(kinds=DECISIONS) if everything else _open_decisions(ledger)
            for (model, version), anchor in version_anchors(decisions, states()).items():
                if _anchored(ledger, registry(), model, version, anchor):
                    done.append(f"{model}/{version} anchored at event {anchor.sequence}")
            if decisions and _last_signed(ledger) >= decisions[-1].sequence:
                ledger.set_projection(ANCHORS, decisions[-1].sequence)
    except _IN_THE_WAY as error:
        _LOG.warning("the ledger's head is not anchored: %s; retrain reconcile does it when it can", first_line(error))
    return tuple(done)


def head_anchor(ledger: Ledger) -> str:
    """The ledger's head as materialisations carry it, ``SEQUENCE:HASH``."""
    return str(Anchor(*ledger.head()))


def version_anchors(decisions: Iterable[Event], states: Mapping[str, ModelState]) -> dict[tuple[str, str], Anchor]:
    """What each version is to carry: the last decision about the retrain that made it, by model and version.

    Args:
        decisions: events of :data:`DECISIONS`, in order; others are left out.
        states: every model after them.
    """
    anchors = {}
    for event in decisions:
        known = states[event.model].retrains.get(event.retrain or "") if event.kind in DECISIONS else None
        if known is not None and known.candidate is not None:
            anchors[event.model, known.candidate.version] = Anchor.of(event)
    return anchors


def replaceable(carried: str | None, anchor: Anchor, ledger: Ledger) -> bool:
    """Whether an anchor may take the place of what a version carries.

    Only of one that the chain contains and that is not later: one that the chain does not contain is the trace of a history that
    was rewritten, and stays until a person has looked.

    Args:
        carried: the tag's text; None where there is none.
        anchor: what it is to carry.
        ledger: the chain.
    """
    if carried is None:
        return True
    found = Anchor.parse(carried)
    return found is not None and found.sequence <= anchor.sequence and ledger.hash_of(found.sequence) == found.hash


def _anchored(ledger: Ledger, registry: RegistryProtocol, model: str, version: str, anchor: Anchor) -> bool:
    """Have one version carry its anchor; False where it does, or carries one that has to stay."""
    carried = registry.carried_head(model, version)
    if carried == str(anchor):
        return False
    if replaceable(carried, anchor, ledger):
        registry.set_head(model, version, str(anchor))
        return True
    _LOG.warning(
        "%s version %s carries head %r, which the ledger does not contain; it stays; run retrain audit verify",
        model,
        version,
        carried,
    )
    return False


def _last_signed(ledger: Ledger) -> int:
    """The last event that the newest checkpoint covers; 0 without one, or where it cannot be read."""
    newest = ledger.newest_checkpoint()
    return newest.checkpoint.sequence if newest is not None and newest.checkpoint is not None else 0


def _open_decisions(ledger: Ledger) -> list[Event]:
    return ledger.events(kinds=DECISIONS, after=ledger.projection(ANCHORS))
