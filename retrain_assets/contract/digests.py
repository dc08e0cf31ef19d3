"""Canonical JSON (RFC 8785) and the digests built on it. Everything that is compared by digest uses these."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical_json(value: Any) -> bytes:
    """The RFC 8785 encoding of a JSON value (dicts with string keys, lists, str, int, finite float, bool, None).

    Raises:
        ValueError: for NaN, infinities, integers beyond 2**53 and types JSON does not have.
    """
    return rfc8785.dumps(value)


def sha256_hex(data: bytes) -> str:
    """Lower-case hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """``sha256:…`` of the canonical JSON of a value."""
    return "sha256:" + sha256_hex(canonical_json(value))
