"""The append-only, hash-chained record of everything that changes activation or decides about it, and its evidence."""

from retrain_assets.ledger.chain import GENESIS, BrokenLink, broken_links
from retrain_assets.ledger.events import EVERY_MODEL, SYSTEM, Actor, Event, EventDraft, EventKind, event_hash, timestamp
from retrain_assets.ledger.evidence import BrokenEvidence, EvidenceStore
from retrain_assets.ledger.store import Ledger, ModelMoved

__all__ = [
    "EVERY_MODEL",
    "GENESIS",
    "SYSTEM",
    "Actor",
    "BrokenEvidence",
    "BrokenLink",
    "Event",
    "EventDraft",
    "EventKind",
    "EvidenceStore",
    "Ledger",
    "ModelMoved",
    "broken_links",
    "event_hash",
    "timestamp",
]
