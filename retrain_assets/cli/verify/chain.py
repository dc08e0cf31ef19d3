"""The chain and its checkpoints: every event gives its hash and follows the one before, and what was signed is still so."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from retrain_assets.cli.verify.database import foreign_faults
from retrain_assets.cli.verify.part import Part
from retrain_assets.contract import CustodyError
from retrain_assets.home import Home
from retrain_assets.ledger import Checkpoint, Event, Ledger, checkpoint_faults, recorded_keys, signed_by
from retrain_assets.release.anchoring import ANCHORS, DECISIONS, MADE


def chain_part(home: Home, ledger: Ledger, since: Checkpoint | None = None, kept: Sequence[tuple[int, str]] = ()) -> Part:
    """The chain of hashes, the head and the database file itself.

    Args:
        home: whose.
        ledger: the chain.
        since: a checkpoint before which no event is read again.
        kept: heads somebody kept elsewhere, as sequence and hash.
    """
    faults = [link.message for link in ledger.verify(since)]
    try:
        faults += foreign_faults(home)
        sequence, head = ledger.head()
        faults += [fault for one in sorted(kept) if (fault := _kept_fault(ledger, sequence, *one))]
    except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError, CustodyError, TypeError):
        if not faults:
            raise
        return Part("chain", "", tuple(faults))
    told = tuple(f"the head you kept of event {one} is in it" for one, _ in sorted(kept)) if not faults else ()
    if since is None:
        return Part("chain", f"{sequence} events, head {head[:12]}…", tuple(faults), notes=told)
    left_out = (
        f"events 1 to {since.sequence} were not read again: the checkpoint of {since.at:%Y-%m-%d %H:%M} UTC stands for them"
    )
    read = f"events {since.sequence + 1} to {sequence}" if sequence > since.sequence else "no event since the last checkpoint"
    return Part("chain", f"{read}, head {head[:12]}…", tuple(faults), notes=(left_out, *told))


def _kept_fault(ledger: Ledger, last: int, sequence: int, kept: str) -> str:
    """What is wrong with the chain where it does not hold a head that somebody kept; empty where it does."""
    if sequence > last:
        return f"it ends at event {last}, and you kept the head of event {sequence}: the end was cut off"
    found = ledger.hash_of(sequence)
    if found == kept:
        return ""
    return f"event {sequence} has hash {(found or 'none')[:12]}…, the head you kept has {kept[:12]}…: the history was rewritten"


def checkpoints_part(ledger: Ledger, events: list[Event], pinned: Sequence[str] | None = None, own: Path | None = None) -> Part:
    """Signatures, roots and heads of the checkpoints, and that there is one after the last decision.

    Args:
        ledger: the chain.
        events: of the whole chain.
        pinned: lines of the ``.pub`` files of keys that count; None: those the ledger names.
        own: this home's private key; its public half beside it is what whoever owns the database alone cannot change.
    """
    made = ledger.stored_checkpoints()
    faults = [fault.message for fault in checkpoint_faults(ledger, pinned)]
    last = made[-1].checkpoint if made else None
    noted, wanted = ledger.projection(ANCHORS), ledger.projection(MADE)
    if noted and (last is None or last.sequence < noted) and not faults:
        faults.append(f"the checkpoint after event {noted} is gone: the last decision is signed no more")
    if len(made) < wanted:
        faults.append(f"{wanted} checkpoints were made, {len(made)} are here")
    keys = recorded_keys(events)
    if not made and not faults:
        if not ledger.events(kinds=DECISIONS):
            return Part("checkpoints", "none, and nothing was decided yet; retrain audit checkpoint signs the head all the same")
        return Part("checkpoints", "", unchecked="there is none yet; retrain reconcile signs the head")
    count = f"{len(made)} checkpoint{'s'[: len(made) != 1]}"
    if last is None:
        return Part("checkpoints", count, tuple(faults))
    notes = [f"key {keys[-1].fingerprint}, recorded by event {keys[-1].since}"] if keys else []
    if pinned is None:
        notes.append("the key is the one the ledger itself names; --system-key FILE.pub holds it against one you know")
    behind = max((event.sequence for event in events), default=0) - last.sequence
    since = f", {behind} events since" if behind > 0 else ""
    counted = f"{count}, the last at event {last.sequence} of {last.at:%Y-%m-%d %H:%M} UTC{since}"
    return Part("checkpoints", counted, tuple(faults), _of_another_key(last, own) if pinned is None else "", tuple(notes))


def _of_another_key(newest: Checkpoint, own: Path | None) -> str:
    """Why it is not known whose the newest checkpoint is: this home has another key. Empty where it has that one, or none."""
    if own is None or not (public := own.with_name(f"{own.name}.pub")).is_file():
        return ""
    if signed_by(newest, public.read_text(encoding="utf-8", errors="replace")):
        return ""
    return (
        f"the newest one is signed with key {newest.key}, which is not the one in {public}; if that is a new key, "
        "retrain audit checkpoint signs with it, otherwise somebody else signed"
    )
