"""The append-only, hash-chained record of everything that changes activation or decides about it, and its evidence."""

from retrain_assets.ledger.chain import GENESIS, BrokenLink, broken_links
from retrain_assets.ledger.checkpoints import (
    Checkpoint,
    Inclusion,
    RecordedKey,
    checkpoint_faults,
    recorded_keys,
    signed_by,
    trusted_checkpoint,
)
from retrain_assets.ledger.events import EVERY_MODEL, SYSTEM, Actor, Event, EventDraft, EventKind, event_hash, named, timestamp
from retrain_assets.ledger.evidence import BrokenEvidence, EvidenceStore
from retrain_assets.ledger.signatures import Namespace, Signature, sign, sign_with_ssh_keygen, verified
from retrain_assets.ledger.statements import Act, Statement
from retrain_assets.ledger.store import Ledger, ModelMoved
from retrain_assets.ledger.system_key import SystemKey

__all__ = [
    "EVERY_MODEL",
    "GENESIS",
    "SYSTEM",
    "Act",
    "Actor",
    "BrokenEvidence",
    "BrokenLink",
    "Checkpoint",
    "Event",
    "EventDraft",
    "EventKind",
    "EvidenceStore",
    "Inclusion",
    "Ledger",
    "ModelMoved",
    "Namespace",
    "RecordedKey",
    "Signature",
    "Statement",
    "SystemKey",
    "broken_links",
    "checkpoint_faults",
    "event_hash",
    "named",
    "recorded_keys",
    "sign",
    "sign_with_ssh_keygen",
    "signed_by",
    "timestamp",
    "trusted_checkpoint",
    "verified",
]
