"""The people of the flights replay and the keys they sign with.

The keys are made from their names, so everybody has them: they show how signing works and prove nothing about anybody.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from retrain_assets.ledger import sign
from retrain_assets.release.signing import LASTING, Case, Signed

if TYPE_CHECKING:
    from asyncssh import SSHKey

    from retrain_assets.contract import Approval

SEED = "retrain_assets demo key, known to everybody: "
"""What each key is made from, with the person's name after it."""


def demo_key(principal: str) -> SSHKey:
    """Somebody's Ed25519 key, the same on every machine."""
    import asyncssh
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.from_private_bytes(sha256(f"{SEED}{principal}".encode()).digest())
    return asyncssh.import_private_key(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def signer_line(principal: str) -> str:
    """Their line of an allowed-signers file."""
    kind, key = demo_key(principal).export_public_key().decode().split()[:2]
    return f"{principal} {kind} {key}"


def signed(asked: tuple[Case, Approval]) -> Signed:
    """What somebody says about a case, signed in this process with their key; for as long as the contract lets it.

    Args:
        asked: the case and the terms it counts by, as the controller gives them.
    """
    case, terms = asked
    statement = case.statement(case.now + terms.valid_for if case.act in LASTING else None)
    return Signed(statement, sign(statement.bytes, demo_key(case.actor.name), statement.act.namespace))
