"""flagd's bucketing: a 32-bit hash of salt and unit, spread over integer weights. Only arithmetic lives here.

The rule is that of flagd's ``fractional`` operator (flagd reference, "Fractional operation", and openfeature-flagd-core 1.0):
``bucket = murmur3_x86_32(key) * total_weight >> 32``, and the first variant whose cumulative weight exceeds the bucket wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from urllib.parse import quote

import mmh3

HASHES = 1 << 32
"""How many values a hash can take."""

TOTAL_WEIGHT = 10_000
"""Weights are parts per 10,000, so that a ramp can step by 0.01 %. Only with a constant total does a ramp only ever add units."""

MAX_TOTAL_WEIGHT = 2_147_483_647
"""flagd refuses a larger total (a signed 32-bit integer)."""

_ASCII = "".join(map(chr, range(128)))


def routing_key(unit: str) -> str:
    """The text that is hashed for a unit: ASCII as it stands, every other character as its percent-encoded UTF-8 bytes.

    flagd implementations hash non-ASCII text differently (UTF-8 bytes in Python, UTF-16 code units in JavaScript); after this
    encoding there is nothing left to disagree on. No Unicode normalisation is applied; half a surrogate pair, which no UTF-8
    can carry, counts as U+FFFD. Clients of other languages send this key as their targeting key.
    """
    if unit.isascii():
        return unit
    try:
        return quote(unit, safe=_ASCII)
    except UnicodeEncodeError:
        return quote(unit.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), safe=_ASCII)


def unit_text(unit: object) -> str | None:
    """A unit id as text: text as it is, an integer as its decimal digits; None where it names no unit (nothing, empty, other)."""
    if isinstance(unit, str):
        return unit or None
    return str(int(unit)) if isinstance(unit, Integral) and not isinstance(unit, bool) else None


def weight_of(share: float) -> int:
    """The challenger's weight for a share (0..1), in parts of ``TOTAL_WEIGHT``."""
    return round(share * TOTAL_WEIGHT)


def bucket_of(key: str, total_weight: int) -> int:
    """The bucket of a key, 0 .. ``total_weight`` - 1 (MurmurHash3 x86 32-bit, seed 0, of the UTF-8 bytes)."""
    return (mmh3.hash(key, signed=False) * total_weight) >> 32


def first_hash_beyond(weight: int, total_weight: int) -> int:
    """The smallest 32-bit hash whose bucket is not below ``weight``, so that one comparison says what :func:`bucket_of` would."""
    return -(-(weight << 32) // total_weight)


def hash_below(share: float) -> int:
    """The 32-bit hashes that a share (0..1) of the units has are those below this; 0 for nobody, ``HASHES`` for everybody."""
    return first_hash_beyond(weight_of(share), TOTAL_WEIGHT)


def cohort_salt(salt: str) -> str:
    """What is hashed before a unit to say whether it takes part; made of the toggle's salt, independent of the arm's bucket."""
    return f"{salt}cohort:"


def fractional(key: str, weights: Sequence[tuple[str, int]]) -> str | None:
    """The variant that flagd's ``fractional`` gives for a bucket key.

    Args:
        key: the text to hash.
        weights: variant and integer weight, in order; negative weights count as 0.

    Returns:
        The variant, or None where flagd resolves to the default variant: an empty key, a total above ``MAX_TOTAL_WEIGHT``, or no
        weight at all.
    """
    clamped = [(variant, max(0, weight)) for variant, weight in weights]
    total = sum(weight for _, weight in clamped)
    if not key or total > MAX_TOTAL_WEIGHT:
        return None
    bucket = bucket_of(key, total)
    reached = 0
    for variant, weight in clamped:
        reached += weight
        if bucket < reached:
            return variant
    return None
