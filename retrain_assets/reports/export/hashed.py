"""An event as its hash has it: the canonical text, and the evidence that text names."""

from __future__ import annotations

import re

from retrain_assets.contract import CustodyError, canonical_json, sha256_hex
from retrain_assets.ledger import Event

_NAMED = re.compile(rb'"(?:evidence|contract_digest|stage_record)":"(sha256:[0-9a-f]{64})"')
"""Where a text names a digest of the evidence store; ``verify.py`` looks for the same."""


def hashed_text(event: Event) -> bytes:
    """The canonical JSON (RFC 8785) of an event without its hash, which is the SHA-256 of it.

    Raises:
        CustodyError: when it does not give the hash.
    """
    text = canonical_json({name: value for name, value in event.to_json().items() if name != "hash"})
    if sha256_hex(text) != event.hash:
        raise CustodyError(
            f"event {event.sequence} does not give the hash stored with it", where="ledger", remedy="run retrain audit verify"
        )
    return text


def named_evidence(event: Event) -> set[str]:
    """Digests of the evidence store that an event names."""
    return {found.decode() for found in _NAMED.findall(hashed_text(event))}
