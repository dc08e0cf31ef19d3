"""The append-only, hash-chained record of everything that changes activation or decides about it, and its evidence."""

from retrain_assets.ledger.chain import GENESIS, BrokenLink, broken_links
from retrain_assets.ledger.events import EVERY_MODEL, SYSTEM, Actor, Event, EventDraft, EventKind, event_hash, timestamp
from retrain_assets.ledger.evidence import BrokenEvidence, EvidenceStore
from retrain_assets.ledger.signatures import Namespace, Signature, sign, sign_with_ssh_keygen, verified
from retrain_assets.ledger.statements import Act, Statement
from retrain_assets.ledger.store import Ledger, ModelMoved

__all__ = [
    "EVERY_MODEL",
    "GENESIS",
    "SYSTEM",
    "Act",
    "Actor",
    "BrokenEvidence",
    "BrokenLink",
    "Event",
    "EventDraft",
    "EventKind",
    "EvidenceStore",
    "Ledger",
    "ModelMoved",
    "Namespace",
    "Signature",
    "Statement",
    "broken_links",
    "event_hash",
    "sign",
    "sign_with_ssh_keygen",
    "timestamp",
    "verified",
]
