"""What units are called in evidence: names that only somebody with the key can match with the ids."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

DIGITS = 16
"""Hexadecimal digits of a name: 64 bits, so that of ten million units two share a name with a probability of 3e-6."""


@dataclass(frozen=True, slots=True)
class UnitNames:
    """Names of identities by a secret key: the same id and key give the same name, and no name tells its id.

    Args:
        key: the secret. Who has it can name an id and look for the name; without it names cannot be matched with ids, not even
            by trying all of them.
    """

    key: bytes = field(repr=False)

    def of(self, identity: Any, kind: str = "unit") -> str:
        """The name of an id: ``unit:`` and 16 hexadecimal digits of HMAC-SHA256 over its text; an absent id is ``unit:none``.

        Args:
            identity: the id; told apart by its text.
            kind: what it identifies, in one word; ids of two kinds never share a name.
        """
        if identity is None:
            return f"{kind}:none"
        code = hmac.new(self.key, f"{kind}\0{identity}".encode(), hashlib.sha256)
        return f"{kind}:{code.hexdigest()[:DIGITS]}"

    def all_of(self, identities: Iterable[Any], kind: str = "unit") -> list[str]:
        """The names of some ids, in their order."""
        return [self.of(one, kind) for one in identities]


UNLINKABLE = UnitNames(os.urandom(32))
"""Names by a key that ends with the process: they tell rows of one answer apart and match nothing else."""
