"""Attestations about a retrain in the forms the supply chain reads: in-toto statements in DSSE envelopes, signed by the system.

in-toto Attestation Framework v1 (Statement v1, DSSE v1.0), SLSA Provenance v1. An envelope carries two signatures by the same
key: an SSHSIG, which ``ssh-keygen`` checks, and a plain Ed25519 signature, which DSSE tools check. Both are over the
pre-authentication encoding; what SSH signs begins with ``SSHSIG`` and what DSSE signs with ``DSSEv1``, so neither can be taken
for the other.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from retrain_assets.contract import canonical_json, sha256_hex
from retrain_assets.ledger import Namespace, SystemKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"


def attested(name: str, statement: Mapping[str, Any], key: SystemKey) -> Iterator[tuple[str, bytes]]:
    """``NAME.dsse.json``, the envelope; ``NAME.dsse``, the bytes that are signed; ``NAME.dsse.sig``, their SSHSIG."""
    payload = canonical_json(statement)
    message = encoded(payload)
    armored = key.sign(message, Namespace.EXPORT)
    signatures = [{"keyid": key.fingerprint, "sig": base64.b64encode(armored.encode()).decode()}]
    if (private := _plain_key(key)) is not None:
        plain = base64.b64encode(private.sign(message)).decode()
        signatures.append({"keyid": _plain_keyid(private), "sig": plain})
    envelope = {"payloadType": PAYLOAD_TYPE, "payload": base64.b64encode(payload).decode(), "signatures": signatures}
    yield f"{name}.dsse.json", canonical_json(envelope)
    yield f"{name}.dsse", message
    yield f"{name}.dsse.sig", armored.encode()


def statement_of(subject: list[dict[str, Any]], predicate_type: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """An in-toto Statement."""
    return {"_type": STATEMENT, "subject": subject, "predicateType": predicate_type, "predicate": dict(predicate)}


def encoded(payload: bytes) -> bytes:
    """The pre-authentication encoding of an in-toto payload: what both signatures are over (DSSE v1.0)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def public_pem(key: SystemKey) -> bytes | None:
    """The system's public key as DSSE tools read it (SubjectPublicKeyInfo, PEM); None for another kind than Ed25519."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = _plain_key(key)
    return None if private is None else private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _plain_key(key: SystemKey) -> Ed25519PrivateKey | None:
    import asyncssh
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = asyncssh.read_private_key(key.path).pyca_key
    return private if isinstance(private, Ed25519PrivateKey) else None


def _plain_keyid(private: Ed25519PrivateKey) -> str:
    """The key's identifier as securesystemslib and TUF make it: SHA-256 of the key's canonical JSON."""
    public = private.public_key().public_bytes_raw().hex()
    return sha256_hex(canonical_json({"keytype": "ed25519", "keyval": {"public": public}, "scheme": "ed25519"}))
