"""Signatures in the form OpenSSH gives files (SSHSIG), so that ``ssh-keygen -Y verify`` alone can check them years later.

People sign with ``ssh-keygen -Y sign``: their own key, agent or hardware token, which no process of ours sees. The system
signs with a key of its own, in process.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from retrain_assets.contract import AllowedSigner, RetrainError, SignatureError, fingerprint_of

if TYPE_CHECKING:
    from asyncssh import SSHKey

ARMOR_BEGIN, ARMOR_END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_RSA = ("rsa-sha2-256", "rsa-sha2-512")
"""How an RSA key may sign; not with SHA-1, which ssh-keygen refuses as well."""
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}


class Namespace(StrEnum):
    """What a signature is for; one given for something else counts for nothing (``-n`` of ``ssh-keygen``)."""

    APPROVE = "approve@retrain-assets"
    """Approvals, their withdrawal, rejections, overrides."""
    OPERATE = "operate@retrain-assets"
    """Orders: hold, roll back, kill."""
    CHECKPOINT = "checkpoint@retrain-assets"
    """The ledger's head, by the system."""
    EXPORT = "export@retrain-assets"
    """What leaves the house: the sums of an export, attestations; by the system."""
    GIT = "git"
    """A signed commit."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One parsed SSHSIG.

    Args:
        key: the public key's bytes.
        namespace: what it was given for.
        hash_name: hash of the message, ``sha256`` or ``sha512``.
        value: the signature itself, as the key type encodes it.
    """

    key: bytes
    namespace: str
    hash_name: bytes
    value: bytes

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` of the key."""
        return fingerprint_of(self.key)

    @classmethod
    def parse(cls, armored: str) -> Self:
        """Read an armored signature.

        Raises:
            SignatureError: for anything else.
        """
        lines = [line.strip() for line in armored.strip().splitlines()]
        if len(lines) < 3 or lines[0] != ARMOR_BEGIN or lines[-1] != ARMOR_END:
            raise SignatureError("it is not an SSH signature", remedy="give what ssh-keygen -Y sign wrote")
        try:
            packet = base64.b64decode("".join(lines[1:-1]), validate=True)
            if packet[:10] != _MAGIC + (1).to_bytes(4, "big"):
                raise ValueError("it does not begin as one")
            key, namespace, _, hash_name, value = _strings(packet[10:])
            if hash_name not in _HASHES:
                raise ValueError(f"hash {hash_name!r} is not sha256 or sha512")
            return cls(key, namespace.decode(), hash_name, value)
        except (ValueError, binascii.Error) as error:
            raise SignatureError(f"it is not a whole SSH signature ({error})", remedy="sign again") from error

    def verify(self, data: bytes) -> None:
        """Whether it is this key's signature of these bytes.

        Raises:
            SignatureError: when it is not.
        """
        import asyncssh

        if _type_of(self.key) == "ssh-rsa" and (found := _type_of(self.value)) not in _RSA:
            raise SignatureError(f"{found} is no algorithm that counts", remedy="sign with ssh-keygen, which takes rsa-sha2-512")
        signed = _MAGIC + b"".join(
            map(_string, (self.namespace.encode(), b"", self.hash_name, _HASHES[self.hash_name](data).digest()))
        )
        try:
            key = asyncssh.import_public_key(f"{_type_of(self.key)} {base64.b64encode(self.key).decode()}")
            holds = key.verify(signed, self.value)
        except (asyncssh.KeyImportError, ValueError) as error:
            raise SignatureError(f"its key cannot be read ({error})", remedy="sign with another key") from error
        if not holds:
            raise SignatureError(
                "the signature is not of what it is said to be of", remedy="sign it again; nothing may be changed after"
            )


def verified(
    data: bytes, armored: str, signers: Iterable[AllowedSigner], principal: str, namespace: Namespace, at: datetime
) -> Signature:
    """A signature that somebody gave for something with a key that was theirs at a time.

    Args:
        data: the signed bytes.
        armored: the signature as ``ssh-keygen -Y sign`` writes it.
        signers: whose keys count.
        principal: who is said to have signed.
        namespace: what it has to be for.
        at: when it was given.

    Raises:
        SignatureError: naming what does not hold: form, purpose, key, period or bytes.
    """
    signature = Signature.parse(armored)
    if signature.namespace != namespace:
        raise SignatureError(
            f"it was given for {signature.namespace!r}, not for {str(namespace)!r}", where=principal, remedy="sign again"
        )
    own = [one for one in signers if one.names(principal)]
    mine = [one for one in own if one.key == signature.key]
    if not mine:
        known = ", ".join(one.fingerprint for one in own) or "none"
        raise SignatureError(
            f"it was given with key {signature.fingerprint}, which is not theirs",
            where=principal,
            remedy=f"sign with one of: {known}",
        )
    refusals = [one.refusal(namespace, at) for one in mine]
    if all(refusals):
        raise SignatureError(
            str(refusals[0]), where=principal, remedy="sign with a key that is valid, or have the contract name it"
        )
    signature.verify(data)
    return signature


def sign(data: bytes, key: SSHKey, namespace: Namespace) -> str:
    """Sign in process with a private key; the armored signature."""
    import asyncssh

    return asyncssh.create_sshsig(key, data, namespace=str(namespace)).decode()


def sign_with_ssh_keygen(data: bytes, key: Path, namespace: Namespace) -> str:
    """Sign as a person does, with ``ssh-keygen -Y sign``, which may ask for a passphrase or a touch.

    Args:
        data: what is signed.
        key: file of the private key, or of the public key where the agent or a token has the private one.
        namespace: what for.

    Raises:
        RetrainError: ``ssh-keygen`` is missing, or does not sign.
    """
    with tempfile.TemporaryDirectory() as scratch:
        message = Path(scratch) / "statement"
        message.write_bytes(data)
        try:
            done = subprocess.run(
                ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", str(namespace), str(message)],
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise RetrainError("ssh-keygen is not installed", remedy="install OpenSSH (on Debian: openssh-client)") from error
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise RetrainError(
                f"ssh-keygen does not sign ({said})", where=str(key), remedy="see that the key is there and its agent runs"
            )
        return message.with_suffix(".sig").read_text()


def _type_of(key: bytes) -> str:
    size = int.from_bytes(key[:4], "big")
    return key[4 : 4 + size].decode("ascii", "replace")


def _strings(packet: bytes) -> list[bytes]:
    """The length-prefixed strings that make up the rest of a packet, five of them."""
    found, at = [], 0
    while at < len(packet):
        size = int.from_bytes(packet[at : at + 4], "big")
        if at + 4 + size > len(packet):
            raise ValueError("it ends too early")
        found.append(packet[at + 4 : at + 4 + size])
        at += 4 + size
    if len(found) != 5:
        raise ValueError(f"it has {len(found)} parts, not 5")
    return found


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value
